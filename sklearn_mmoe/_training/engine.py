"""The Keras side of the estimators: building, training and evaluating a network.

Plain float arrays or CSR come in, lists of arrays go out; there are no data
frames, labels or estimators here. This is the one module that knows scikeras, which
builds, compiles and fits (:class:`_Trainer`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np

from sklearn_mmoe._batches.arrays import DenseRows
from sklearn_mmoe._training.optimizers import make_optimizer
from sklearn_mmoe.architectures.mmoe import mmoe_network
from sklearn_mmoe.losses import task_loss

# Rows that are made dense and evaluated at once in prediction.
_PREDICTION_ROWS = 4096


def _import_base_wrapper() -> Any:
    """Import scikeras without its changes to Keras' classes.

    ``import scikeras`` replaces ``__reduce__`` of Keras' models, losses, metrics and
    optimizers. Keras 3 pickles all of them itself, so that a user who never asked
    for scikeras keeps Keras as it was. One who imported it first keeps its changes.
    """
    if "scikeras" in sys.modules:
        return importlib.import_module("scikeras.wrappers").BaseWrapper
    changed = (
        keras.Model,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
    )
    names = ("__reduce__", "__deepcopy__")
    before = [(cls, name, vars(cls).get(name)) for cls in changed for name in names]
    wrappers = importlib.import_module("scikeras.wrappers")
    for cls, name, method in before:
        if method is not None:
            setattr(cls, name, method)
        elif name in vars(cls):
            delattr(cls, name)
    return wrappers.BaseWrapper


class _Trainer(_import_base_wrapper()):  # type: ignore[misc]
    """scikeras' wrapper, reduced to building, compiling and fitting.

    Validation and the encoding of targets are done before, on scikit-learn's side;
    here they would make CSR dense and copy the data once more. The epochs are our
    own: ``keras.Model.fit`` reads batches through a queue of its own, which takes as
    long as the training step itself where the network is small.
    """

    def _validate_data(
        self, X: Any = None, y: Any = None, reset: bool = False, y_numeric: bool = False
    ) -> tuple[Any, Any]:
        return X, y

    def _fit_keras_model(self, X: _Batches, *args: Any, **kwargs: Any) -> None:
        """Train for `epochs`; scikeras' other arguments have been dealt with."""
        model, batches = self.model_, X
        callbacks = keras.callbacks.CallbackList(
            self._fit_callbacks,
            model=model,
            epochs=kwargs["epochs"],
            steps=len(batches),
            verbose=0,
        )
        model.stop_training = False
        callbacks.on_train_begin()
        logs: dict[str, float] = {}
        for epoch in range(kwargs["epochs"]):
            callbacks.on_epoch_begin(epoch)
            logs = _train_epoch(model, batches, callbacks)
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_weights)
        callbacks.on_train_end(logs)


def _train_epoch(
    model: keras.Model, batches: _Batches, callbacks: keras.callbacks.CallbackList
) -> dict[str, float]:
    """Train on every batch once; return the mean of each loss over the rows."""
    model.reset_metrics()
    with _without_resets(model):
        for step in range(len(batches)):
            callbacks.on_train_batch_begin(step)
            logs = model.train_on_batch(*batches[step], return_dict=True)
            callbacks.on_train_batch_end(step, logs)
    # The losses are means over batches, of which the last one may be partly empty.
    factor = len(batches) * batches.batch_size / batches.n_rows
    losses = {name: loss * factor for name, loss in logs.items()}
    if len(logs) > 1:  # what the sum has beyond the tasks is the penalty, as it is
        penalty = 2 * logs["loss"] - sum(logs.values())
        losses["loss"] += penalty * (1 - factor)
    return losses


@contextlib.contextmanager
def _without_resets(model: keras.Model) -> Iterator[None]:
    """Let metrics run through an epoch, as they do in ``keras.Model.fit``.

    ``train_on_batch`` resets them at each batch, which takes a tenth of a step.
    """
    model.reset_metrics = lambda: None
    try:
        yield
    finally:
        del model.reset_metrics


class _Batches:
    """Batches cut from arrays or CSR; only the rows of one batch are ever copied.

    The features of a batch are valid until the next one is asked for.

    All are of one size, so that the training step is traced once. What the last one
    lacks is filled up by rows of zero weight, so that every row of an epoch counts
    the same.
    """

    def __init__(self, data: TaskData, batch_size: int, seed: int) -> None:
        self._data = data
        self._seed = seed
        self._order = data.rows
        self._dense = DenseRows(data.X, batch_size)
        self.batch_size = batch_size

    @property
    def n_rows(self) -> int:
        return len(self._data.rows)

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def shuffle(self, epoch: int) -> None:
        """Put the rows in the order of this epoch, given by it and the seed alone."""
        rng = np.random.default_rng([self._seed, epoch])
        self._order = rng.permutation(self._data.rows)

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        n_rows = len(rows)
        rows = np.resize(rows, self.batch_size)
        weights = [weight[rows] for weight in self._data.weights]
        for weight in weights:
            weight[n_rows:] = 0
        return (
            self._dense.take(rows),
            [target[rows] for target in self._data.targets],
            weights,
        )


def _dense_parts(X: Any, rows: np.ndarray | None = None) -> Iterator[tuple[Any, int]]:
    """Take X, or rows of it, apart for prediction.

    Gives tensors of one size and the number of rows that each of them begins with;
    what follows these is to be ignored.
    """
    n_rows = X.shape[0] if rows is None else len(rows)
    dense = DenseRows(X, min(n_rows, _PREDICTION_ROWS))
    for start in range(0, n_rows, _PREDICTION_ROWS):
        part = slice(start, min(start + _PREDICTION_ROWS, n_rows))
        yield dense.take(part if rows is None else rows[part]), part.stop - start


@dataclass(frozen=True)
class TaskData:
    """Features and targets, of which only `rows` are used.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features, in the type that the network computes in.
    targets : list of ndarray
        One array for each task, shaped as :func:`sklearn_mmoe.losses.task_loss` says.
    weights : list of ndarray of shape (n_samples,)
        Weights for each task, of mean one over `rows`.
    rows : ndarray of int
        The rows of the arrays above that count.
    """

    X: Any
    targets: list[np.ndarray]
    weights: list[np.ndarray]
    rows: np.ndarray


@dataclass
class History:
    """What a fit recorded, one entry for each epoch.

    Attributes
    ----------
    loss : list of float
        Mean training loss, summed over tasks.
    task_loss : list of list of float
        Mean training loss of each task.
    validation_scores : list of float
        Score of the validation rows, greater being better; empty without them.
    """

    loss: list[float] = field(default_factory=list)
    task_loss: list[list[float]] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained; mostly the estimators' parameters of the same names.

    With `continuing` the optimizer goes on where an earlier such fit left it.
    """

    optimizer: Any
    learning_rate: float
    learning_rate_schedule: str
    weight_decay: float
    batch_size: int
    epochs: int
    seed: int
    n_iter_no_change: int
    tol: float
    continuing: bool = False


class _Recorder(keras.callbacks.Callback):
    """Shuffles before each epoch, records after it, keeps the best weights."""

    def __init__(
        self,
        engine: Engine,
        batches: _Batches,
        plan: TrainingPlan,
        score: Callable[[], float] | None,
        on_epoch_begin: Callable[[int], None] | None,
        on_epoch_end: Callable[[int, History], bool] | None,
    ) -> None:
        super().__init__()
        self.history = History()
        self._engine = engine
        self._batches = batches
        self._plan = plan
        self._score = score
        self._tell_begin = on_epoch_begin
        self._tell_end = on_epoch_end
        self._best_score = -np.inf
        self._best_weights: list[np.ndarray] | None = None
        self._epochs_without_change = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Make all variables that training needs before its step is traced.

        TensorFlow traces a function twice if variables are created in it.
        """
        x, y, weights = self._batches[0]
        self.model.compute_loss(x, y, self.model(x), weights)
        self.model.optimizer.build(self.model.trainable_variables)
        self._engine.restore_training_state()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches.shuffle(epoch)
        if self._tell_begin is not None:
            self._tell_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        n_tasks = len(self._engine.kinds)
        names = [f"task_{k}_loss" for k in range(n_tasks)] if n_tasks > 1 else ["loss"]
        self.history.loss.append(float(logs["loss"]))
        self.history.task_loss.append([float(logs[name]) for name in names])
        if self._score is not None:
            self._watch(self._score())
        if self._tell_end is not None and self._tell_end(epoch, self.history):
            self.model.stop_training = True

    def _watch(self, score: float) -> None:
        """Keep the best weights, and ask for a stop once they no longer change."""
        self.history.validation_scores.append(score)
        # As in scikit-learn's MLPClassifier: an improvement of less than tol is
        # kept, but does not count as a change.
        if score < self._best_score + self._plan.tol:
            self._epochs_without_change += 1
        else:
            self._epochs_without_change = 0
        if score > self._best_score:
            self._best_score = score
            self._best_weights = self.model.get_weights()
        if self._epochs_without_change > self._plan.n_iter_no_change:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self._best_weights is not None:
            self.model.set_weights(self._best_weights)


class Engine:
    """A network and what is needed to train, evaluate and pickle it.

    Parameters
    ----------
    n_features : int
        Number of columns of X.
    kinds : sequence of {'binary', 'multiclass', 'regression'}
        Kind of each task.
    task_units : sequence of int
        Width of each task's output.
    architecture : dict
        Keyword arguments of :func:`sklearn_mmoe.networks.mmoe_network`.
    """

    def __init__(
        self,
        n_features: int,
        kinds: Sequence[str],
        task_units: Sequence[int],
        architecture: Mapping[str, Any],
    ) -> None:
        self.kinds = list(kinds)
        self._builder = functools.partial(
            mmoe_network,
            {"n_features_in_": n_features, "task_units_": list(task_units)},
            **architecture,
        )
        self._network: keras.Model | None = None
        self._weights: list[np.ndarray] | None = None
        self._training_state: list[np.ndarray] | None = None

    @property
    def network(self) -> keras.Model:
        """The network, rebuilt from its weights after unpickling."""
        if self._network is None:
            self._network = self._builder()
            if self._weights is not None:
                self._network.set_weights(self._weights)
                self._weights = None
        return self._network

    @property
    def architecture(self) -> dict[str, Any]:
        """The keyword arguments that the network was built with."""
        return dict(self._builder.keywords)

    @property
    def dtype(self) -> str:
        """What the network computes in."""
        return self.architecture["dtype"]

    def __getstate__(self) -> dict[str, Any]:
        # Networks hold compiled functions; their weights are all there is to keep.
        return {
            "kinds": self.kinds,
            "_builder": self._builder,
            "_network": None,
            "_weights": self.network.get_weights(),
            "_training_state": self._copy_training_state(),
        }

    def fit(
        self,
        data: TaskData,
        plan: TrainingPlan,
        *,
        score: Callable[[], float] | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        on_epoch_begin: Callable[[int], None] | None = None,
        on_epoch_end: Callable[[int, History], bool] | None = None,
    ) -> History:
        """Train from the present weights.

        Parameters
        ----------
        data : TaskData
            What is trained on.
        plan : TrainingPlan
            How it is trained.
        score : callable or None, default=None
            Called after each epoch; with it, training stops when what it returns no
            longer rises, and ends with the weights for which it was highest.
        callbacks : sequence of keras.callbacks.Callback, default=()
            Called by Keras after our own.
        on_epoch_begin, on_epoch_end : callable or None, default=None
            Called as ``on_epoch_begin(epoch)`` and ``on_epoch_end(epoch, history)``;
            training stops when the latter returns true.

        Returns
        -------
        History
            The recorded losses.
        """
        batches = _Batches(data, plan.batch_size, plan.seed)
        recorder = _Recorder(self, batches, plan, score, on_epoch_begin, on_epoch_end)
        trainer = _Trainer(
            model=lambda: self.network,
            optimizer=make_optimizer(
                plan.optimizer,
                plan.learning_rate,
                plan.learning_rate_schedule,
                plan.weight_decay,
                n_steps=plan.epochs * len(batches),
            ),
            loss=[task_loss(kind, self.dtype) for kind in self.kinds],
            epochs=plan.epochs,
            verbose=0,
            callbacks=[recorder, *callbacks],
        )
        if not plan.continuing:
            # Compiled anew for each fit: an optimizer's schedule belongs to one fit.
            self.network.compiled = False
            self._training_state = None
        try:
            trainer.fit(batches, None)
        finally:
            for callback in callbacks:
                callback.set_model(None)
            if not plan.continuing:
                self._drop_training_state()
        return recorder.history

    def _training_variables(self) -> list[Any]:
        """List what training changes beside the weights."""
        layers = self.network.layers
        dropouts = [layer for layer in layers if hasattr(layer, "seed_generator")]
        seeds = [layer.seed_generator.state for layer in dropouts]
        return [*self.network.optimizer.variables, *seeds]

    def _copy_training_state(self) -> list[np.ndarray] | None:
        """Copy that, where it is kept for going on."""
        if not self.network.compiled:
            return self._training_state
        variables = self._training_variables()
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    def restore_training_state(self) -> None:
        """Give optimizer and dropout the state that they had before pickling."""
        if self._training_state is not None:
            variables = self._training_variables()
            for variable, value in zip(variables, self._training_state, strict=True):
                variable.assign(value)
            self._training_state = None

    def _drop_training_state(self) -> None:
        """Forget optimizer, losses and traced functions; keep only the network."""
        network = self._builder()
        network.set_weights(self.network.get_weights())
        self._network = network

    def predict(self, X: Any, rows: np.ndarray | None = None) -> list[np.ndarray]:
        """Evaluate the network without dropout.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Features, in the type that the network computes in.
        rows : ndarray of int or None, default=None
            Rows of X to evaluate; None takes all.

        Returns
        -------
        list of ndarray of shape (n_rows, units)
            Outputs of each task: logits, or standardised targets.
        """
        # Few rows are evaluated eagerly: no tracing, and so none for a new number of
        # rows. More make several parts of one size, for which the network is traced
        # once, after which it takes half the time.
        few = (X.shape[0] if rows is None else len(rows)) <= _PREDICTION_ROWS
        network = self.network
        evaluate = (
            functools.partial(network, training=False)
            if few
            else network.predict_on_batch
        )
        parts = []
        for x, n_rows in _dense_parts(X, rows):
            outputs = keras.tree.flatten(evaluate(x))
            parts.append(
                [keras.ops.convert_to_numpy(output)[:n_rows] for output in outputs]
            )
        return [np.concatenate(task) for task in zip(*parts, strict=True)]

    def mixture(self, X: Any, part: str) -> np.ndarray:
        """Evaluate the experts, or the gates that mix them.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Features, in the type that the network computes in.
        part : {'expert_outputs', 'gate_outputs'}
            Which method of the layer :class:`sklearn_mmoe.layers.MMoE` to call.

        Returns
        -------
        ndarray of shape (n_samples, num_experts, units) or (n_samples, num_gates, \
                num_experts)
            Outputs.
        """
        layer = self.network.get_layer("mmoe")
        below = keras.Model(self.network.input, layer.input)
        outputs = []
        for x, n_rows in _dense_parts(X):
            output = getattr(layer, part)(below(x, training=False))
            outputs.append(keras.ops.convert_to_numpy(output)[:n_rows])
        return np.concatenate(outputs)

    def layers(self) -> list[tuple[str, str, tuple[int, ...], int]]:
        """List name, kind, output shape of a row and number of weights of each layer.

        A layer of several outputs has the shape of all of them, (outputs, units).
        """
        rows = []
        for layer in self.network.layers:
            output = layer.output
            several = isinstance(output, list)
            shape = tuple((output[0] if several else output).shape[1:])
            shape = (len(output), *shape) if several else shape
            rows.append(
                (layer.name, type(layer).__name__, shape, int(layer.count_params()))
            )
        return rows

    def loss(self, data: TaskData) -> float:
        """Give the loss on `data`, summed over tasks, without dropout."""
        total = 0.0
        for k, outputs in enumerate(self.predict(data.X, data.rows)):
            total += float(
                task_loss(self.kinds[k], self.dtype)(
                    data.targets[k][data.rows],
                    outputs,
                    sample_weight=data.weights[k][data.rows],
                )
            )
        return total
