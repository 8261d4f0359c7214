"""Keras' callbacks as an observer of the training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras

from sklearn_mmoe._training.observer import EpochRecord, Observer

if TYPE_CHECKING:
    from sklearn_mmoe._training.trainer import Trainer

__all__ = ["KerasCallbacks"]

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


class KerasCallbacks(Observer):
    """Calls a user's Keras callbacks as ``keras.Model.fit`` does.

    Their `logs` hold 'loss', the loss of each task ('task_0_loss', ...), and with early
    stopping 'val_score' (greater is better), and 'val_loss' if that is what it watches.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        The callbacks.
    trainer : Trainer
        Has the model that they are given.
    n_epochs, n_batches : int
        How many epochs there will be at most, and batches in each.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        trainer: Trainer,
        n_epochs: int,
        n_batches: int,
    ) -> None:
        self._callbacks = list(callbacks)
        self._trainer = trainer
        self._model = trainer.model
        self._model.stop_training = False
        self._logs: dict[str, float] = {}
        self._list = keras.callbacks.CallbackList(
            self._callbacks,
            model=self._model,
            epochs=n_epochs,
            steps=n_batches,
            verbose=0,
        )

    @property
    def want_batches(self) -> bool:
        """Whether one of them asks to be called at each batch."""
        plain = keras.callbacks.Callback
        return any(
            hook in vars(callback)  # such as those of a LambdaCallback
            or getattr(type(callback), hook, None) is not getattr(plain, hook)
            for callback in self._callbacks
            for hook in _BATCH_HOOKS
        )

    def on_train_begin(self) -> None:
        self._call(self._list.on_train_begin)

    def on_epoch_begin(self, epoch: int) -> None:
        self._call(self._list.on_epoch_begin, epoch)

    def on_batch_begin(self, batch: int) -> None:
        """Call their hooks at a batch's begin."""
        self._call(self._list.on_train_batch_begin, batch)

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Call their hooks at a batch's end."""
        self._call(self._list.on_train_batch_end, batch, logs)

    def on_epoch_end(self, record: EpochRecord) -> None:
        self._logs = logs_of(record)
        self._call(self._list.on_epoch_end, record.epoch, self._logs)
        record.stop = record.stop or bool(self._model.stop_training)

    def on_train_end(self) -> None:
        self._list.on_train_end(self._logs)

    def let_go(self) -> None:
        """Take the model from the callbacks, which would keep it alive."""
        for callback in self._callbacks:
            if isinstance(callback, keras.callbacks.Callback):
                # Not an override of it, which may look at the model.
                keras.callbacks.Callback.set_model(callback, None)

    def _learning_rate(self) -> float:
        # Also where it is a variable of each device.
        return float(self._trainer.optimizer.learning_rate.value.numpy())

    def _call(self, hook: Any, *args: Any) -> None:
        """Call a hook; refuse a change of a learning rate that would not last."""
        if not self._trainer.sets_learning_rate:
            hook(*args)
            return
        before = self._learning_rate()
        hook(*args)
        if self._learning_rate() != before:
            raise ValueError(
                "A callback has changed the learning rate, but "
                "learning_rate_schedule='linear' sets it anew at each update; give the "
                "estimator learning_rate_schedule='constant'."
            )


def logs_of(record: EpochRecord) -> dict[str, float]:
    """Name what is known of an epoch as Keras' callbacks expect it."""
    logs = {"loss": record.loss}
    for k, loss in enumerate(record.task_losses):
        logs[f"task_{k}_loss"] = float(loss)
    if record.validation_score is not None:
        logs["val_score"] = record.validation_score
        if record.validation_name == "loss":
            logs["val_loss"] = -record.validation_score
    return logs
