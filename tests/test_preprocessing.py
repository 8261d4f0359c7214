from __future__ import annotations

import pickle
import re
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.preprocessing import (
    CalendarEncoder,
    CategoryEncoder,
    PiecewiseLinearEncoder,
    TailSquashingScaler,
    TextEncoder,
    make_tabular_preprocessor,
)


def encode(values, n_bins=4):
    return PiecewiseLinearEncoder(n_bins).fit(np.reshape(values, (-1, 1)))


def test_bins_hold_equal_shares():
    values = np.random.default_rng(0).lognormal(size=10_000)
    (edges,) = encode(values, 8).bin_edges_
    assert len(edges) == 9
    counts = np.histogram(values, edges)[0]
    np.testing.assert_allclose(counts, 1250, atol=3)
    assert (edges[0], edges[-1]) == (values.min(), values.max())


def test_equation_of_the_paper():
    encoder = encode(np.arange(101.0), 4)
    np.testing.assert_array_equal(encoder.bin_edges_[0], [0, 25, 50, 75, 100])
    x = np.array([-10, 0, 5, 25, 60, 100, 1000.0])[:, None]
    expected = np.clip((x - [0, 25, 50, 75]) / 25, 0, 1)
    encoded = encoder.transform(x)
    np.testing.assert_allclose(encoded, expected, rtol=1e-6)
    assert encoded.dtype == np.float32
    # A linear layer on the bins is a piecewise linear function, here x itself.
    np.testing.assert_allclose(encoded @ np.full(4, 25.0), x[:, 0].clip(0, 100))


def test_heavy_values_have_edges_of_their_own():
    """A column of amounts: 90 % are 0, and one amount in ten of the rest is 500."""
    rng = np.random.default_rng(0)
    amounts = rng.uniform(100, 1000, 1000)
    amounts[:900] = 500.0
    values = np.concatenate([np.zeros(9000), amounts])
    encoder = encode(values, 16)
    (edges,) = encoder.bin_edges_
    assert {0.0, 500.0} <= set(edges)
    # The bins of the other 100 amounts are as fine as without the heavy values.
    assert len(edges) - 1 >= 14
    # No bin has a slope on both sides of a heavy value's neighbours.
    others = np.sort(np.delete(amounts, np.flatnonzero(amounts == 500.0)))
    assert others[0] in edges
    below, above = others[others < 500][-1], others[others > 500][0]
    assert {below, above} <= set(edges)


def test_few_values_are_told_apart_exactly():
    (edges,) = encode([0, 0, 0, 1, 1, 5], 32).bin_edges_
    np.testing.assert_array_equal(edges, [0, 1, 5])


@pytest.mark.parametrize("constant", [0.0, 7.0, -1e300, 1e-300])
def test_constant_column_becomes_a_step(constant):
    encoder = encode([constant] * 5)
    distance = abs(constant) / 2 + 1
    x = np.array([[constant], [constant + distance], [constant - distance]])
    np.testing.assert_array_equal(encoder.transform(x), [[0], [1], [0]])


def test_missing_values():
    X = np.array([[1.0, 1.0], [2.0, np.nan], [3.0, 3.0], [10.0, 5.0]])
    encoder = PiecewiseLinearEncoder().fit(X)
    assert encoder.missing_columns_.tolist() == [1]
    np.testing.assert_array_equal(encoder.fill_values_, [2.5, 3.0])
    encoded = encoder.transform(X)
    names = encoder.get_feature_names_out(["a", "b"]).tolist()
    assert names == ["a_bin0", "a_bin1", "a_bin2", "b_bin0", "b_bin1", "b_missing"]
    np.testing.assert_array_equal(encoded[:, 5], [0, 1, 0, 0])
    np.testing.assert_array_equal(encoded[1, 3:5], encoded[2, 3:5])  # the median's
    # A value that is missing where fit saw none is the median too.
    later = encoder.transform([[np.nan, 1.0]])
    assert np.isfinite(later).all()
    np.testing.assert_allclose(later[0, :3], encoder.transform([[2.5, 1.0]])[0, :3])


def test_column_of_missing_values_alone():
    encoded = PiecewiseLinearEncoder().fit_transform(np.full((3, 1), np.nan))
    np.testing.assert_array_equal(encoded, [[0, 1]] * 3)


@pytest.mark.parametrize("seed", range(20))
def test_always_in_the_unit_interval_and_rising(seed):
    rng = np.random.default_rng(seed)
    values = rng.choice(
        [0.0, 1.0, -3.0, *rng.normal(scale=10.0 ** rng.integers(-5, 6), size=50)],
        size=rng.integers(1, 300),
    )
    encoder = encode(values, int(rng.integers(1, 40)))
    (edges,) = encoder.bin_edges_
    assert (np.diff(edges) > 0).all()
    x = np.sort(np.concatenate([values, rng.normal(scale=100, size=50)]))
    encoded = encoder.transform(x[:, None])
    assert encoded.min() >= 0
    assert encoded.max() <= 1
    assert (np.diff(encoded, axis=0) >= 0).all()
    # Bins fill one after the other.
    assert (np.diff(encoded, axis=1) <= 0).all()


def test_spikes_have_columns_of_their_own():
    """Amounts with round sums among them; ages, of which each has many rows."""
    rng = np.random.default_rng(0)
    amounts = rng.integers(1, 20_000, 3000).astype(float)
    amounts[:40] = 5013
    amounts[40:55] = 7298
    ages = np.r_[rng.integers(0, 90, 2990), np.full(10, 200)]
    frame = pd.DataFrame({"amount": amounts, "age": ages}).astype(float)
    frame.loc[2999, "amount"] = np.nan
    encoder = PiecewiseLinearEncoder(16, spike_frequency=20).fit(frame)
    assert [spikes.tolist() for spikes in encoder.spikes_] == [[5013], []]
    encoder = PiecewiseLinearEncoder(16, spike_frequency=10).fit(frame)
    assert [spikes.tolist() for spikes in encoder.spikes_] == [[5013, 7298], [200]]
    names = encoder.get_feature_names_out().tolist()
    assert names[-1] == "age_is_200"
    spikes = [names.index("amount_is_5013"), names.index("amount_is_7298")]
    rows = [[5013, 3], [5013.5, 3], [7298, 3], [1e9, 3], [np.nan, 3]]
    rows = pd.DataFrame(rows, columns=["amount", "age"])
    np.testing.assert_array_equal(
        encoder.transform(rows)[:, spikes], [[1, 0], [0, 0], [0, 1], [0, 0], [0, 0]]
    )
    # The other columns are those of an encoder without spikes.
    without = PiecewiseLinearEncoder(16).fit(frame)
    others = [name in without.get_feature_names_out() for name in names]
    np.testing.assert_array_equal(
        encoder.transform(frame)[:, others], without.transform(frame)
    )


def test_sparse_bins_are_the_dense_ones():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)).round(1)
    X[rng.random(X.shape) < 0.1] = np.nan
    dense = PiecewiseLinearEncoder(8, spike_frequency=2).fit(X)
    encoded = dense.set_params(sparse_output=True).transform(X)
    assert sparse.isspmatrix_csr(encoded)
    assert encoded.dtype == np.float32
    encoded.check_format(full_check=True)
    assert (encoded.data != 0).all()
    assert encoded.has_sorted_indices
    np.testing.assert_array_equal(
        encoded.toarray(), dense.set_params(sparse_output=False).transform(X)
    )


def test_set_output_and_names():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, np.nan, 1.0]})
    encoder = PiecewiseLinearEncoder(2).set_output(transform="pandas")
    encoded = encoder.fit_transform(frame)
    assert list(encoded) == ["a_bin0", "a_bin1", "b_bin0", "b_missing"]
    assert list(encoder.feature_names_in_) == ["a", "b"]
    assert PiecewiseLinearEncoder(2).fit([[1.0], [2.0]]).get_feature_names_out() == [
        "x0_bin0"
    ]


def test_bad_input():
    with pytest.raises(ValueError, match="'n_bins' parameter"):
        encode([1, 2, 3], 0)
    with pytest.raises(ValueError, match="infinity"):
        encode([1, np.inf])
    with pytest.raises(NotFittedError):
        PiecewiseLinearEncoder().transform([[1.0]])
    with pytest.raises(ValueError, match="X has 2 features"):
        encode([1, 2]).transform([[1.0, 2.0]])


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 200
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "gain": np.where(rng.random(n) < 0.9, 0.0, rng.lognormal(size=n)),
            "height": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "sex": pd.Categorical(rng.choice(["f", "m"], n)),
            "city": rng.choice(["Rome", "Oslo", None], n),
            "member": rng.random(n) < 0.5,
            "code": rng.integers(0, 4, n),
        }
    )


def columns_of(preprocessor):
    return {name: list(columns) for name, _, columns in preprocessor.transformers_[:3]}


def test_columns_by_kind(frame):
    preprocessor = make_tabular_preprocessor()
    assert isinstance(preprocessor, ColumnTransformer)
    X = preprocessor.fit_transform(frame)
    assert isinstance(X, sparse.csr_matrix | sparse.csr_array)
    assert X.dtype == np.float32
    assert columns_of(preprocessor) == {
        "piecewise": ["age", "gain", "height", "code"],
        "scaled": ["age", "gain", "height", "code"],
        "one_hot": ["sex", "city", "member"],
    }
    assert np.isfinite(X.toarray()).all()
    assert X.shape[1] == len(preprocessor.get_feature_names_out())


def test_numbers_that_are_categories(frame):
    preprocessor = make_tabular_preprocessor(categorical=["code"], min_frequency=None)
    preprocessor.fit(frame)
    assert columns_of(preprocessor)["one_hot"] == ["sex", "city", "member", "code"]
    names = preprocessor.get_feature_names_out()
    assert "one_hot__code_3" in names
    with pytest.raises(ValueError, match=r"'categorical' parameter .* \['size'\]"):
        make_tabular_preprocessor(categorical=["size"]).fit(frame)
    with pytest.raises(TypeError, match="'categorical' parameter"):
        make_tabular_preprocessor(categorical="code")


def test_dense_output_and_set_output(frame):
    dense = make_tabular_preprocessor(sparse=False)
    X = dense.fit_transform(frame)
    assert isinstance(X, np.ndarray)
    assert X.dtype == np.float32
    np.testing.assert_array_equal(
        X, make_tabular_preprocessor().fit_transform(frame).toarray()
    )
    dense.set_output(transform="pandas")
    out = dense.fit_transform(frame)
    assert out.columns.tolist() == dense.get_feature_names_out().tolist()


def some_categories(n_rows, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "text": rng.choice(
                ["a", "b", "c", "rare"], n_rows, p=[0.4, 0.4, 0.18, 0.02]
            ),
            "number": rng.choice([3.0, 1.5, np.nan], n_rows),
            "whole": rng.integers(0, 5, n_rows),
            "bool": rng.random(n_rows) < 0.3,
            "missing": rng.choice(np.array(["x", None, "y"], dtype=object), n_rows),
        }
    )
    categories = ["z", "rare", "c", "b", "a"]
    frame["category"] = pd.Categorical(frame["text"], categories=categories)
    return frame


@pytest.mark.parametrize("min_frequency", [None, 10, 0.1])
def test_categories_as_one_hot_encoder_has_them(min_frequency):
    """The same columns, up to their order, for seen, rare and unseen categories."""
    frame, later = some_categories(300, 0), some_categories(100, 1)
    later.loc[:20, "text"] = "never seen"
    ours = CategoryEncoder(min_frequency, sparse_output=False).fit(frame)
    theirs = OneHotEncoder(
        min_frequency=min_frequency,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
        dtype=np.float32,
    ).fit(frame)

    def columns(encoder, X):
        return sorted(map(tuple, encoder.transform(X).T))

    assert columns(ours, frame) == columns(theirs, frame)
    assert columns(ours, later) == columns(theirs, later)
    assert len(ours.get_feature_names_out()) == ours.transform(frame).shape[1]


def test_category_encoder_is_sparse_and_takes_any_container():
    frame = some_categories(50, 0)
    encoder = CategoryEncoder().fit(frame)
    encoded = encoder.transform(frame)
    assert sparse.isspmatrix_csr(encoded)
    assert encoded.dtype == np.float32
    encoded.check_format(full_check=True)
    array = frame.astype(object).to_numpy()
    again = CategoryEncoder().fit(array)
    assert again.get_feature_names_out()[0] == "x0_a"
    np.testing.assert_array_equal(again.transform(array).toarray(), encoded.toarray())
    with pytest.raises(ValueError, match="feature names should match"):
        encoder.transform(frame.rename(columns={"text": "word"}))
    with pytest.raises(NotFittedError):
        CategoryEncoder().transform(frame)
    with pytest.raises(ValueError, match="'min_frequency' parameter"):
        CategoryEncoder(min_frequency=0).fit(frame)


def test_categories_of_types_that_do_not_compare():
    column = np.array([[1], ["a"], [2], [None], ["a"]], dtype=object)
    encoder = CategoryEncoder(sparse_output=False).fit(column)
    encoded = encoder.transform(column)
    np.testing.assert_array_equal(encoded.sum(axis=1), np.ones(5))
    np.testing.assert_array_equal(encoded[1], encoded[4])


def test_unknown_and_infrequent_categories():
    frame = pd.DataFrame({"a": ["x"] * 50 + ["y"] * 50 + ["rare"] * 3 + ["odd"] * 2})
    preprocessor = make_tabular_preprocessor().fit(frame)
    names = preprocessor.get_feature_names_out().tolist()
    assert names == ["one_hot__a_x", "one_hot__a_y", "one_hot__a_infrequent"]
    new = pd.DataFrame({"a": ["rare", "never seen", "y"]})
    np.testing.assert_array_equal(
        preprocessor.transform(new).toarray(), [[0, 0, 1], [0, 0, 1], [0, 1, 0]]
    )


def test_categories_are_matched_by_name_not_by_code(frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    other = frame.head(20).copy()
    other["sex"] = pd.Categorical(other["sex"].astype(str), categories=["m", "f"])
    np.testing.assert_array_equal(
        preprocessor.transform(other).toarray(),
        preprocessor.transform(frame.head(20)).toarray(),
    )


def test_unseen_extremes_stay_bounded_in_the_bins(frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    extreme = frame.head(1).assign(gain=1e12)
    row = preprocessor.transform(extreme).toarray()[0]
    piecewise = [
        name.startswith("piecewise__") for name in preprocessor.get_feature_names_out()
    ]
    assert row[piecewise].max() <= 1


def test_arrays():
    X = np.random.default_rng(0).normal(size=(50, 3))
    assert make_tabular_preprocessor(n_bins=4).fit_transform(X).shape == (50, 15)
    mixed = np.array([[1, "a"], [2.5, "b"], [np.nan, "a"]], dtype=object)
    preprocessor = make_tabular_preprocessor(min_frequency=None).fit(mixed)
    assert columns_of(preprocessor)["piecewise"] == [0]
    assert columns_of(preprocessor)["one_hot"] == [1]


def test_clone_and_pickle(frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    expected = preprocessor.transform(frame).toarray()
    for again in (
        pickle.loads(pickle.dumps(preprocessor)),
        clone(preprocessor).fit(frame),
    ):
        np.testing.assert_array_equal(again.transform(frame).toarray(), expected)


def test_the_diagram_has_no_branch_without_columns(frame):
    def branches(preprocessor):
        names = {"piecewise", "scaled", "one_hot", "datetime", "text"}
        return names & set(re.findall(r">(\w+)<", preprocessor._repr_html_()))

    preprocessor = make_tabular_preprocessor()
    assert len(branches(preprocessor)) == 5
    preprocessor.fit(frame[["age", "sex"]])
    assert branches(preprocessor) == {"piecewise", "scaled", "one_hot"}
    assert branches(preprocessor.fit(frame[["sex"]])) == {"one_hot"}
    # Where every column is left out, there is something to show all the same.
    identifiers = pd.DataFrame({"id": [f"{i * 7919:08x}" for i in range(400)]})
    with pytest.warns(UserWarning, match="are left out"):
        assert len(branches(preprocessor.fit(identifiers))) == 5


def test_only_categories():
    X, _ = make_related_tasks(100, 4, n_categorical=4, random_state=0)
    preprocessor = make_tabular_preprocessor(min_frequency=None)
    encoded = pd.DataFrame(
        preprocessor.fit_transform(X).toarray(),
        columns=preprocessor.get_feature_names_out(),
    )
    assert all(name.startswith("one_hot__category_") for name in encoded)
    for name, column in X.items():
        for category in column.dropna().unique():
            there = encoded[f"one_hot__{name}_{category}"]
            np.testing.assert_array_equal(there, column == category)
        missing = encoded.get(f"one_hot__{name}_missing", 0)
        np.testing.assert_array_equal(missing, column.isna())


def test_only_numbers():
    numbers = pd.DataFrame({"a": np.arange(100.0), "b": 1.0})
    preprocessor = make_tabular_preprocessor(n_bins=4)
    encoded = preprocessor.fit_transform(numbers)
    names = preprocessor.get_feature_names_out().tolist()
    assert encoded.shape == (100, len(names))
    bins = [f"piecewise__a_bin{k}" for k in range(4)]
    assert names == [*bins, "piecewise__b_bin0", "scaled__a", "scaled__b"]


@pytest.mark.slow
def test_census(census_folder):
    from sklearn_mmoe.datasets import fetch_census_income

    X, _ = fetch_census_income("test", data_home=census_folder, return_X_y=True)
    preprocessor = make_tabular_preprocessor()
    encoded = preprocessor.fit_transform(X[:5000])
    assert columns_of(preprocessor)["piecewise"] == [
        "age",
        "wage_per_hour",
        "capital_gains",
        "capital_losses",
        "stock_dividends",
        "num_emp",
        "weeks_worked",
    ]
    assert np.isfinite(encoded.data).all()
    assert preprocessor.transform(X[5000:6000]).shape == (1000, encoded.shape[1])


def test_automatic_bins_grow_with_rows_and_shrink_with_columns():
    rng = np.random.default_rng(0)

    def n_bins(n_samples, n_features=1, missing=0):
        X = rng.normal(size=(n_samples, n_features))
        X[:missing] = np.nan
        encoder = PiecewiseLinearEncoder("auto", spike_frequency="auto").fit(X)
        return {max(len(edges) - 1, 0) for edges in encoder.bin_edges_}

    assert n_bins(20_000) == {64}
    assert n_bins(1000) == {25}
    assert n_bins(100) == {0}
    assert n_bins(1000, 50) == {6}
    assert n_bins(300, 411) == {0}
    assert n_bins(1000, missing=800) == {5}


def test_automatic_bins_do_not_count_columns_of_two_values():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (1000, 200)).astype(float)
    X[:, 7] = rng.normal(size=1000)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 8] = np.nan
    edges = PiecewiseLinearEncoder("auto", spike_frequency="auto").fit(X).bin_edges_
    assert len(edges[7]) - 1 == np.isfinite(X[:, 7]).sum() // 40


def test_automatic_sizes_of_a_large_table_are_the_largest():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": rng.integers(1, 3000, 15_000)
            * np.where(rng.random(15_000), 1, 0),
            "shop": rng.zipf(1.3, 15_000).clip(0, 300).astype(str),
        }
    ).assign(shop=lambda frame: "shop " + frame["shop"])
    automatic = make_tabular_preprocessor().fit_transform(frame)
    explicit = make_tabular_preprocessor(
        n_bins=64, spike_frequency=10, min_frequency=10
    ).fit_transform(frame)
    np.testing.assert_array_equal(automatic.toarray(), explicit.toarray())


def test_encoder_without_bins():
    X = np.array([[1.0], [2.0], [np.nan]])
    encoder = PiecewiseLinearEncoder("auto", spike_frequency="auto").fit(X)
    np.testing.assert_array_equal(encoder.transform(X), [[0], [0], [1]])
    assert encoder.get_feature_names_out().tolist() == ["x0_missing"]
    assert PiecewiseLinearEncoder("auto").fit_transform(X[:2]).shape == (2, 0)


@pytest.mark.parametrize(
    ("n_samples", "least"), [(5, 1), (60, 3), (200, 10), (10_000, 10)]
)
def test_automatic_least_frequency_of_a_category(n_samples, least):
    column = np.full(n_samples, "often", dtype=object)
    column[:least] = "enough"
    column[least : 2 * least - 1] = "rare"
    names = CategoryEncoder("auto").fit(column[:, None]).get_feature_names_out()
    assert "x0_enough" in names
    assert "x0_rare" not in names


def test_names_of_features_are_distinct():
    column = np.array([["missing"], [None], ["infrequent"], ["a"]], dtype=object)
    names = CategoryEncoder().fit(column).get_feature_names_out().tolist()
    assert names == ["x0_a", "x0_infrequent", "x0_missing", "x0_missing_2"]


def test_within_the_range_it_is_the_standard_scaler():
    X = np.random.default_rng(0).lognormal(size=(100, 3))
    scaler = TailSquashingScaler().fit(X)
    expected = StandardScaler().fit_transform(X).astype(np.float32)
    np.testing.assert_array_equal(scaler.transform(X), expected)


def test_tails_are_squashed_smoothly():
    scaler = TailSquashingScaler(max_distance=2.0).fit(np.array([[-1.0], [1.0]]))
    x = np.linspace(0.9, 50, 1000)[:, None]
    squashed = scaler.transform(x)[:, 0].astype(np.float64)
    slopes = np.diff(squashed) / np.diff(x[:, 0])
    assert slopes[0] == pytest.approx(1, abs=1e-3)
    assert (np.diff(slopes) < 1e-4).all()
    assert squashed.max() < 3
    np.testing.assert_allclose(scaler.transform(-x)[:, 0], -squashed, rtol=1e-6)
    extreme = scaler.transform([[1e308], [-1e308], [3e38]])[:, 0]
    np.testing.assert_allclose(extreme, [3, -3, 3])


@pytest.mark.parametrize("constant", [1e30, -1e30, 0.1, 0.0, 7.0, 3e38])
def test_constants_are_zeros(constant):
    X = np.full((365, 1), constant)
    scaler = TailSquashingScaler().fit(X)
    np.testing.assert_array_equal(scaler.transform(X), 0)
    np.testing.assert_array_equal(scaler.transform([[constant + 5], [-3e38]]), 0)
    # Rounding errors are no values.
    X[::2] = np.nextafter(constant, np.inf)
    assert np.abs(TailSquashingScaler().fit(X).transform(X)).max() <= 1


def test_calendar_of_dates():
    days = pd.to_datetime(["2023-12-31 22:00", "2024-01-01 23:00", None])
    with pytest.raises(TypeError, match="Column 't' has no dates, but the type"):
        CalendarEncoder().fit(pd.DataFrame({"t": days.astype(str)}))
    encoder = CalendarEncoder().fit(pd.DataFrame({"t": days}))
    names = encoder.get_feature_names_out().tolist()
    encoded = pd.DataFrame(encoder.transform(pd.DataFrame({"t": days})), columns=names)
    assert encoded["t_year"].tolist() == [2023, 2024, 2023.5]
    assert encoded["t_weekday"].tolist() == [7, 1, 4]
    assert encoded["t_missing"].tolist() == [0, 0, 1]
    assert encoded["t_total_seconds"][0] == days[0].timestamp()
    # December is beside January.
    december, january = encoded.filter(like="month_circular").to_numpy()[:2]
    assert np.linalg.norm(december - january) < 0.6
    # What is always the same is left out.
    alike = CalendarEncoder().fit(pd.DataFrame({"t": days.normalize()}))
    assert not [n for n in alike.get_feature_names_out() if "hour" in n]
    parts = [
        CalendarEncoder(which).fit(pd.DataFrame({"t": days})).get_feature_names_out()
        for which in ("numbers", "circle")
    ]
    assert sorted(names) == sorted(np.concatenate(parts))


@pytest.mark.parametrize("dates", [[pd.NaT, pd.NaT], [pd.Timestamp("2020")]])
def test_calendar_of_few_dates(dates):
    frame = pd.DataFrame({"t": pd.Series(dates, dtype="datetime64[us]")})
    assert np.isfinite(CalendarEncoder().fit_transform(frame)).all()


def test_texts_with_pieces_in_common_are_near():
    jobs = ["taxi driver", "truck driver", "bus driver", "night nurse", "head nurse"]
    frame = pd.DataFrame({"job": jobs * 4})
    for lacking in (["", " ", ""], [None, None, None]):
        bad = frame.iloc[:3].assign(other=pd.Series(lacking, dtype=object).to_numpy())
        with pytest.raises(ValueError, match="Column 'other' has no text"):
            TextEncoder(3).fit(bad)
    encoder = TextEncoder(3).fit(frame)
    encoded = encoder.transform(pd.DataFrame({"job": ["cab driver", "nurse", None]}))
    assert encoded.dtype == np.float32
    assert encoded.shape == (3, 3) == (3, len(encoder.get_feature_names_out()))
    known = encoder.transform(frame)[:5]

    def nearness(x):
        return known @ x / np.linalg.norm(known, axis=1)

    assert nearness(encoded[0])[:3].min() > nearness(encoded[0])[3:].max()
    assert nearness(encoded[1])[:3].max() < nearness(encoded[1])[3:].min()
    np.testing.assert_array_equal(encoded[2], 0)


def test_texts_do_not_depend_on_order_or_type():
    rng = np.random.default_rng(0)
    words = [f"{a} {b}" for a in ("red", "green", "blue") for b in range(12)]
    column = pd.Series(rng.choice(words, 300))
    expected = TextEncoder().fit(column.to_frame()).transform(column.to_frame())
    for dtype in ("category", object, "string"):
        frame = column[::-1].astype(dtype).to_frame()
        encoded = TextEncoder().fit(frame).transform(frame)
        np.testing.assert_array_equal(encoded[::-1], expected)


@pytest.mark.parametrize("make", [CalendarEncoder, TextEncoder])
@pytest.mark.parametrize("kind", [pd.Series, np.array, list])
def test_encoders_of_columns_say_that_they_take_frames(make, kind):
    days = pd.to_datetime(["2024-01-01", "2024-03-05", "2024-07-09"])
    column = days if make is CalendarEncoder else days.astype(str)
    frame = pd.DataFrame({"column": column})
    given = kind(frame["column"])
    with pytest.raises(TypeError, match=f"{make.__name__} takes a pandas DataFrame"):
        make().fit(given)
    encoder = make().fit(frame)
    with pytest.raises(TypeError, match=f"got {type(given).__name__}"):
        encoder.transform(given)


def test_preprocessors_leave_the_cluster_of_a_search_alone():
    """A fit on a cluster's worker would send each column to the other workers."""
    threads = []

    class Noting(CategoryEncoder):
        def fit(self, X, y=None):
            threads.append(threading.get_ident())
            return super().fit(X, y)

        def transform(self, X):
            threads.append(threading.get_ident())
            return super().transform(X)

    X = pd.DataFrame({"number": [1.0, 2, 3, 4], "category": list("abab")})
    for n_jobs, is_alone in ((None, True), (2, False)):
        preprocessor = make_tabular_preprocessor().set_params(
            one_hot=Noting(), n_jobs=n_jobs
        )
        threads.clear()
        with joblib.parallel_config(backend="threading", n_jobs=2):
            preprocessor.fit(X).transform(X)
        assert (set(threads) == {threading.get_ident()}) == is_alone


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([1, 2, 3], ["1", "2"]),
        (["1", "2", "3"], [1, 2]),
        (["a", "b"], [1]),
        ([True, False], ["True"]),
        (pd.Categorical([1, 2, 3]), pd.Categorical(["1"])),
    ],
    ids=str,
)
def test_categories_of_another_type_are_told_of(before, now):
    encoder = CategoryEncoder().fit(pd.DataFrame({"c": before}))
    with pytest.warns(UserWarning, match=r"No category of column 'c' is known.*type"):
        encoder.transform(pd.DataFrame({"c": now}))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (["a", "b"], ["c"]),
        ([1, 2], [3.0]),
        (["a", "b"], [None]),
        (["a", 1], ["b"]),
        (["a", 1], [2]),
    ],
    ids=str,
)
def test_new_categories_of_the_same_type_are_not(before, now):
    encoder = CategoryEncoder().fit(pd.DataFrame({"c": before}))
    assert not encoder.transform(pd.DataFrame({"c": now})).toarray().any()
