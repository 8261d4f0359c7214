from __future__ import annotations

import inspect

import numpy as np
import pytest

from sklearn_mmoe.networks import mmoe_network, multi_task_network

# isort: split
import keras

META = {"n_features_in_": 5, "task_units_": [1, 3]}


def test_outputs_by_task():
    network = mmoe_network(META, seed=0)
    assert network.input_shape == (None, 5)
    assert network.output_shape == [(None, 1), (None, 3)]
    assert network.output_names == ["task_0", "task_1"]


@pytest.mark.parametrize(
    ("n_outputs", "n_classes", "shapes"),
    [
        (1, None, (None, 1)),
        (1, 2, (None, 1)),
        (1, 4, (None, 4)),
        (2, [2, 3], [(None, 1), (None, 3)]),
    ],
)
def test_scikeras_metadata(n_outputs, n_classes, shapes):
    meta = {"n_features_in_": 5, "n_outputs_": n_outputs, "n_classes_": n_classes}
    if n_classes is None:
        del meta["n_classes_"]
    assert mmoe_network(meta, seed=0).output_shape == shapes


def test_seed_decides_the_weights_and_nothing_else(global_state_stays):
    x = np.ones((3, 5), dtype="float32")
    outputs = [mmoe_network(META, seed=seed)(x)[1] for seed in (0, 0, 1, None)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.allclose(outputs[0], outputs[2])
    assert not np.allclose(outputs[0], outputs[3])


def test_shared_and_tower_layers_may_be_left_out():
    network = mmoe_network(META, shared_units=(), tower_units=(), dropout=0.0, seed=0)
    names = [layer.name for layer in network.layers if layer.weights]
    assert sorted(names) == ["mmoe", "tower_0_output", "tower_1_output", "wide"]
    narrow = mmoe_network(META, shared_units=(), wide=False, seed=0)
    assert [layer.name for layer in narrow.layers][:2] == ["features", "mmoe"]


@pytest.mark.parametrize("wide", [True, False])
def test_one_task_without_a_shared_layer(wide):
    meta = {"n_features_in_": 3, "task_units_": [1]}
    network = mmoe_network(meta, shared_units=(), wide=wide, seed=0)
    assert network(np.ones((5, 3), np.float32)).shape == (5, 1)


@pytest.mark.parametrize("shared_units", [(), (6,), (6, 4)])
def test_wide_adds_a_linear_model_to_every_task(shared_units):
    x = np.random.default_rng(0).normal(size=(20, 5))
    options = {"shared_units": shared_units, "seed": 0, "dtype": "float64"}
    network = mmoe_network(META, **options)
    deep = [np.asarray(output) for output in network(x)]
    kernel = np.random.default_rng(1).normal(size=(5, 4))
    layer = network.get_layer("wide_and_shared_0" if shared_units else "wide")
    weights, bias = layer.get_weights()
    np.testing.assert_array_equal(weights[:, :4], 0)
    weights[:, :4] = kernel
    layer.set_weights([weights, bias])
    both = [np.asarray(output) for output in network(x)]
    np.testing.assert_allclose(both[0] - deep[0], x @ kernel[:, :1], atol=1e-12)
    np.testing.assert_allclose(both[1] - deep[1], x @ kernel[:, 1:], atol=1e-12)
    if shared_units:
        # They start at zero, and leave the other weights as they are without them.
        without = mmoe_network(META, wide=False, **options)
        np.testing.assert_allclose(np.asarray(without(x)[1]), deep[1], atol=1e-12)


def test_activation():
    x = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
    outputs = [
        np.asarray(mmoe_network(META, activation=name, seed=0)(x)[1])
        for name in ("relu", "silu")
    ]
    assert not np.allclose(*outputs)


def test_network_is_saved_and_loaded(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
    network = mmoe_network(META, seed=0)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(np.asarray(again(x)[1]), np.asarray(network(x)[1]))


def test_single_gate():
    network = multi_task_network(META, sharing="omoe", seed=0)
    assert network.get_layer("mmoe").num_tasks == 1
    assert network.output_shape == [(None, 1), (None, 3)]


def test_compile_kwargs_compile():
    network = mmoe_network(META, {"optimizer": "sgd", "loss": ["mse", "mse"]}, seed=0)
    assert network.compiled
    assert not mmoe_network(META, seed=0).compiled


def test_network_is_float32_under_any_policy():
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = mmoe_network(META, seed=0)
        outputs = network(x)
    finally:
        keras.config.set_dtype_policy(before)
    policies = {layer.dtype_policy.name for layer in network.layers[1:]}
    assert policies == {"float32"}
    for output, expected in zip(outputs, mmoe_network(META, seed=0)(x), strict=True):
        np.testing.assert_array_equal(output, expected)


OTHER = {
    "sharing": "ple",
    "num_experts": 3,
    "num_task_experts": 1,
    "num_levels": 1,
    "expert_units": (5, 4),
    "shared_units": (7, 6),
    "tower_units": (4,),
    "match_parameters": "mmoe",
    "task_dependencies": [(1, 0)],
    "gate_dropout": 0.1,
    "gate_temperature": 2.0,
    "load_balance_penalty": 0.3,
    "activation": "relu",
    "wide": False,
    "dropout": 0.3,
    "feature_penalty": 0.5,
    "dtype": "float64",
    "output_activation": "sigmoid",
    "seed": 5,
}


def test_the_public_function_hands_every_parameter_on():
    from sklearn_mmoe._architectures.builders import build_network

    parameters = inspect.signature(multi_task_network).parameters
    assert {*OTHER, "meta", "compile_kwargs"} == set(parameters)
    assert all(parameters[name].default != value for name, value in OTHER.items())
    networks = [multi_task_network(META, **OTHER), build_network(META, **OTHER).model]
    assert networks[0].get_config() == networks[1].get_config()
    for weights in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_array_equal(*weights)
    of_builder = inspect.signature(build_network).parameters
    for name in parameters.keys() & of_builder.keys():
        assert parameters[name].default == of_builder[name].default, name


@pytest.mark.parametrize(
    "parameters",
    [{}, OTHER, {"shared_units": ()}, {"sharing": "cross_stitch"}, {"sharing": "aitm"}],
)
def test_layers_have_names_that_come_again(parameters):
    """So do their weights; TensorFlow keeps something for each name."""
    names = [
        [layer.name for layer in multi_task_network(META, **parameters).layers]
        for _ in range(2)
    ]
    assert names[0] == names[1]
    assert "task_0" in names[0]


def test_losses_by_kind():
    from sklearn_mmoe.losses import task_loss

    target, logit = np.array([[1.0]]), np.array([[0.3]])
    assert float(task_loss("binary")(target, logit)) == pytest.approx(
        np.log1p(np.exp(-0.3)), rel=1e-5
    )
    logits = np.array([[0.1, 0.2, 0.7]])
    expected = np.log(np.exp(logits).sum()) - 0.7
    assert float(task_loss("multiclass")(np.array([2]), logits)) == pytest.approx(
        expected, rel=1e-5
    )
    assert float(task_loss("regression")(target, logit)) == pytest.approx(0.49)
    with pytest.raises(ValueError, match=r"kind must be one of \['binary'"):
        task_loss("hinge")


@pytest.mark.parametrize("shared_units", [(), (8,)])
def test_the_penalty_is_that_of_the_features_weights_alone(shared_units):
    """Of all kernels that meet the features, and of none above them."""
    network = mmoe_network(
        {"n_features_in_": 7, "task_units_": [1, 1]},
        shared_units=shared_units,
        num_experts=3,
        expert_units=(8, 8),
        feature_penalty=0.5,
        seed=0,
    )
    kernels = [
        weight.numpy().reshape(7, -1)
        for layer in network.layers
        for weight in layer.weights
        if "kernel" in weight.name and weight.shape[0] == 7
    ]
    norms = sum(np.linalg.norm(kernel, axis=1).sum() for kernel in kernels)
    assert sum(map(float, network.losses)) == pytest.approx(0.5 * norms, rel=1e-3)
    assert len(kernels) == (
        1 if shared_units else 3
    )  # the linear models, experts, gates
    plain = mmoe_network({"n_features_in_": 7})
    assert plain.losses == []
    copy = type(network).from_config(network.get_config())
    assert len(copy.losses) == len(network.losses)
