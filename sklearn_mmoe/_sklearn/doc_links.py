"""Links from an estimator's diagram in a notebook to its page in our documentation."""

from __future__ import annotations

import itertools
import os

__all__ = ["DocumentationLinkMixin"]

_SITE = "https://sklearn-mmoe.readthedocs.io/en/stable"


class DocumentationLinkMixin:
    """Tells scikit-learn's HTML representation where an estimator is documented.

    The environment variable ``SKLEARN_MMOE_DOCS`` names another site, such as one
    built at home; the documentation itself sets it, so that its links stay inside.
    """

    _doc_link_module = "sklearn_mmoe"

    @property
    def _doc_link_template(self) -> str:
        site = os.environ.get("SKLEARN_MMOE_DOCS", _SITE).rstrip("/")
        return f"{site}/reference/generated/{{public_name}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        parts = type(self).__module__.split(".")
        public = itertools.takewhile(lambda part: not part.startswith("_"), parts)
        # The package's own names, which live in `estimators`, are documented as such.
        module = ".".join(public).removesuffix(".estimators")
        return {"public_name": f"{module}.{type(self).__name__}"}
