"""Public data with several targets, and generated tasks of a chosen relatedness."""

from __future__ import annotations

from sklearn_mmoe.datasets._census import fetch_census_income
from sklearn_mmoe.datasets._files import get_data_home
from sklearn_mmoe.datasets._generated import make_related_tasks
from sklearn_mmoe.datasets._mulan import fetch_mulan

__all__ = ["fetch_census_income", "fetch_mulan", "get_data_home", "make_related_tasks"]
