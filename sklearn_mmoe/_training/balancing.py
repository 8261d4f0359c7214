"""Weights between the tasks' losses: one class for each published way to find them.

What they remember from batch to batch are variables, so that a trainer that is kept for
the next fit can be brought to the start, and ``partial_fit`` can go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
import tensorflow as tf

from sklearn_mmoe._training.optimizers import FusedAdamW

__all__ = ["Weighting", "make_weighting"]

# Learning rate of weights that are learned themselves (Chen et al., section 4).
_RATE = 0.025


class Weighting:
    """Base class of what weighs the tasks in the course of training.

    Weights that the user gave multiply what it finds.

    Parameters
    ----------
    kinds : sequence of {'binary', 'multiclass', 'regression'}
        Kind of each task.
    dtype : {'float32', 'float64'}
        Type that the network computes in.

    Attributes
    ----------
    variables : list of keras.Variable
        All that it remembers.
    """

    # Whether the gradients of single tasks are asked for.
    by_task = False

    def __init__(self, kinds: Sequence[str], dtype: str) -> None:
        self._n_tasks = len(kinds)
        self._dtype = dtype
        self._given = self._variable(np.ones(len(kinds)))
        self.variables: list[Any] = []

    def _variable(self, start: Any, dtype: str | None = None) -> Any:
        return keras.Variable(start, dtype=dtype or self._dtype, trainable=False)

    def _remember(self, *starts: Any) -> list[Any]:
        """Make variables that every fit begins with these values in."""
        made = [self._variable(start) for start in starts]
        self.variables += made
        return made

    def _learned_by(self, variable: Any) -> Any:
        """Make the optimizer of a variable; it is remembered too."""
        optimizer = FusedAdamW(learning_rate=_RATE, weight_decay=0.0)
        optimizer.build([variable])
        # Each device knows the losses of all, and so the whole gradient.
        optimizer._all_reduce_sum_gradients = list
        self.variables += optimizer.variables
        return optimizer

    def give(self, task_weight: Sequence[float]) -> None:
        """Set the weights that all others are multiplied by."""
        self._given.assign(np.asarray(task_weight, dtype=self._dtype))

    def seed(self, seed: int) -> None:
        """Begin anew what is drawn at random."""

    def end_epoch(self, losses: np.ndarray) -> None:
        """Take note of the mean loss of each task in an epoch."""

    def gradients(
        self,
        tape: tf.GradientTape,
        losses: Sequence[Any],
        penalty: Any,
        shares: Any,
        variables: Sequence[Any],
    ) -> tuple[list[Any], Any]:
        """Compute the gradient to follow, inside the traced step.

        Parameters
        ----------
        tape : GradientTape
            What the losses were recorded on; it can be asked several times.
        losses : sequence of tensor of shape ()
            Loss of each task, a sum over rows divided by the size of the batch.
        penalty : tensor of shape ()
            What regularizers add.
        shares : tensor of shape (n_tasks,)
            Mean weight of the batch's rows in each task; 0 where none has a target.
        variables : sequence of Variable
            The network's weights.

        Returns
        -------
        gradients : list of tensor
            A gradient for each variable.
        weights : tensor of shape (n_tasks,)
            What the loss of each task was multiplied by.
        """
        weights = self._given.value * self.weigh(losses, shares)
        gradients = tape.gradient(
            [*losses, penalty],
            variables,
            output_gradients=[*tf.unstack(weights), tf.ones_like(penalty)],
        )
        return gradients, weights

    def weigh(self, losses: Sequence[Any], shares: Any) -> Any:
        """Return a weight for each task, to be multiplied by the given ones."""
        raise NotImplementedError


class Uncertainty(Weighting):
    r"""Learned noise of each task (Kendall et al., CVPR 2018 [1]_).

    Minimises :math:`L_k / (2 \sigma_k^2) + \log \sigma_k` for a regression (equation
    7) and :math:`L_k / \sigma_k^2 + \log \sigma_k` for a classification (equation 10).
    :math:`\log \sigma_k^2` is what is learned; it begins with 0. At the optimum
    :math:`\sigma_k^2` is a regression's loss, and twice a classification's.

    References
    ----------
    .. [1] Kendall, A., Gal, Y., & Cipolla, R. (2018). "Multi-task learning using
       uncertainty to weigh losses for scene geometry and semantics". CVPR 2018.
       https://arxiv.org/abs/1705.07115
    """

    def __init__(self, kinds: Sequence[str], dtype: str) -> None:
        super().__init__(kinds, dtype)
        factors = [0.5 if kind == "regression" else 1.0 for kind in kinds]
        self._factors = np.asarray(factors, dtype=dtype)
        (self._log_variances,) = self._remember(np.zeros(len(kinds)))
        self._optimizer = self._learned_by(self._log_variances)

    def weigh(self, losses: Sequence[Any], shares: Any) -> Any:
        weights = self._factors * tf.exp(-self._log_variances.value)
        gradient = 0.5 - weights * tf.stack(losses)
        self._optimizer.apply([gradient], [self._log_variances])
        return weights


class DynamicWeightAverage(Weighting):
    r"""How fast each task has learned lately (Liu, Johns & Davison, CVPR 2019 [1]_).

    :math:`w_k = K \, \mathrm{softmax}_k(r_k / T)` with :math:`T = 2` and :math:`r_k`
    the loss of the last epoch divided by that of the one before (equation 7); 1 in
    the first two epochs.

    References
    ----------
    .. [1] Liu, S., Johns, E., & Davison, A. J. (2019). "End-to-end multi-task learning
       with attention". CVPR 2019. https://arxiv.org/abs/1803.10704
    """

    temperature = 2.0

    def __init__(self, kinds: Sequence[str], dtype: str) -> None:
        super().__init__(kinds, dtype)
        n_tasks = len(kinds)
        self._weights, self._last = self._remember(np.ones(n_tasks), np.zeros(n_tasks))

    def end_epoch(self, losses: np.ndarray) -> None:
        before = self._last.value.numpy()
        # A call of partial_fit may bring no targets for a task, whose loss is then 0.
        known = (before > 0) & (losses > 0)
        ratios = np.divide(losses, before, out=np.ones(len(losses)), where=known)
        powers = np.exp((ratios - ratios.max()) / self.temperature)
        self._weights.assign((len(losses) * powers / powers.sum()).astype(self._dtype))
        last = np.where(losses > 0, losses, before)
        self._last.assign(last.astype(self._dtype))

    def weigh(self, losses: Sequence[Any], shares: Any) -> Any:
        return self._weights.value


class LossBalanced(Weighting):
    r"""What is left to learn of each task (Liu, Liang & Gitter, AAAI 2019 [1]_).

    :math:`w_k = (L_k / L_k^{(0)})^\alpha` with :math:`\alpha = 0.5`, where
    :math:`L_k^{(0)}` is the loss of the first batch that has targets of the task. Both
    are means over the rows that have one, so that it does not matter how many those of
    a batch are.

    References
    ----------
    .. [1] Liu, S., Liang, Y., & Gitter, A. (2019). "Loss-balanced task weighting to
       reduce negative transfer in multi-task learning". AAAI 2019.
       https://doi.org/10.1609/aaai.v33i01.33019977
    """

    alpha = 0.5

    def __init__(self, kinds: Sequence[str], dtype: str) -> None:
        super().__init__(kinds, dtype)
        (self._first,) = self._remember(np.zeros(len(kinds)))

    def weigh(self, losses: Sequence[Any], shares: Any) -> Any:
        return _relative_losses(losses, shares, self._first) ** self.alpha


class GradientWeighting(Weighting):
    """Base class of what looks at the tasks' gradients one by one.

    Shared are the single weights that more than one task moves in a batch, whatever
    the architecture; one fused kernel may hold weights of one task alone beside them.
    """

    by_task = True

    def gradients(
        self,
        tape: tf.GradientTape,
        losses: Sequence[Any],
        penalty: Any,
        shares: Any,
        variables: Sequence[Any],
    ) -> tuple[list[Any], Any]:
        zero = tf.UnconnectedGradients.ZERO
        of_tasks = [
            tape.gradient(loss, variables, unconnected_gradients=zero)
            for loss in losses
        ]
        # For each variable the gradients of all tasks, (n_tasks, size).
        stacked = [
            tf.stack([tf.reshape(gradient, [-1]) for gradient in gradients])
            for gradients in zip(*of_tasks, strict=True)
        ]
        shared = [_moved_by_several(gradients) for gradients in stacked]
        products = tf.add_n(
            [
                tf.matmul(gradients * several, gradients, transpose_b=True)
                for gradients, several in zip(stacked, shared, strict=True)
            ]
        )
        of_shared, of_own = self.coefficients(products, losses, shares)
        of_penalty = tape.gradient(penalty, variables, unconnected_gradients=zero)
        combined = [
            tf.reshape(
                several * tf.linalg.matvec(gradients, of_shared, transpose_a=True)
                + (1 - several) * tf.linalg.matvec(gradients, of_own, transpose_a=True),
                tf.shape(own),
            )
            + own
            for gradients, several, own in zip(stacked, shared, of_penalty, strict=True)
        ]
        return combined, of_shared

    def coefficients(
        self, products: Any, losses: Sequence[Any], shares: Any
    ) -> tuple[Any, Any]:
        """Say how the gradients of the tasks add up.

        Parameters
        ----------
        products : tensor of shape (n_tasks, n_tasks)
            Products of each two tasks' gradients by the shared weights.
        losses : sequence of tensor of shape ()
            Loss of each task.
        shares : tensor of shape (n_tasks,)
            Mean weight of the batch's rows in each task.

        Returns
        -------
        of_shared, of_own : tensor of shape (n_tasks,)
            What the gradients by shared weights, and by those of one task alone, are
            multiplied by.
        """
        raise NotImplementedError


class GradNorm(GradientWeighting):
    r"""Gradients of equal norm, tasks of equal pace (Chen et al., ICML 2018 [1]_).

    :math:`G_k` is the norm of the gradient of :math:`w_k L_k` by the shared weights.
    The :math:`w_k` descend on :math:`\sum_k | G_k - \bar G r_k^\alpha |` with
    :math:`\alpha = 1.5` (equation 2), :math:`r_k` being :math:`L_k / L_k^{(0)}` divided
    by its mean over tasks; the mean of the :math:`w_k` stays 1. Their logarithms are
    what is learned, so that none becomes negative.

    References
    ----------
    .. [1] Chen, Z., Badrinarayanan, V., Lee, C.-Y., & Rabinovich, A. (2018).
       "GradNorm: Gradient normalization for adaptive loss balancing in deep multitask
       networks". ICML 2018. https://arxiv.org/abs/1711.02257
    """

    alpha = 1.5

    def __init__(self, kinds: Sequence[str], dtype: str) -> None:
        super().__init__(kinds, dtype)
        self._first, self._logs = self._remember(*2 * [np.zeros(len(kinds))])
        self._optimizer = self._learned_by(self._logs)

    def coefficients(
        self, products: Any, losses: Sequence[Any], shares: Any
    ) -> tuple[Any, Any]:
        weights = tf.exp(self._logs.value)
        norms = weights * tf.sqrt(tf.linalg.diag_part(products))
        counts = tf.cast(shares > 0, self._dtype)  # 0 where the batch has no target
        paces = _relative_losses(losses, shares, self._first)
        paces = paces / _mean_of(paces, counts)
        target = _mean_of(norms, counts) * paces**self.alpha
        # By the logarithms; the targets count as constants.
        gradient = counts * tf.sign(norms - target) * norms
        self._optimizer.apply([gradient], [self._logs])
        excess = tf.math.log(tf.reduce_mean(tf.exp(self._logs.value)))
        self._logs.assign(self._logs.value - excess)
        weights = self._given.value * weights
        return weights, weights


class PCGrad(GradientWeighting):
    r"""Gradients without what opposes other tasks (Yu et al., NeurIPS 2020 [1]_).

    From each task's gradient :math:`g_i` its part along :math:`g_j` is taken,
    :math:`(g_i \cdot g_j) / \lVert g_j \rVert^2 \, g_j`, wherever that is opposed to
    :math:`g_j`, for the other tasks :math:`j` in a random order (algorithm 1). Only
    shared weights take part; those of one task alone keep its gradient, and the
    penalty's gradient is added as it is.

    All of that are sums of the tasks' gradients, whose coefficients the products of
    each two of them decide. So what is computed are these coefficients; their sums
    over :math:`i` are what each task's loss is multiplied by.

    References
    ----------
    .. [1] Yu, T., Kumar, S., Gupta, A., Levine, S., Hausman, K., & Finn, C. (2020).
       "Gradient surgery for multi-task learning". NeurIPS 2020.
       https://arxiv.org/abs/2001.06782
    """

    def __init__(self, kinds: Sequence[str], dtype: str) -> None:
        super().__init__(kinds, dtype)
        # A seed, and the number of draws from it.
        self._random = self._variable([0, 0], "int32")
        self.variables.append(self._random)

    def seed(self, seed: int) -> None:
        self._random.assign([seed, 0])

    def coefficients(
        self, products: Any, losses: Sequence[Any], shares: Any
    ) -> tuple[Any, Any]:
        n, given = self._n_tasks, self._given.value
        products = given[:, None] * products * given
        order = tf.random.experimental.stateless_shuffle(
            tf.range(n), seed=self._random.value
        )
        self._random.assign_add([0, 1])

        def without(position: Any, rows: Any) -> tuple[Any, Any]:
            """Take their parts along one task's gradient from all others' gradients."""
            j = order[position]
            along = tf.minimum(tf.linalg.matvec(rows, products[:, j]), 0)
            along = tf.math.divide_no_nan(along, products[j, j])
            is_j = tf.one_hot(j, n, dtype=self._dtype)
            return position + 1, rows - (along * (1 - is_j))[:, None] * is_j

        # A row for each projected gradient: what it has of each task's.
        _, rows = tf.while_loop(
            lambda position, _: position < n,
            without,
            (tf.constant(0), tf.eye(n, dtype=self._dtype)),
            parallel_iterations=1,
        )
        return given * tf.reduce_sum(rows, axis=0), given


WEIGHTINGS: dict[str, type[Weighting]] = {
    "uncertainty": Uncertainty,
    "dwa": DynamicWeightAverage,
    "lbtw": LossBalanced,
    "gradnorm": GradNorm,
    "pcgrad": PCGrad,
}


def make_weighting(name: str, kinds: Sequence[str], dtype: str) -> Weighting:
    """Make what `task_weighting` names; see :class:`Weighting`."""
    return WEIGHTINGS[name](kinds, dtype)


def _relative_losses(losses: Sequence[Any], shares: Any, first: Any) -> Any:
    """Divide each task's loss by its first one, which a variable remembers.

    Both are means over the rows that have a target; 1 where the batch has none.
    """
    means = tf.math.divide_no_nan(tf.stack(losses), shares)
    known = tf.where(first.value > 0, first.value, means)
    first.assign(known)
    ratios = tf.math.divide_no_nan(means, known)
    return tf.where((shares > 0) & (known > 0), ratios, tf.ones_like(ratios))


def _mean_of(values: Any, counts: Any) -> Any:
    """Average over the tasks that the batch has targets of."""
    return tf.math.divide_no_nan(tf.reduce_sum(counts * values), tf.reduce_sum(counts))


def _moved_by_several(gradients: Any) -> Any:
    """Return 1 for each weight that more than one task moves, 0 for the others."""
    n_moving = tf.math.count_nonzero(gradients, axis=0, dtype=tf.int32)
    return tf.cast(n_moving > 1, gradients.dtype)
