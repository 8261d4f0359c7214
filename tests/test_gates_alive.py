"""What keeps gates from relying on few experts, and what tells that they do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoERegressor
from sklearn_mmoe.inspection import expert_use
from sklearn_mmoe.layers import CGC, MMoE


def layer(**options):
    """Make a layer of five experts and two gates, and its input."""
    initializer = keras.initializers.RandomNormal(stddev=1.0, seed=0)
    made = MMoE(3, 5, 2, gate_kernel_initializer=initializer, **options)
    return made, np.random.default_rng(0).normal(size=(40, 4)).astype("float32")


class TestLayer:
    def test_temperature_divides_the_logits(self):
        plain, x = layer()
        hot, _ = layer(gate_temperature=4.0)
        gates = [np.asarray(made.gate_outputs(x)) for made in (plain, hot) if made(x)]
        expected = gates[0] ** 0.25
        expected /= expected.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(gates[1], expected, rtol=1e-4)

    @pytest.mark.parametrize("shape", [(40, 4), (3, 40, 4), (2, 3, 40, 4)])
    def test_dropped_shares_are_shared_out(self, shape):
        made, _ = layer(gate_dropout=0.4, seed=1)
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        made(x)
        gates = made.gate_outputs(x)
        dropped = np.asarray(made._drop(gates))
        np.testing.assert_allclose(dropped.sum(axis=-1), 1, rtol=1e-5)
        is_kept = dropped > 0
        assert is_kept.mean() == pytest.approx(0.6, abs=0.06)
        assert is_kept.any(axis=-1).all()
        # Those that are kept stay in proportion.
        whole = np.asarray(gates) * is_kept
        expected = whole / whole.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(dropped, expected, rtol=1e-5)

    def test_dropout_is_for_training_alone(self):
        made, x = layer(gate_dropout=0.5, seed=1)
        still = [np.asarray(made(x)[0]) for _ in range(2)]
        moved = [np.asarray(made(x, training=True)[0]) for _ in range(2)]
        np.testing.assert_array_equal(*still)
        assert not np.allclose(*moved)
        again, _ = layer(gate_dropout=0.5, seed=1)
        again(x)
        again.set_weights(made.get_weights())
        np.testing.assert_array_equal(again(x, training=True)[0], moved[0])

    def test_all_dropped_means_none(self):
        made, x = layer(gate_dropout=0.999, seed=1)
        assert np.isfinite(made(x, training=True)[0]).all()

    @pytest.mark.parametrize("shape", [(40, 4), (3, 40, 4)])
    def test_the_penalty_is_the_squared_coefficient_of_variation(self, shape):
        made, _ = layer(load_balance_penalty=0.7)
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        made(x)
        assert made.losses == []
        made(x, training=True)
        gates = np.asarray(made.gate_outputs(x)).reshape(-1, 40, 2, 5)
        sums = gates.sum(axis=(1, 2))
        expected = 0.7 * (sums.std(axis=1) / sums.mean(axis=1)) ** 2
        assert float(made.losses[0]) == pytest.approx(expected.mean(), rel=1e-4)

    @pytest.mark.parametrize("kind", ["MMoE", "CGC"])
    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
    def test_the_penalty_over_many_rows_in_half_precision(self, kind, policy):
        x = np.random.default_rng(0).normal(size=(8192, 4)).astype("float32")
        penalties = []
        for dtype in ("float32", policy):
            options = {"load_balance_penalty": 1.0, "dtype": dtype}
            made = (
                MMoE(4, 4, 2, **options)
                if kind == "MMoE"
                else CGC(4, 3, 2, 2, **options)
            )
            made(x)
            made.set_weights(penalties[0][1] if penalties else made.get_weights())
            made(x, training=True)
            penalties.append((float(made.losses[0]), made.get_weights()))
        assert penalties[1][0] == pytest.approx(penalties[0][0], rel=0.05)

    def test_one_expert_has_no_shares(self):
        made = MMoE(3, 1, 2, gate_dropout=0.5, load_balance_penalty=1.0)
        x = np.ones((4, 3), dtype="float32")
        np.testing.assert_array_equal(made(x, training=True)[0], made(x)[0])
        assert made.losses == []

    def test_it_is_saved(self):
        options = {
            "gate_dropout": 0.2,
            "gate_temperature": 2.0,
            "load_balance_penalty": 0.1,
            "seed": 3,
        }
        config = MMoE.from_config(layer(**options)[0].get_config()).get_config()
        assert {name: config[name] for name in options} == options

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("gate_dropout", 1.0),
            ("gate_dropout", -0.1),
            ("gate_temperature", 0),
            ("gate_temperature", np.inf),
            ("load_balance_penalty", -1),
            ("load_balance_penalty", np.nan),
        ],
    )
    def test_out_of_range(self, option, value):
        with pytest.raises(ValueError, match=f"`{option}` of MMoE"):
            MMoE(3, 5, 2, **{option: value})


# So cold that each row goes to one expert, which alone then learns from it: the more an
# expert is used, the better it becomes, and the more it is used.
COLD = {
    "num_experts": 8,
    "sharing": "omoe",
    "gate_temperature": 0.01,
    "learning_rate": 0.05,
    "max_iter": 30,
    "dropout": 0.0,
    "wide": False,
}


class TestEstimators:
    def test_expert_use_is_that_of_the_rows_trained_on(
        self, fitted_regressor, values_data, tiny
    ):
        expected = expert_use(fitted_regressor, values_data[0])
        found = fitted_regressor.expert_use_
        assert list(found.columns) == list(expected.columns)
        assert found.index.equals(expected.index)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        one = MultiTaskMMoERegressor(**{**tiny, "num_experts": 1}, sharing="omoe")
        assert one.fit(*values_data).expert_use_.to_numpy().tolist() == [[1.0]] * 2

    def test_few_rows_are_looked_at(self, values_data, tiny, monkeypatch):
        from sklearn_mmoe._training import mixture

        monkeypatch.setattr(mixture, "_GATE_ROWS", 30)
        X, y = values_data
        reg = MultiTaskMMoERegressor(**tiny).fit(X, y)
        np.testing.assert_allclose(reg.expert_use_, expert_use(reg, X[::7]), rtol=1e-4)

    @pytest.mark.slow
    def test_a_dead_expert_is_named_and_the_penalty_revives_it(self, values_data, tiny):
        reg = MultiTaskMMoERegressor(**{**tiny, **COLD})
        with pytest.warns(ConvergenceWarning, match=r"No task uses expert \d") as found:
            reg.fit(*values_data)
        use = reg.expert_use_.max()
        assert use.max() > 0.5
        dead = [name for name in use.index if use[name] < 0.001 / 8]
        assert ", ".join(dead) in str(found[0].message)
        # Slower, and with gates a little less cold, for what follows to be no chance:
        # without the penalty some expert is used by less than 0.02 then.
        reg.set_params(learning_rate=0.02, gate_temperature=0.1)
        reg.set_params(load_balance_penalty=1.0).fit(*values_data)  # does not warn
        assert reg.expert_use_.max().min() > 0.05

    @pytest.mark.slow
    def test_dead_experts_of_single_members_are_not_warned_of(self, values_data, tiny):
        reg = MultiTaskMMoERegressor(**{**tiny, **COLD, "cv": 2}).fit(*values_data)
        assert reg.expert_use_.max().min() < 0.001 / 16

    def test_gates_that_are_all_alike_are_warned_of(self, values_data, tiny):
        reg = MultiTaskMMoERegressor(**{**tiny, "max_iter": 16}, gate_temperature=1e4)
        with pytest.warns(ConvergenceWarning, match="are all alike"):
            reg.fit(*values_data)
        np.testing.assert_allclose(*reg.expert_use_.to_numpy(), atol=1e-3)

    def test_not_where_few_rows_may_leave_nothing_of_them(
        self, values_data, tiny, monkeypatch
    ):
        # All gates are taken to be alike.
        monkeypatch.setattr("sklearn_mmoe.estimators._gates._ALIKE", 2.0)
        reg = MultiTaskMMoERegressor(**{**tiny, "max_iter": 16})
        reg.fit(*values_data)  # a warning would be an error
        limit = "sklearn_mmoe.estimators._training._ROWS_OF_GATES"
        monkeypatch.setattr(limit, 1)
        with pytest.warns(ConvergenceWarning, match="are all alike"):
            reg.fit(*values_data)

    @pytest.mark.slow
    def test_options_train_alike_with_a_kept_trainer(self, labels_data, tiny):
        options = {"gate_dropout": 0.3, "load_balance_penalty": 0.1}
        first, second, plain = (
            MultiTaskMMoEClassifier(**tiny, **more).fit(*labels_data)
            for more in (options, options, {})
        )
        assert first.loss_curve_ == second.loss_curve_ != plain.loss_curve_

    def test_partial_fit_does_not_warn(self, values_data, tiny):
        reg = MultiTaskMMoERegressor(**{**tiny, **COLD}).partial_fit(*values_data)
        assert reg.expert_use_.shape == (2, 8)

    def test_a_network_without_experts_has_no_use_of_them(self, values_data, tiny):
        def network(meta):
            x = keras.Input((meta["n_features_in_"],))
            dense = [keras.layers.Dense(1, name=f"out_{k}")(x) for k in range(2)]
            return keras.Model(x, dense)

        reg = MultiTaskMMoERegressor(**tiny, network=network).fit(*values_data)
        assert reg.expert_use_ is None
