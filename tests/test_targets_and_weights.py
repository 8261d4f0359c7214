"""Targets and weights on their way into a fit, as far as they need no network."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe._tasks.columns import (
    join_columns,
    split_columns,
    task_index,
    values_by_name,
)
from sklearn_mmoe._tasks.encode import encode_targets
from sklearn_mmoe._tasks.split import joint_groups
from sklearn_mmoe._tasks.tasks import (
    LabelTask,
    announced_classes,
    class_codes,
    known_labels,
)
from sklearn_mmoe._tasks.value_task import ValueTask
from sklearn_mmoe._tasks.weights import class_factors, count_classes, task_weights

ALL = np.ones(3, dtype=bool)


class TestNames:
    @pytest.mark.parametrize("n_tasks", [1, 3, 12])
    def test_columns_without_names_are_counted(self, n_tasks):
        expected = [f"task_{k}" for k in range(n_tasks)]
        y = np.zeros((2, n_tasks))
        for some in (y, y.tolist(), pd.DataFrame(y)):
            assert split_columns(some).names == expected
        assert split_columns(pd.DataFrame(y)).named
        assert not split_columns(y).named

    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_of_a_series(self, library):
        Series = pytest.importorskip(library).Series
        unnamed = split_columns(Series([1, 2]))
        assert (unnamed.names, unnamed.named) == (["task_0"], False)
        named = split_columns(Series(name="a", **{SERIES[library]: [1, 2]}))
        assert (named.names, named.named) == (["a"], True)

    def test_tasks_are_brought_into_an_order(self):
        y = split_columns(pd.DataFrame({"a": [1, 2], "b": [3, None]}))
        turned = y.matched(["b", "a"], "It")
        assert turned.names == ["b", "a"]
        assert [column[0] for column in turned.columns] == [3, 1]
        assert [some.tolist() for some in turned.observed] == [
            [True, False],
            [True, True],
        ]
        assert y.matched(["a", "b"], "It").names == ["a", "b"]
        # One side without names: by position, by the names of the other.
        assert y.matched(["task_0", "task_1"], "It") is y
        array = split_columns(np.zeros((2, 2))).matched(["b", "a"], "It")
        assert array.names == ["b", "a"]

    def test_numbers_of_columns_are_names_where_tasks_are_counted(self):
        y = split_columns(pd.DataFrame({0: [1, 2], 1: [3, 4]})[[1, 0]])
        turned = y.matched(["task_0", "task_1"], "It")
        assert [column[0] for column in turned.columns] == [1, 3]

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["a", "b", "c"], r"y has 2 tasks, but It .* 3: missing are \['c'\], unkn"),
            (
                ["a", "c"],
                r"of other names .*missing are \['c'\], unknown are \['b'\]",
            ),
            (["task_0", "task_1", "task_2"], r"y has 2 tasks, but It was .* 3\.$"),
        ],
    )
    def test_other_tasks_are_refused(self, names, message):
        y = split_columns(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
        with pytest.raises(ValueError, match=message):
            y.matched(names, "It")

    @pytest.mark.parametrize(
        ("task", "index"),
        [(0, 0), (2, 2), (-1, 2), (-3, 0), (np.int64(1), 1), ("b", 1), (True, 2)],
    )
    def test_index_of_a_task(self, task, index):
        assert task_index(task, ["a", "b", "True"]) == index

    @pytest.mark.parametrize(
        ("task", "message"),
        [
            (3, "no task of index 3; y has 3 tasks"),
            (-4, "no task of index -4"),
            (False, "no task named False"),
        ],
    )
    def test_there_is_no_such_task(self, task, message):
        with pytest.raises(ValueError, match=message):
            task_index(task, ["a", "b", "c"])

    def test_a_number_may_be_both(self):
        assert task_index(2020, ["2019", "2020"]) == 1
        assert task_index(0, ["0", "1"]) == 0
        with pytest.raises(ValueError, match="0 is the index of one task, '1'"):
            task_index(0, ["1", "0"])

    def test_a_number_may_be_the_label_of_a_column_that_is_counted(self):
        y = split_columns(pd.DataFrame({0: [1, 2], 1: [3, 4], 2: [5, 6]})[[2, 0, 1]])
        with pytest.raises(
            ValueError, match="0 is the index of one task, 'task_2', and"
        ):
            task_index(0, y.names)
        assert task_index("task_0", y.names) == 1
        assert task_index(-1, y.names) == 2
        found = values_by_name(
            "loss", {2: "a", np.int64(0): "b", "task_1": "c"}, y.names
        )
        assert found == {"task_2": "a", "task_0": "b", "task_1": "c"}
        with pytest.raises(ValueError, match=r"names \['3'\], but the tasks are"):
            values_by_name("loss", {3: "a"}, y.names)
        with pytest.raises(ValueError, match="'loss' parameter names a task twice"):
            values_by_name("loss", {0: "a", "task_0": "b"}, y.names)
        with pytest.raises(ValueError, match=r"names \['True'\]"):
            values_by_name("loss", {True: "a"}, y.names)


SERIES = {"pandas": "data", "polars": "values"}


class TestTargets:
    @pytest.mark.parametrize(
        ("y", "error", "message"),
        [
            ([[1, [2]], [1, [2]]], ValueError, "more than two dimensions"),
            (sparse.csr_array(np.eye(2)), TypeError, "for y"),
        ],
    )
    def test_what_is_none(self, y, error, message):
        with pytest.raises(error, match=message):
            split_columns(y)

    def test_of_no_rows(self):
        y = split_columns(np.empty((0, 2)))
        assert [column.shape for column in y.columns] == [(0,), (0,)]

    def test_classes_in_any_order_and_labels_in_none(self):
        classes = np.array(["b", "c", "a"])
        codes = class_codes("t", np.array(["a", "b", "d", "c"]), classes)
        assert codes.tolist() == [2, 0, -1, 1]
        none = class_codes("t", np.array([], dtype=object), classes)
        assert (none.shape, none.dtype.kind) == ((0,), "i")
        labels, codes = known_labels("t", np.array([], dtype=object), classes)
        assert len(labels) == len(codes) == 0

    def test_known_labels_have_the_type_of_the_classes(self):
        classes = np.array([False, True])
        labels, codes = known_labels("t", np.array([0.0, 1.0]), classes)
        assert (labels.dtype, labels.tolist()) == (bool, [False, True])
        assert codes.tolist() == [0, 1]
        labels, codes = known_labels("t", np.array([0.0, 2.0]), classes)
        assert labels.tolist() == [0, 2]
        assert codes.tolist() == [0, -1]

    def test_places_without_a_target_are_zero(self):
        """Their weight is zero too; but 0 times infinity is no number."""
        observed = np.array([False, True, True])
        y = np.array([9.0, 1.0, 3.0])
        labels = LabelTask("a", np.array([1.0, 3.0]))
        values = ValueTask.from_targets("b", y, observed, np.array([5.0, 1.0, 1.0]))
        assert (values.mean, values.scale) == (2, 1)
        columns = split_columns(np.column_stack([y, y]))
        columns.observed[:] = [observed, observed]
        encoded = encode_targets([labels, values], columns)
        assert encoded.columns[0].tolist() == [[0], [0], [1]]
        assert encoded.columns[1].tolist() == [[0], [-1], [1]]
        assert encoded.codes[0].tolist() == [0, 0, 1]
        assert encoded.codes[1] is None
        assert encoded.observed.tolist() == [[o, o] for o in observed]

    def test_groups_of_labels(self):
        """A combination of one row goes with others of one row, else with most."""
        pairs = [[0, 0]] * 3 + [[0, 1]] * 2
        alone = joint_groups(list(np.array([*pairs, [1, 0]]).T))
        assert len(set(alone[:3])) == len(set(alone[3:5])) == 1
        assert alone[5] == alone[0] != alone[3]
        together = joint_groups(list(np.array([*pairs, [1, 0], [1, 1]]).T))
        assert together[5] == together[6]
        assert together[5] not in together[:5]

    def test_groups_count_what_is_missing(self):
        columns = split_columns([[0], [None], [0], [None], [0]])
        task = LabelTask("a", np.array([0, 1]))
        encoded = encode_targets([task], columns)
        groups = encoded.groups(np.arange(5))
        assert groups[0] == groups[2] == groups[4] != groups[1] == groups[3]
        values = ValueTask("a", 0.0, 1.0)
        assert encode_targets([values], columns).groups(np.arange(5)) is None

    def test_announced_classes(self):
        for one in ([2, 0, 1, 1], [[2, 0, 1]], {"a": [2, 0, 1]}):
            found = announced_classes(one, ["a"])
            assert [some.tolist() for some in found] == [[0, 1, 2]]
        assert announced_classes([None], ["a"]) == [None]
        assert announced_classes({}, ["a", "b"]) == [None, None]
        found = announced_classes([[1, 0], None], ["a", "b"])
        assert found[0].tolist() == [0, 1]
        assert found[1] is None


class TestPredictions:
    @pytest.mark.parametrize(
        ("kinds", "joined"),
        [("bb", "b"), ("bi", "i"), ("if", "f"), ("UU", "U"), ("Ui", "O"), ("OU", "O")],
    )
    def test_an_array_of_the_widest_type(self, kinds, joined):
        columns = {
            "b": np.array([True, False]),
            "i": np.array([1, 0]),
            "f": np.array([1.0, 0.0]),
            "U": np.array(["1", "0"]),
            "O": np.array(["1", "0"], dtype=object),
        }
        found = join_columns([columns[kind] for kind in kinds])
        assert (found.dtype.kind, found.shape) == (joined, (2, 2))
        for k, kind in enumerate(kinds):
            np.testing.assert_array_equal(found[:, k], columns[kind])
        alone = join_columns([columns[kinds[0]]])
        assert (alone.dtype.kind, alone.shape) == (kinds[0], (2,))

    def test_a_frame_keeps_the_types(self):
        labels = pd.Index([3, "a"])
        found = join_columns([np.array([1, 2]), np.array([0.5, 1.5])], labels)
        assert found.columns.tolist() == [3, "a"]
        assert [dtype.kind for dtype in found.dtypes] == ["i", "f"]

    def test_probabilities_and_labels(self):
        two = LabelTask("a", np.array(["n", "y"]))
        three = LabelTask("b", np.array([5, 6, 7]))
        assert [(t.kind, t.units) for t in (two, three)] == [
            ("binary", 1),
            ("multiclass", 3),
        ]
        logits = np.log([[3.0], [0.25]])
        np.testing.assert_allclose(
            two.probabilities(logits), [[0.25, 0.75], [0.8, 0.2]]
        )
        assert two.decode(logits).tolist() == ["y", "n"]
        logits = np.log([[1.0, 2.0, 1.0], [8.0, 1.0, 1.0]])
        np.testing.assert_allclose(
            three.probabilities(logits), [[0.25, 0.5, 0.25], [0.8, 0.1, 0.1]]
        )
        assert three.decode(logits).tolist() == [6, 5]
        one = LabelTask("c", np.array(["x"]))
        assert (one.is_constant, one.loss_scale, one.units) == (True, 0, 1)
        assert (two.is_constant, two.loss_scale) == (False, 1)
        assert one.decode(np.zeros((2, 1))).tolist() == ["x", "x"]


class TestWeights:
    @pytest.mark.parametrize("shape", [(3,), (3, 2)])
    @pytest.mark.parametrize("dtype", [np.float32, np.int64])
    def test_they_are_float64(self, shape, dtype):
        weights = task_weights(np.ones(shape, dtype), split_columns(np.zeros((3, 2))))
        assert (weights.dtype, weights.shape) == (np.float64, (3, 2))

    @pytest.mark.parametrize("weight", [np.nan, np.inf])
    @pytest.mark.parametrize("shape", [(3,), (3, 2)])
    def test_they_are_finite(self, shape, weight):
        with pytest.raises(ValueError, match=r"sample_weight.* contains"):
            task_weights(np.full(shape, weight), split_columns(np.zeros((3, 2))))

    def test_columns_by_name(self):
        weight = pd.DataFrame({"b": [1, 2], "a": [3, 4]})
        y = pd.DataFrame({"a": [0, 0], "b": [0, 0]})
        targets = split_columns(y)
        assert task_weights(weight, targets).tolist() == [[3, 1], [4, 2]]
        assert task_weights(weight[["b"]], split_columns(y[["a"]])).tolist() == [
            [1],
            [2],
        ]
        with pytest.raises(ValueError, match="sample_weight has 2 columns of other"):
            task_weights(weight, split_columns(y.rename(columns={"b": "c"})))
        for shape in ((2, 3), (3, 2), (3, 3)):
            with pytest.raises(ValueError, match=r"expected \(2,\) or \(2, 2\)"):
                task_weights(np.ones(shape), targets)

    def test_columns_without_names_go_with_those_of_y(self):
        y = pd.DataFrame({"b": [0, 0], "c": [0, 0], "a": [0, 0]})
        weight = np.array([[1, 2, 3], [4, 5, 6]])
        targets = split_columns(y)
        assert task_weights(weight, targets).tolist() == weight.tolist()
        turned = targets.matched(["a", "b", "c"], "It")
        expected = weight[:, [2, 0, 1]].tolist()
        assert task_weights(weight, turned).tolist() == expected
        assert task_weights(weight.tolist(), turned).tolist() == expected
        named = pd.DataFrame(weight, columns=list(y))
        assert task_weights(named, turned).tolist() == expected
        # Names that say nothing of the tasks, which are only counted.
        counted = split_columns(pd.DataFrame(np.zeros((2, 2)))[[1, 0]])
        assert counted.names == ["task_1", "task_0"]
        back = counted.matched(["task_0", "task_1"], "It")
        for two in (weight[:, :2], pd.DataFrame(weight[:, :2], columns=["w1", "w0"])):
            assert task_weights(two, back).tolist() == weight[:, [1, 0]].tolist()
        # Twice turned, and of an array, whose columns are in the order of the tasks.
        again = turned.matched(["c", "b", "a"], "It")
        assert task_weights(weight, again).tolist() == weight[:, [1, 0, 2]].tolist()
        array = split_columns(y.to_numpy()).matched(["a", "b", "c"], "It")
        assert task_weights(weight, array).tolist() == weight.tolist()

    def test_factors_of_classes_where_there_are_any(self):
        """Also of tasks behind a regression, and of one that says nothing."""
        labels, codes = LabelTask("b", np.array([0, 1])), np.array([0, 0, 1])
        tasks = [ValueTask("a", 0.0, 1.0), labels, labels]
        weights = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]])
        counts = count_classes(weights, tasks, [None, codes, codes])
        factors = class_factors(counts, "balanced", tasks)
        assert factors[0] is None
        np.testing.assert_allclose(factors[1], [0.75, 1.5])
        np.testing.assert_allclose(factors[2], [1, 1])
        by_dict = [{}, None, {1: 3}]
        factors = class_factors(counts, by_dict, tasks)
        assert factors[:2] == [None, None]
        np.testing.assert_allclose(factors[2], [1, 3])


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{"cv": 3}, {"early_stopping": True}])
def test_labels_without_weight_decide_nothing(tiny, parameters):
    """Not the folds either, nor the rows that are set aside."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = (X[:, :2] + rng.normal(size=(120, 2)) > 0).astype(int)
    weight = np.ones((120, 2))
    weight[::3, 1] = 0
    other = y.copy()
    other[::3, 1] = 1 - other[::3, 1]
    given = {**tiny, "max_iter": 2, **parameters}
    first, second = (
        MultiTaskMMoEClassifier(**given).fit(X, of_task, sample_weight=weight)
        for of_task in (y, other)
    )
    np.testing.assert_array_equal(
        np.hstack(first.predict_proba(X)), np.hstack(second.predict_proba(X))
    )
