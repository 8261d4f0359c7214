"""The Census-Income (KDD) data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions, validate_params

from sklearn_mmoe.datasets._files import RemoteFile, get_data_home, load

_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/census-income-mld/"
_GITHUB = (
    "https://raw.githubusercontent.com/drawbridge/keras-mmoe/"
    "5532ffb3ed6bccf4a0eae9d189fa0d661357425f/data/"
)


def _official(name: str, git_sha1: str) -> RemoteFile:
    return RemoteFile(name, git_sha1, (_UCI + name, _GITHUB + name))


_FILES = {
    "train": _official(
        "census-income.data.gz", "57d8bff516af70a99c0cd5b31bde3168b592cffb"
    ),
    "test": _official(
        "census-income.test.gz", "cec884b9fb065fcb67a4d3165e70445eaf726253"
    ),
}

_COLUMNS = (
    "age class_worker det_ind_code det_occ_code education wage_per_hour hs_college "
    "marital_stat major_ind_code major_occ_code race hisp_origin sex union_member "
    "unemp_reason full_or_part_emp capital_gains capital_losses stock_dividends "
    "tax_filer_stat region_prev_res state_prev_res det_hh_fam_stat det_hh_summ "
    "instance_weight mig_chg_msa mig_chg_reg mig_move_reg mig_same mig_prev_sunbelt "
    "num_emp fam_under_18 country_father country_mother country_self citizenship "
    "own_or_self vet_question vet_benefits weeks_worked year income_50k"
).split()
_NUMERIC = (
    "age wage_per_hour capital_gains capital_losses stock_dividends num_emp "
    "weeks_worked"
).split()
_WEIGHT = "instance_weight"
_CLASS = "income_50k"

_COLLEGE_DEGREES = [
    "Associates degree-occup /vocational",
    "Associates degree-academic program",
    "Bachelors degree(BA AB BS)",
    "Masters degree(MA MS MEng MEd MSW MBA)",
    "Prof school degree (MD DDS DVM LLB JD)",
    "Doctorate degree(PhD EdD)",
]

# Each target: the column it is made from, and the values that make it 1.
_TARGETS: dict[str, tuple[str, list[str]]] = {
    "income": (_CLASS, ["50000+."]),
    "never_married": ("marital_stat", ["Never married"]),
    "college": ("education", _COLLEGE_DEGREES),
}


def _read(path: Path) -> pd.DataFrame:
    dtypes = dict.fromkeys(_COLUMNS, "category")
    dtypes.update(dict.fromkeys(_NUMERIC, "int64"))
    dtypes[_WEIGHT] = "float64"
    table = pd.read_csv(
        path,
        names=_COLUMNS,
        dtype=dtypes,
        compression="gzip",
        skipinitialspace=True,
        # "NA" is a category of hisp_origin; only "?" is missing.
        na_values=["?"],
        keep_default_na=False,
    )
    for name, dtype in dtypes.items():
        if dtype == "category":
            # Some versions of pandas turn categories such as "12" into numbers.
            table[name] = table[name].cat.rename_categories(str)
    return table


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put frames below one another; categories that only one of them has stay."""
    if len(frames) == 1:
        return frames[0]
    columns: dict[str, Any] = {}
    for name in frames[0].columns:
        parts = [frame[name] for frame in frames]
        if isinstance(parts[0].dtype, pd.CategoricalDtype):
            columns[name] = union_categoricals(parts, sort_categories=True)
        else:
            columns[name] = np.concatenate(parts)
    return pd.DataFrame(columns)


def _check_targets(targets: Sequence[str]) -> list[str]:
    names = [targets] if isinstance(targets, str) else list(targets)
    unknown = [name for name in names if name not in _TARGETS]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(
            "The 'targets' parameter of fetch_census_income must be different names "
            f"out of {list(_TARGETS)}, got {targets!r}."
        )
    return names


def _description() -> str:
    folder = resources.files("sklearn_mmoe.datasets")
    return folder.joinpath("descr", "census_income.rst").read_text(encoding="utf-8")


_validated: Callable[..., Any] = validate_params(
    {
        "subset": [StrOptions({"train", "test", "all"})],
        "data_home": [str, os.PathLike, None],
        "download_if_missing": ["boolean"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
        "targets": [str, "array-like"],
    },
    prefer_skip_nested_validation=True,
)


@_validated
def fetch_census_income(
    subset: str = "train",
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = True,
    targets: Sequence[str] = ("income", "never_married"),
) -> Any:
    """Load the Census-Income (KDD) data set, downloading it if necessary.

    The data of the MMoE paper's first experiment (Ma et al., 2018, section 5.2 [2]_):
    199,523 persons to train on and 99,762 to test on, described by 7 numeric and 33
    categorical columns, most of which say something about several targets at once.

    Parameters
    ----------
    subset : {'train', 'test', 'all'}, default='train'
        The official halves; 'all' is the rows of 'train', then those of 'test'.
    data_home : str, path or None, default=None
        Folder of the two files ``census-income.data.gz`` (train) and
        ``census-income.test.gz``. None takes that of :func:`get_data_home`: the
        environment variable ``SKLEARN_MMOE_DATA``, or the user's cache folder.
    download_if_missing : bool, default=True
        Whether to fetch a file that is absent or damaged. Otherwise an OSError is
        raised.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=True
        Whether data and target are data frames; otherwise they are arrays, the
        data's of dtype object.
    targets : str or sequence of str, default=('income', 'never_married')
        The tasks, each with classes 0 and 1: 'income' (over 50,000 dollars a year),
        'never_married', 'college' (an associate's degree or a higher one). The
        paper's first group is the default, its second is
        ``('college', 'never_married')``.

    Returns
    -------
    Bunch
        With the attributes

        data : data frame of shape (n_samples, n_features)
            The features: int64 columns and category columns of str, codes such as
            '12' included; missing values are NaN. The
            columns from which the chosen targets are made are left out, and so are
            the income class and the survey weight.
        target : data frame of shape (n_samples, n_targets)
            0 or 1, int64; one column for each target.
        frame : data frame of shape (n_samples, n_features + n_targets) or None
            Data and target side by side; None if ``as_frame=False``.
        sample_weight : ndarray of shape (n_samples,)
            The survey's ``instance_weight``: how many persons a row stands for.
        feature_names : list of str
            Names of the features.
        target_names : list of str
            Names of the targets.
        DESCR : str
            Description of the data set.

    (data, target) : tuple
        If ``return_X_y=True``.

    Raises
    ------
    OSError
        If a file is absent or damaged and cannot be fetched; the message says which
        file to put where.
    ValueError
        If `subset` or `targets` is none of the above.

    References
    ----------
    .. [1] Census-Income (KDD). UCI Machine Learning Repository, 2000.
       https://doi.org/10.24432/C5N30T (CC BY 4.0)
    .. [2] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007

    Examples
    --------
    >>> from sklearn_mmoe.datasets import fetch_census_income
    >>> census = fetch_census_income("test")  # doctest: +SKIP
    >>> census.data.shape, list(census.target.columns)  # doctest: +SKIP
    ((99762, 39), ['income', 'never_married'])
    """
    names = _check_targets(targets)
    folder = get_data_home(data_home)
    halves = ["train", "test"] if subset == "all" else [subset]
    table = _stack(
        [load(_FILES[half], folder, download_if_missing, _read) for half in halves]
    )
    target = pd.DataFrame(
        {
            name: table[column].isin(values).astype("int64")
            for name, (column, values) in _TARGETS.items()
            if name in names
        }
    )[names]
    sources = {_TARGETS[name][0] for name in names}
    data = table.drop(columns=[_WEIGHT, *(sources | {_CLASS})])
    X = data if as_frame else data.to_numpy(dtype=object)
    y = target if as_frame else target.to_numpy()
    if return_X_y:
        return X, y
    return Bunch(
        data=X,
        target=y,
        frame=pd.concat([data, target], axis=1) if as_frame else None,
        sample_weight=table[_WEIGHT].to_numpy(),
        feature_names=list(data.columns),
        target_names=names,
        DESCR=_description(),
    )
