"""Every way of sharing: what it computes, what its gradients reach, how large it is."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe._architectures.sizes import Sizes
from sklearn_mmoe._architectures.weight_counter import count_weights, matched_sizes
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.estimators._parameters import SHARING
from sklearn_mmoe.inspection import (
    GateWeightsDisplay,
    NetworkDisplay,
    expert_outputs,
    expert_use,
    gate_weights,
)
from sklearn_mmoe.networks import multi_task_network

# isort: split
import keras
import tensorflow as tf

META = {"n_features_in_": 5, "task_units_": [1, 3, 1]}
SMALL = {
    "num_experts": 3,
    "num_task_experts": 2,
    "num_levels": 2,
    "expert_units": (6, 4),
    "shared_units": (7,),
    "tower_units": (3,),
}
SHAPES = [
    {"tower_units": (), "num_levels": 3},
    {"shared_units": (), "wide": False},
]
every_way = pytest.mark.parametrize("sharing", SHARING)
# A fit of each takes half a minute in all; two of them stand for the others.
every_way_fitted = pytest.mark.parametrize(
    "sharing",
    [
        way if way in ("single", "ple") else pytest.param(way, marks=pytest.mark.slow)
        for way in SHARING
    ],
)


def network_of(sharing, **parameters):
    """Build a network none of whose weights is zero."""
    parameters = {"dropout": 0.0, "dtype": "float64", **SMALL, **parameters}
    network = multi_task_network(META, sharing=sharing, seed=0, **parameters)
    rng = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(weight + rng.normal(scale=0.3, size=weight.shape))
    return network


class Recomputed:
    """The papers' equations in NumPy, from a network's weights by their names."""

    def __init__(self, network, x, parameters):
        self.x = x
        self.of = {"wide": True, **SMALL, **parameters}
        self.n_tasks = len(META["task_units_"])
        self.weights = {w.path: np.asarray(w) for w in network.weights}

    def dense(self, x, name):
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def stack(self, x, name, sizes, start=0):
        for depth in range(start, len(sizes)):
            x = silu(self.dense(x, f"{name}_{depth}"))
        return x

    def first(self, name, sizes, tasks):
        """Compute the linear models of some tasks, and the first layers."""
        n_linear = sum(META["task_units_"][k] for k in tasks)
        if not self.of["wide"]:
            return None, self.stack(self.x, name, sizes)
        product = self.dense(self.x, f"wide_and_{name}_0" if sizes else "wide")
        linear = product[:, :n_linear]
        if not sizes:
            return linear, self.x
        return linear, self.stack(silu(product[:, n_linear:]), name, sizes, start=1)

    def experts(self, x, layer, group=""):
        names = [
            [f"{layer}/{group}expert_{what}{depth}" for what in ("kernel", "bias")]
            for depth in (["", "_1"] if layer == "mmoe" else ["_0", "_1"])
        ]
        outputs = []
        for i in range(self.weights[names[0][1]].shape[0]):
            h = silu(x @ self.weights[names[0][0]][:, i] + self.weights[names[0][1]][i])
            for kernel, bias in names[1:]:
                h = silu(h @ self.weights[kernel][i] + self.weights[bias][i])
            outputs.append(h)
        return outputs

    def own(self, sizes):
        linear, bodies = zip(
            *(self.first(f"own_{k}", sizes, [k]) for k in range(self.n_tasks)),
            strict=True,
        )
        return linear, list(bodies)

    def shared(self, sizes):
        linear, shared = self.first("shared", sizes, range(self.n_tasks))
        if linear is None:
            return [None] * self.n_tasks, shared
        ends = np.cumsum(META["task_units_"])[:-1]
        return np.split(linear, ends, axis=1), shared

    def bodies(self, sharing):
        return getattr(self, sharing)()

    def single(self):
        return self.own([*self.of["shared_units"], *self.of["expert_units"]])

    def shared_bottom(self):
        sizes = [*self.of["shared_units"], *self.of["expert_units"]]
        linear, bottom = self.shared(sizes)
        return linear, [bottom] * self.n_tasks

    def mmoe(self, n_gates=None):
        linear, shared = self.shared(self.of["shared_units"])
        experts = self.experts(shared, "mmoe")
        mixtures = []
        for k in range(n_gates or self.n_tasks):
            kernel = self.weights["mmoe/gate_kernel"][:, k]
            gates = softmax(shared @ kernel + self.weights["mmoe/gate_bias"][k])
            mixtures.append(sum(gates[:, [i]] * f for i, f in enumerate(experts)))
        return linear, mixtures * (self.n_tasks if n_gates else 1)

    def omoe(self):
        return self.mmoe(1)

    def cgc(self, n_levels=1):
        linear, shared = self.shared(self.of["shared_units"])
        tasks = [shared] * self.n_tasks
        for level in range(n_levels):
            layer = f"cgc_{level}"
            common = self.experts(shared, layer, "shared_")
            own = [self.experts(x, layer, f"task_{k}_") for k, x in enumerate(tasks)]
            mixed = []
            for k, x in enumerate(tasks):
                gates = self.gate(x, f"{layer}/task_{k}_gate")
                seen = [*common, *own[k]]
                mixed.append(sum(gates[:, [i]] * f for i, f in enumerate(seen)))
            if level < n_levels - 1:
                gates = self.gate(shared, f"{layer}/shared_gate")
                seen = [*common, *(f for of_task in own for f in of_task)]
                shared = sum(gates[:, [i]] * f for i, f in enumerate(seen))
            tasks = mixed
        return linear, tasks

    def gate(self, x, name):
        return softmax(
            x @ self.weights[f"{name}_kernel"] + self.weights[f"{name}_bias"]
        )

    def ple(self):
        return self.cgc(self.of["num_levels"])

    def cross_stitch(self):
        sizes = [*self.of["shared_units"], *self.of["expert_units"]]
        linear, xs = self.own(sizes[:1])
        for depth in range(len(sizes)):
            if depth:
                xs = [silu(self.dense(x, f"own_{k}_{depth}")) for k, x in enumerate(xs)]
            alpha = self.weights[f"cross_stitch_{depth}/kernel"]
            xs = [
                sum(alpha[k, other] * x for other, x in enumerate(xs))
                for k in range(self.n_tasks)
            ]
        return linear, xs

    def aitm(self):
        linear, shared = self.shared(self.of["shared_units"])
        sizes = self.of["expert_units"]
        return linear, [
            self.stack(shared, f"own_{k}", sizes) for k in range(self.n_tasks)
        ]

    def outputs(self, sharing):
        linear, bodies = self.bodies(sharing)
        tops = [
            self.stack(body, f"tower_{k}", self.of["tower_units"])
            for k, body in enumerate(bodies)
        ]
        if sharing == "aitm":
            for k in range(1, self.n_tasks):
                tops[k] = self.transferred(tops[k - 1], tops[k], k)
        outputs = []
        for k, top in enumerate(tops):
            logits = self.dense(top, f"tower_{k}_output")
            outputs.append(logits if linear[k] is None else logits + linear[k])
        return outputs

    def transferred(self, before, own, k):
        p = silu(self.dense(before, f"transfer_{k}_0"))
        kernel = self.weights[f"transfer_{k}/kernel"]
        bias = self.weights[f"transfer_{k}/bias"]
        h = [[u @ kernel[:, i] + bias[i] for i in range(3)] for u in (p, own)]
        scores = [(query * key).sum(axis=1) for _, query, key in h]
        weights = softmax(np.stack(scores, axis=1) / np.sqrt(own.shape[1]))
        return sum(weights[:, [i]] * h[i][0] for i in range(2))


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@every_way
@pytest.mark.parametrize("parameters", SHAPES)
def test_the_papers_equations(sharing, parameters):
    x = np.random.default_rng(1).normal(size=(6, 5))
    network = network_of(sharing, **parameters)
    expected = Recomputed(network, x, parameters).outputs(sharing)
    for output, by_hand in zip(network(x), expected, strict=True):
        np.testing.assert_allclose(output, by_hand, rtol=1e-9, atol=1e-9)


def formula(sharing, d, tasks, s, e, t, n, own, levels):
    """Count the weights for one shared layer s, experts of (e1, e2), a tower of t."""
    dense = lambda a, b: (a + 1) * b  # noqa: E731
    K = len(tasks)
    expert = lambda a: dense(a, e[0]) + dense(e[0], e[1])  # noqa: E731
    ends = dense(d, sum(tasks)) + K * dense(e[1], t) + sum(dense(t, c) for c in tasks)
    bottom = dense(d, s)
    level = lambda a: (  # noqa: E731
        (n + K * own) * expert(a) + K * dense(a, n + own)
    )
    return (
        ends
        + {
            "single": K * (bottom + expert(s)),
            "shared_bottom": bottom + expert(s),
            "omoe": bottom + n * expert(s) + dense(s, n),
            "mmoe": bottom + n * expert(s) + K * dense(s, n),
            "cgc": bottom + level(s),
            "ple": bottom
            + level(s)
            + (levels - 1) * level(e[1])
            + dense(s, n + K * own) * (levels > 1)
            + max(levels - 2, 0) * dense(e[1], n + K * own),
            "cross_stitch": K * (bottom + expert(s)) + K**2 * (s + sum(e)),
            "aitm": bottom + K * expert(s) + (K - 1) * (dense(t, t) + 3 * dense(t, t)),
        }[sharing]
    )


@pytest.mark.slow_but_first
@every_way
def test_counts_of_weights(sharing):
    for levels in (1, 3):
        parameters = {**SMALL, "num_levels": levels}
        network = multi_task_network(META, sharing=sharing, seed=0, **parameters)
        expected = formula(sharing, 5, [1, 3, 1], 7, (6, 4), 3, 3, 2, levels)
        assert network.count_params() == expected
        assert count_weights(sharing, Sizes.of(5, [1, 3, 1], parameters)) == expected


@every_way
@pytest.mark.parametrize("to", ["mmoe", "single", 20_000])
def test_sizes_match_within_two_per_cent(sharing, to):
    for tasks, parameters in (
        ([1, 3], {}),
        ([1] * 12, {"expert_units": (48, 24)}),
        ([1, 1], {"shared_units": (), "num_experts": 4}),
    ):
        sizes = Sizes.of(30, tasks, parameters)
        wanted = count_weights(to, sizes) if isinstance(to, str) else to
        matched = count_weights(sharing, matched_sizes(sharing, sizes, to))
        assert matched == pytest.approx(wanted, rel=0.02)


@every_way
def test_matched_sizes_keep_their_proportions(sharing):
    sizes = Sizes.of(30, [1, 3], {"shared_units": (96,), "expert_units": (48, 24)})
    matched = matched_sizes(sharing, sizes, 100_000)
    (shared,), (first, second) = matched.shared_units, matched.expert_units
    assert shared / first == pytest.approx(2, rel=0.05)
    assert first / second == pytest.approx(2, rel=0.05)
    assert matched.tower_units == sizes.tower_units


def test_sizes_that_match_nothing():
    with pytest.raises(ValueError, match="'match_parameters' parameter asks for 20"):
        multi_task_network(META, match_parameters=20)
    with pytest.raises(ValueError, match="'match_parameters' parameter must be one of"):
        multi_task_network(META, match_parameters="some")
    with pytest.raises(ValueError, match="'sharing' parameter must be one of"):
        multi_task_network(META, sharing="some")


def reached(network, task):
    """Return the paths of the weights that one task's output depends on."""
    x = tf.constant(np.random.default_rng(0).normal(size=(8, 5)))
    with tf.GradientTape() as tape:
        output = tf.reduce_sum(network(x)[task] ** 2)
    variables = network.trainable_variables
    gradients = tape.gradient(output, [v.value for v in variables])
    return {
        v.path
        for v, g in zip(variables, gradients, strict=True)
        if g is not None and np.abs(np.asarray(g)).max() > 0
    }


@every_way
def test_what_gradients_reach(sharing):
    network = network_of(sharing, wide=False)
    every = {v.path for v in network.trainable_variables}
    of_task = [reached(network, task) for task in range(3)]
    assert set.union(*of_task) == every  # no weight is idle
    towers = [{p for p in every if p.startswith(f"tower_{k}_")} for k in range(3)]
    own = [
        {p for p in every if p.split("/")[0].split("_")[:2] in (["own", f"{k}"],)}
        for k in range(3)
    ]
    for k, other in ((0, 1), (1, 0), (2, 0)):
        assert towers[k] | own[k] <= of_task[k]
        if sharing != "aitm" or other > k:
            assert not towers[other] & of_task[k]
    common = set.intersection(*of_task)
    if sharing == "single":
        assert not common
    elif sharing in ("cgc", "ple"):
        last = {"cgc": 0, "ple": 1}[sharing]
        assert any(p.startswith("shared_0") for p in common)
        for k in range(3):
            mine = {p for p in every if p.startswith(f"cgc_{last}/task_{k}_")}
            assert mine <= of_task[k]
            for other in {0, 1, 2} - {k}:
                assert not mine & of_task[other]
        if sharing == "ple":  # below the last level, by way of the shared experts
            assert {p for p in every if p.startswith("cgc_0/task_0_expert")} <= common
            gates = {p for p in every if p.startswith("cgc_0/task_0_gate")}
            assert not gates & of_task[1]
    elif sharing == "cross_stitch":
        assert set.union(*own) <= common
    elif sharing == "aitm":
        assert towers[0] - {p for p in towers[0] if "output" in p} <= common
        assert not {p for p in every if p.startswith("transfer_2")} & of_task[1]
    else:
        assert any(p.startswith("shared_0") for p in common)


def test_one_level_of_ple_is_cgc():
    x = np.random.default_rng(1).normal(size=(6, 5))
    networks = [network_of("cgc"), network_of("ple", num_levels=1)]
    for a, b in zip(*(network(x) for network in networks), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow_but_first
@every_way
def test_files_and_configs(sharing, tmp_path):
    network = network_of(sharing, feature_penalty=0.1, shared_units=())
    x = np.random.default_rng(1).normal(size=(6, 5))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    for a, b in zip(network(x), again(x), strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(sum(again.losses)) == pytest.approx(float(sum(network.losses)))


@every_way
@pytest.mark.parametrize("shared_units", [(), (7,)])
def test_the_penalty_is_on_every_kernel_of_the_features(sharing, shared_units):
    network = network_of(sharing, feature_penalty=0.5, shared_units=shared_units)
    kernels = [
        np.asarray(w).reshape(5, -1)
        for w in network.weights
        if "kernel" in w.path and w.shape[0] == 5
    ]
    norms = sum(np.linalg.norm(kernel, axis=1).sum() for kernel in kernels)
    assert float(sum(network.losses)) == pytest.approx(0.5 * norms, rel=1e-3)
    assert kernels


@pytest.mark.slow_but_first
@every_way
def test_seeds_and_dropout(sharing, global_state_stays):
    x = np.random.default_rng(1).normal(size=(6, 5))
    make = {"sharing": sharing, "dtype": "float64", **SMALL}
    first, again, other = (
        multi_task_network(META, seed=seed, **make) for seed in (0, 0, 1)
    )
    assert all(map(np.array_equal, first(x), again(x)))
    assert not np.allclose(first(x)[1], other(x)[1])
    kernels = [
        np.asarray(w)
        for w in first.weights
        if "kernel" in w.path and "cross_stitch" not in w.path
    ]
    flat = [k.ravel()[:6].tolist() for k in kernels]
    assert len({tuple(values) for values in flat}) == len(flat)  # no two are alike
    n_dropouts = sum(isinstance(la, keras.layers.Dropout) for la in first.layers)
    expected = {
        "single": 9 + 3,
        "cross_stitch": 9 + 3,
        "shared_bottom": 3 + 3,
        "aitm": 1 + 6 + 3 + 2,
    }
    assert n_dropouts == expected.get(sharing, 1 + 3)


@pytest.fixture(scope="module")
def mixed_tasks():
    X, y = make_related_tasks(n_samples=400, n_features=6, n_sines=0, random_state=0)
    frame = pd.DataFrame({"hours": y[:, 0], "income": y[:, 1] > y[:, 1].mean()})
    return X, frame


@pytest.fixture(scope="module")
def fitted(mixed_tasks):
    """Return a function that fits an estimator once for each way of sharing."""
    found = {}

    def fit(sharing):
        if sharing not in found:
            found[sharing] = MultiTaskMMoEMixed(
                sharing=sharing, random_state=0, max_iter=8, **FAST
            ).fit(*mixed_tasks)
        return found[sharing]

    return fit


FAST = {
    "num_experts": 2,
    "num_task_experts": 1,
    "expert_units": 8,
    "shared_units": (12,),
    "tower_units": (4,),
    "batch_size": 32,
    "dropout": 0.0,
}


@pytest.mark.slow
@every_way_fitted
def test_fits_and_learns(sharing, fitted, mixed_tasks):
    X, y = mixed_tasks
    model = fitted(sharing)
    predicted = model.predict(X)
    assert np.corrcoef(predicted["hours"], y["hours"])[0, 1] > 0.8
    assert (predicted["income"] == y["income"]).mean() > 0.8
    assert model.n_parameters_ == model.summary()["weights"].sum()
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(again.predict(X), predicted)
    assert again.n_parameters_ == model.n_parameters_


@pytest.mark.slow_but_first
@every_way_fitted
def test_inspection(sharing, fitted, mixed_tasks):
    X, _ = mixed_tasks
    model = fitted(sharing)
    texts = [t.get_text() for t in NetworkDisplay.from_estimator(model).ax_.texts]
    assert texts[0].startswith("6 features")
    assert {"hours\n1 output", "income\n1 output"} <= set(texts)
    if sharing not in ("omoe", "mmoe", "cgc", "ple"):
        for inspect in (gate_weights, expert_outputs, expert_use):
            with pytest.raises(ValueError, match=f"sharing='{sharing}'.*no experts"):
                inspect(model, X)
        return
    gates, experts, use = (
        f(model, X) for f in (gate_weights, expert_outputs, expert_use)
    )
    np.testing.assert_allclose(gates.sum(axis=2), 1, rtol=1e-5)
    assert experts.shape == (400, gates.shape[2], 8)
    names = ["expert 0", "expert 1"]
    if sharing in ("cgc", "ple"):
        names = ["shared 0", "shared 1", "hours 0", "income 0"]
        assert not gates[:, 0, 3].any()
        assert not gates[:, 1, 2].any()
    assert list(use.columns) == names
    network = model.network_
    tops = [network.get_layer(f"tower_{k}_0").input for k in range(2)]
    mixtures = keras.Model(network.input, tops)(X.astype(np.float32), training=False)
    for k, mixture in enumerate(mixtures):
        by_hand = np.einsum("se,seu->su", gates[:, k], experts)
        np.testing.assert_allclose(by_hand, mixture, rtol=1e-4, atol=1e-5)
    ticks = GateWeightsDisplay.from_estimator(model, X).ax_.get_xticklabels()
    assert [t.get_text() for t in ticks] == [n.removeprefix("expert ") for n in names]


def test_networks_of_other_builders_are_not_drawn(labels_data, tiny):
    def network(meta):
        inputs = keras.Input((meta["n_features_in_"],))
        outputs = [keras.layers.Dense(units)(inputs) for units in meta["task_units_"]]
        return keras.Model(inputs, outputs)

    X, y = labels_data
    clf = MultiTaskMMoEClassifier(**tiny, network=network).fit(X, y)
    with pytest.raises(ValueError, match="built by the 'network' parameter"):
        NetworkDisplay.from_estimator(clf)
    with pytest.raises(ValueError, match="no experts and gates"):
        gate_weights(clf, X)


@pytest.mark.slow
@every_way
def test_fits_of_one_kind_of_task(sharing, labels_data, values_data):
    X, y = labels_data
    settings = {"sharing": sharing, "random_state": 0, "max_iter": 10, **FAST}
    clf = MultiTaskMMoEClassifier(**settings).fit(X, y)
    assert clf.score(X, y) > 0.5  # right in both tasks
    X, y = values_data
    reg = MultiTaskMMoERegressor(**settings).fit(X, y)
    assert reg.score(X, y) > 0.5
    alone = MultiTaskMMoERegressor(**settings).fit(X, y[:, 0])
    assert alone.score(X, y[:, 0]) > 0.5


@pytest.mark.parametrize("sharing", ["single", "ple", "aitm", "cross_stitch"])
def test_one_task_alone(sharing):
    for wide in (True, False):
        meta = {"n_features_in_": 5, "task_units_": [2]}
        network = multi_task_network(meta, sharing=sharing, wide=wide, shared_units=())
        assert network(np.ones((3, 5), np.float32)).shape == (3, 2)


@pytest.mark.slow
def test_single_tasks_know_nothing_of_each_other(labels_data):
    X, y = labels_data
    other = y.copy()
    other[:, 1] = np.random.default_rng(0).permutation(1 - other[:, 1])
    settings = {"sharing": "single", "random_state": 0, "max_iter": 3, **FAST}
    settings["dropout"] = 0.3
    clf, changed = (
        MultiTaskMMoEClassifier(**settings).fit(X, targets) for targets in (y, other)
    )
    a, b = clf.predict_proba(X), changed.predict_proba(X)
    np.testing.assert_array_equal(a[0], b[0])
    assert not np.allclose(a[1], b[1])


@pytest.mark.parametrize(
    "sharing", ["single", pytest.param("ple", marks=pytest.mark.slow)]
)
def test_sparse_features(sharing, labels_data):
    X, y = labels_data
    X = np.where(X > 0, X, 0)
    settings = {"sharing": sharing, "random_state": 0, "max_iter": 2, **FAST}
    dense, csr = (
        MultiTaskMMoEClassifier(**settings).fit(features, y).predict_proba(features)
        for features in (X, sparse.csr_matrix(X))
    )
    np.testing.assert_array_equal(dense, csr)


@pytest.mark.slow
def test_search_over_sharing_at_one_size(labels_data):
    X, y = labels_data
    search = GridSearchCV(
        MultiTaskMMoEClassifier(
            match_parameters="mmoe", max_iter=1, random_state=0, **FAST
        ),
        {"sharing": ["single", "ple"]},
        cv=2,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    sizes = Sizes.of(6, [1, 1], {name: FAST[name] for name in list(FAST)[:5]})
    assert best.n_parameters_ == pytest.approx(count_weights("mmoe", sizes), rel=0.02)
