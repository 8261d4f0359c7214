"""The Census-Income data, and generated tasks of a chosen relatedness."""

from __future__ import annotations

from sklearn_mmoe.datasets._census import fetch_census_income, get_data_home
from sklearn_mmoe.datasets._generated import make_related_tasks

__all__ = ["fetch_census_income", "get_data_home", "make_related_tasks"]
