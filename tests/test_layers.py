"""The layers, on whichever backend Keras runs."""

from __future__ import annotations

import inspect
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from sklearn_mmoe.layers import CGC, AdaptiveInformationTransfer, CrossStitch, MMoE

# isort: split
import keras

BACKEND = keras.backend.backend()


def reference(layer, x):
    """Evaluate equations 6 and 7 of the paper in NumPy, expert by expert."""
    kernel = np.asarray(layer.expert_kernel)
    gate_kernel = np.asarray(layer.gate_kernel)
    experts = []
    for i in range(layer.num_experts):
        h = x @ kernel[:, i]
        if layer.use_expert_bias:
            h = h + np.asarray(layer.expert_bias)[i]
        h = np.maximum(h, 0)
        for hidden, bias in zip(
            layer.hidden_expert_kernels, layer.hidden_expert_biases, strict=True
        ):
            h = h @ np.asarray(hidden)[i]
            if bias is not None:
                h = h + np.asarray(bias)[i]
            h = np.maximum(h, 0)
        experts.append(h)
    outputs = []
    for k in range(layer.num_tasks):
        logits = x @ gate_kernel[:, k]
        if layer.use_gate_bias:
            logits = logits + np.asarray(layer.gate_bias)[k]
        gates = np.exp(logits - logits.max(-1, keepdims=True))
        gates /= gates.sum(-1, keepdims=True)
        outputs.append(sum(gates[..., i, None] * h for i, h in enumerate(experts)))
    return outputs


def random_layer(units=4, **kwargs):
    """Make a layer whose biases are not zero."""
    normal = keras.initializers.RandomNormal
    return MMoE(
        units,
        3,
        2,
        expert_kernel_initializer=normal(stddev=1.0, seed=1),
        expert_bias_initializer=normal(stddev=1.0, seed=2),
        gate_kernel_initializer=normal(stddev=1.0, seed=3),
        gate_bias_initializer=normal(stddev=1.0, seed=4),
        **kwargs,
    )


@pytest.mark.parametrize("shape", [(7, 5), (7, 3, 5)])
@pytest.mark.parametrize("units", [4, (4,), (6, 5, 4)])
@pytest.mark.parametrize(
    ("use_expert_bias", "use_gate_bias"),
    list(itertools.product([True, False], repeat=2)),
)
def test_equals_formula(use_expert_bias, use_gate_bias, units, shape):
    layer = random_layer(
        use_expert_bias=use_expert_bias,
        use_gate_bias=use_gate_bias,
        units=units,
    )
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    outputs = layer(x)
    assert len(outputs) == 2
    for output, expected in zip(outputs, reference(layer, x), strict=True):
        assert tuple(output.shape) == (*shape[:-1], 4)
        # Relative to the outputs, which are of the order of 1 to 10.
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


def gradients(layer, x):
    """Differentiate the sum of squared outputs by every weight."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = sum(keras.ops.sum(output**2) for output in layer(x))
        weights = [weight.value for weight in layer.trainable_variables]
        return [np.asarray(g) for g in tape.gradient(loss, weights)]
    import jax

    def loss(weights):
        outputs, _ = layer.stateless_call(weights, [], x)
        return sum(keras.ops.sum(output**2) for output in outputs)

    weights = [weight.value for weight in layer.trainable_variables]
    return [np.asarray(g) for g in jax.grad(loss)(weights)]


def test_gradients_equal_finite_differences():
    layer = random_layer(units=(5, 4), expert_activation="tanh")
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    layer.build(x.shape)
    analytic = gradients(layer, x)
    assert len(analytic) == 6
    rng = np.random.default_rng(1)
    step = 1e-2
    for weight, gradient in zip(layer.trainable_variables, analytic, strict=True):
        # Along a random direction; one number for each weight.
        direction = rng.normal(size=gradient.shape).astype("float32")
        direction /= np.linalg.norm(direction)
        value = np.asarray(weight)
        losses = []
        for sign in (1, -1):
            weight.assign(value + sign * step * direction)
            losses.append(sum(float((np.asarray(o) ** 2).sum()) for o in layer(x)))
        weight.assign(value)
        numeric = (losses[0] - losses[1]) / (2 * step)
        expected = float((gradient * direction).sum())
        assert numeric == pytest.approx(expected, rel=1e-2, abs=1e-2)


def test_every_expert_has_the_fan_of_its_own_kernel():
    layer = MMoE(64, 16, 8)
    layer.build((None, 256))
    kernel = np.asarray(layer.expert_kernel)
    stds = kernel.std(axis=(0, 2))  # of each expert
    np.testing.assert_allclose(stds, np.sqrt(1 / 256), rtol=0.05)
    gates = np.asarray(layer.gate_kernel)
    np.testing.assert_allclose(gates.std(axis=(0, 2)), np.sqrt(1 / 256), rtol=0.1)


def test_experts_start_different_with_a_seeded_initializer():
    initializer = keras.initializers.GlorotUniform(seed=1)
    layer = MMoE((4, 4), 3, 2, expert_kernel_initializer=initializer)
    layer.build((None, 4))
    kernels = [np.asarray(layer.expert_kernel)[:, i] for i in range(3)]
    kernels += list(np.asarray(layer.hidden_expert_kernels[0]))
    for a, b in itertools.combinations(kernels, 2):
        assert not np.allclose(a, b)
    again = MMoE(
        (4, 4), 3, 2, expert_kernel_initializer=keras.initializers.GlorotUniform(seed=1)
    )
    again.build((None, 4))
    np.testing.assert_array_equal(again.expert_kernel, layer.expert_kernel)


# JAX has no float64 unless it is told to.
@pytest.mark.parametrize(
    "dtype", ["float32", "float64"][: 1 if BACKEND == "jax" else 2]
)
@pytest.mark.parametrize(
    ("name", "n_linear"),
    [("HeUniform", 0), ("HeUniform", 2), ("GlorotUniform", 0), ("HeNormal", 0)],
)
@pytest.mark.parametrize("shape", [(5, 3), (96, 32)])
def test_kernels_are_those_that_keras_draws(name, n_linear, shape, dtype):
    """To the bit, though those of all members are drawn at once."""
    from sklearn_mmoe.layers._building_blocks import LinearAndHidden
    from sklearn_mmoe.layers._members import MemberDense, seeds_of_members

    kind = getattr(keras.initializers, name)
    rows, columns = shape
    layer = MemberDense(
        columns + n_linear,
        num_members=4,
        kernel_initializer=LinearAndHidden(n_linear, seed=7)
        if n_linear
        else kind(seed=7),
        dtype=dtype,
    )
    layer.build((None, rows))
    layer.draw_weights(3)
    drawn = np.asarray(layer.kernel)
    assert not drawn[..., :n_linear].any()
    for kernel, seed in zip(drawn, seeds_of_members(3, 4), strict=True):
        expected = kind(seed=seed)(shape, dtype)
        np.testing.assert_array_equal(kernel[:, n_linear:], expected)


@pytest.mark.skipif(
    "input_axes" not in inspect.signature(keras.initializers.HeUniform).parameters,
    reason="this Keras takes a kernel's axes as they come",
)
def test_kernels_have_the_fan_of_the_axes_that_are_given():
    initializer = keras.initializers.HeUniform(
        seed=1, input_axes=(1,), output_axes=(0,)
    )
    layer = MMoE(400, 2, 2, expert_kernel_initializer=initializer)
    layer.build((None, 4))
    kernel = np.asarray(layer.expert_kernel)[:, 0]
    np.testing.assert_array_equal(kernel, initializer((4, 400), "float32"))
    assert np.abs(kernel).max() <= np.sqrt(6 / 400)


def test_one_expert_is_a_shared_bottom():
    layer = MMoE(4, 1, 2)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    first, second = layer(x)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, reference(layer, x)[0], rtol=1e-5, atol=1e-6)


def test_mask_reaches_every_output():
    x = np.ones((2, 3, 5), dtype="float32")
    x[0, 2] = 0
    masked = keras.layers.Masking()(x)
    outputs = MMoE(4, 3, 2)(masked)
    for output in outputs:
        mask = keras.src.backend.get_keras_mask(output)
        np.testing.assert_array_equal(mask, [[True, True, False], [True] * 3])
    assert MMoE(4, 3, 2).compute_mask(x, None) is None


def test_output_shape_without_computing():
    layer = MMoE(4, 3, 2)
    assert layer.compute_output_shape((None, 7, 5)) == [(None, 7, 4)] * 2
    symbolic = layer(keras.Input((7, 5)))
    assert [tensor.shape for tensor in symbolic] == [(None, 7, 4)] * 2


def test_config_holds_every_argument():
    layer = MMoE(
        [5, 4],
        3,
        2,
        use_expert_bias=False,
        use_gate_bias=False,
        expert_activation="tanh",
        gate_activation="sigmoid",
        expert_kernel_initializer="he_normal",
        gate_bias_initializer="ones",
        expert_kernel_regularizer="l2",
        gate_kernel_constraint="max_norm",
        activity_regularizer="l1",
        name="mixture",
    )
    config = layer.get_config()
    again = MMoE.from_config(config)
    assert again.get_config() == config
    assert again.expert_activation is keras.activations.tanh
    assert isinstance(again.gate_kernel_constraint, keras.constraints.MaxNorm)
    assert again.name == "mixture"
    arguments = MMoE.__init__.__code__.co_varnames[1:22]
    assert set(arguments) - {"kwargs"} <= set(config)


def test_save_and_load_without_custom_objects(tmp_path):
    inputs = keras.Input((5,))
    model = keras.Model(inputs, random_layer(units=(5, 4))(inputs))
    path = tmp_path / "model.keras"
    model.save(path)
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    loaded = keras.saving.load_model(path)
    for a, b in zip(model(x), loaded(x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_regularizers_and_constraints_are_used():
    layer = MMoE(
        4,
        3,
        2,
        expert_kernel_regularizer=keras.regularizers.L2(1.0),
        gate_kernel_constraint="non_neg",
    )
    x = np.ones((2, 5), dtype="float32")
    layer(x)
    expected = (np.asarray(layer.expert_kernel) ** 2).sum()
    assert float(sum(layer.losses)) == pytest.approx(float(expected), rel=1e-5)
    assert isinstance(layer.gate_kernel.constraint, keras.constraints.NonNeg)


def test_activity_regularizer_sees_every_output():
    x = np.ones((2, 5), dtype="float32")
    losses = []
    for factor in (1.0, 2.0):
        layer = random_layer(activity_regularizer=keras.regularizers.L1(factor))
        outputs = layer(x)
        losses.append(float(sum(layer.losses)))
    total = sum(float(np.abs(np.asarray(output)).sum()) for output in outputs)
    assert losses[1] == pytest.approx(2 * losses[0])
    # Versions of Keras differ in whether they divide by the rows of a batch.
    assert losses[0] / total == pytest.approx(0.5) or losses[0] == pytest.approx(total)


@pytest.mark.parametrize("name", ["units", "num_experts", "num_tasks"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_sizes_must_be_positive_ints(name, value):
    arguments = {"units": 4, "num_experts": 3, "num_tasks": 2, name: value}
    with pytest.raises(ValueError, match=f"`{name}` of MMoE must be a positive int"):
        MMoE(**arguments)


def test_input_must_have_features():
    with pytest.raises(ValueError, match="at least two dimensions"):
        MMoE(4, 3, 2)(np.ones(5, dtype="float32"))
    with pytest.raises(ValueError, match="number of features"):
        MMoE(4, 3, 2).build((None, None))


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "jax", reason="this is the run on JAX")
def test_all_this_on_jax():
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "passed" in result.stdout


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


LEADING_AXES = pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7)])


@LEADING_AXES
def test_levels_of_own_and_shared_experts(shape):
    """Equations 1 to 3 of Tang et al. (2020), whatever axes come before the last."""
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(*shape, 5)).astype("float32") for _ in range(3)]
    layer = CGC((6, 4), 3, 2, 2, shared_output=True)
    outputs = layer(xs)
    assert [tuple(o.shape) for o in outputs] == [(*shape, 4)] * 3
    assert layer.compute_output_shape([x.shape for x in xs]) == [(*shape, 4)] * 3

    def experts(group):
        h = xs[group]
        kernels, biases = layer.expert_kernels[group], layer.expert_biases[group]
        h = np.einsum("...i,inu->...nu", h, np.asarray(kernels[0]))
        h = np.maximum(h + np.asarray(biases[0]), 0)
        h = np.einsum("...ni,niu->...nu", h, np.asarray(kernels[1]))
        return np.maximum(h + np.asarray(biases[1]), 0)

    first, second, shared = map(experts, range(3))
    seen = [[shared, first], [shared, second], [shared, first, second]]
    gates = []
    for k, of_gate in enumerate(seen):
        logits = xs[k] @ np.asarray(layer.gate_kernels[k])
        gates.append(softmax(logits + np.asarray(layer.gate_biases[k])))
        mixed = np.concatenate(of_gate, axis=-2)
        expected = np.einsum("...n,...nu->...u", gates[k], mixed)
        np.testing.assert_allclose(outputs[k], expected, rtol=1e-4, atol=1e-5)
    every = np.concatenate([shared, first, second], axis=-2)
    np.testing.assert_allclose(layer.expert_outputs(xs), every, rtol=1e-4, atol=1e-5)
    weights = np.asarray(layer.gate_outputs(xs))
    np.testing.assert_allclose(weights[..., 0, :5], gates[0], rtol=1e-4)
    np.testing.assert_allclose(weights[..., 1, 5:], gates[1][..., 3:], rtol=1e-4)
    assert not weights[..., 0, 5:].any()
    assert not weights[..., 1, 3:5].any()


@LEADING_AXES
def test_cross_stitch_units(shape):
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(*shape, 4)).astype("float32") for _ in range(3)]
    layer = CrossStitch(own_share=0.8)
    outputs = layer(xs)
    np.testing.assert_allclose(
        outputs[1], 0.1 * xs[0] + 0.8 * xs[1] + 0.1 * xs[2], rtol=1e-5, atol=1e-6
    )
    alpha = rng.normal(size=(3, 3, 4)).astype("float32")
    layer.kernel.assign(alpha)
    for k, output in enumerate(layer(xs)):
        expected = sum(alpha[k, other] * x for other, x in enumerate(xs))
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)
    layer.draw_weights()
    np.testing.assert_array_equal(layer(xs)[0], outputs[0])
    assert layer.compute_output_shape([x.shape for x in xs]) == [(*shape, 4)] * 3
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 1.5"):
        CrossStitch(1.5)
    with pytest.raises(ValueError, match=r"widths \[4, 2\]"):
        CrossStitch()([xs[0], xs[1][..., :2]])


@LEADING_AXES
def test_information_transfer(shape):
    rng = np.random.default_rng(0)
    p, q = (rng.normal(size=(*shape, 4)).astype("float32") for _ in range(2))
    layer = AdaptiveInformationTransfer()
    output = layer([p, q])
    assert tuple(output.shape) == layer.compute_output_shape([p.shape, q.shape])
    layer.bias.assign(rng.normal(size=(3, 4)))
    kernel, bias = np.asarray(layer.kernel), np.asarray(layer.bias)
    h = [[u @ kernel[:, i] + bias[i] for u in (p, q)] for i in range(3)]
    scores = [(h[1][u] * h[2][u]).sum(axis=-1) / 2 for u in range(2)]  # root of 4
    weights = softmax(np.stack(scores, axis=-1))
    expected = weights[..., :1] * h[0][0] + weights[..., 1:] * h[0][1]
    np.testing.assert_allclose(layer([p, q]), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="two inputs of one width"):
        AdaptiveInformationTransfer()([p, q[..., :2]])


@pytest.mark.parametrize(
    "layer",
    [
        CGC([6, 4], 3, 2, 2, shared_output=True, input_regularizer="l2", name="level"),
        CrossStitch(0.7, name="stitch"),
        AdaptiveInformationTransfer("he_normal", name="transfer"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configs_of_the_other_layers(layer):
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    arguments = set(inspect.signature(type(layer)).parameters) - {"kwargs"}
    assert arguments <= set(config)


def test_wrong_arguments_of_levels():
    for name in ("num_experts", "num_task_experts", "num_tasks", "units"):
        sizes = {"units": 4, "num_experts": 3, "num_task_experts": 2, "num_tasks": 2}
        with pytest.raises(ValueError, match=f"`{name}` of CGC must be a positive int"):
            CGC(**{**sizes, name: 0})
    with pytest.raises(ValueError, match=r"one input for all, or 3: .* got 2"):
        CGC(4, 3, 2, 2)([np.ones((2, 5), "float32")] * 2)
    with pytest.raises(ValueError, match="CGC needs inputs whose last dimension"):
        CGC(4, 3, 2, 2).build((None, None))
    layer = CGC(4, 3, 2, 2)
    layer(np.ones((2, 5), "float32"))
    one = layer(np.ones((2, 5), "float32"))
    several = layer([np.ones((2, 5), "float32")] * 3)
    np.testing.assert_array_equal(one, several)
    with pytest.raises(ValueError, match=r"built for .* \[5, 5, 5\] .* got \[6, 6"):
        layer(np.ones((2, 6), "float32"))


def test_experts_of_levels_start_different():
    kernel = keras.initializers.GlorotUniform(seed=1)
    layer = CGC((4, 4), 2, 2, 2, True, "relu", kernel, kernel)
    layer.build((None, 4))
    array = keras.ops.convert_to_numpy

    def drawn():
        blocks = [
            block
            for first, second in layer.expert_kernels
            for block in [*np.moveaxis(array(first), 1, 0), *array(second)]
        ]
        gates = [array(gate)[:, :4] for gate in layer.gate_kernels]
        for some in (blocks, gates):
            for a, b in itertools.combinations(some, 2):
                assert not np.allclose(a, b)
        return np.stack(blocks)

    before = drawn()
    layer.draw_weights(1, 1)
    np.testing.assert_array_equal(drawn(), before)  # the same seed, the same weights
    layer.draw_weights(2, 2)
    assert not np.allclose(drawn(), before)


def test_dropout_of_members():
    """Each member drops its own share, and the means stay."""
    from sklearn_mmoe.layers._members import MemberDropout

    layer = MemberDropout([0.0, 0.5, 0.2], seed=0)
    x = np.ones((3, 2000, 5), dtype="float32")
    dropped = np.asarray(layer(x, training=True))
    for member, rate in zip(dropped, layer.rate, strict=True):
        values = {0.0, 1 / (1 - rate)} if rate else {1.0}
        assert {round(float(v), 5) for v in np.unique(member)} == values
        assert np.mean(member == 0) == pytest.approx(rate, abs=0.02)
    assert not np.array_equal(dropped, layer(x, training=True))
    np.testing.assert_array_equal(layer(x, training=False), x)
    again = MemberDropout.from_config(layer.get_config())
    np.testing.assert_array_equal(again(x, training=True), dropped)
