"""The documentation of parameters and attributes that the estimators share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "CALIBRATION",
    "CLASS_WEIGHT",
    "LOSS_OF_BOTH",
    "LOSS_OF_CLASSES",
    "LOSS_OF_REGRESSIONS",
    "TASK_DEPENDENCIES",
    "TASK_TYPES",
    "documented",
]

_PARAMETERS = """num_experts : int, default=8
        Number of experts that all tasks share, with 'omoe', 'mmoe', 'cgc' and 'ple'.
    <task_types>
    <loss>
    sharing : {'single', 'shared_bottom', 'omoe', 'mmoe', 'cgc', 'ple', \
            'cross_stitch', 'aitm'}, default='mmoe'
        How the tasks share what they learn, above the shared layers and below the
        towers; see :doc:`/user_guide/sharing`.

        - 'single': not at all; each task has a separate network.
        - 'shared_bottom': one expert for all tasks, without a gate [4]_.
        - 'omoe': experts that one gate mixes for all tasks (equation 5 of [1]_).
        - 'mmoe': experts that each task mixes with its own gate (equation 6 of [1]_).
        - 'cgc': like 'mmoe', with further experts for each task alone [5]_.
        - 'ple': `num_levels` levels of 'cgc' [5]_.
        - 'cross_stitch': separate layers, after each of which every task continues with
          a learned combination of all tasks' units [6]_.
        - 'aitm': an expert for each task; the tower of a task passes its output on to
          the next task, in the order of y's columns [7]_.
    num_task_experts : int, default=2
        Number of experts that each task has for itself, with 'cgc' and 'ple'.
    num_levels : int, default=2
        Number of levels of experts, with 'ple'.
    expert_units : int or array-like of int, default=32
        Width of each expert; for experts of several layers, the width of each layer.
    shared_units : int or array-like of int, default=(96,)
        Widths of the layers below the experts; ``()`` for none, as in [1]_.
    tower_units : int or array-like of int, default=(16,)
        Widths of the hidden layers of each task's tower; ``()`` for none.
    match_parameters : {'single', 'shared_bottom', ...}, int or None, default=None
        A way of sharing, or a number of weights: `shared_units` and `expert_units` are
        scaled by one factor, so that the network has as many weights as that way of
        sharing has with the unscaled widths. A search over `sharing` then compares
        networks of one size, as [1]_ does. Very small networks may miss it by a few per
        cent; see `n_parameters_`. Of an ensemble, this is the size of each member.
        None does not scale.
    gate_dropout : float, default=0.0
        Share of the gates' weights that each training step drops, in [0, 1); the other
        weights are scaled up to a sum of one [13]_. It keeps a gate from relying on a
        single expert.
    gate_temperature : float, default=1.0
        The gates' logits are divided by this: above 1 the weights of the experts are
        more equal, below 1 they tend to a single expert.
    load_balance_penalty : float, default=0.0
        Strength of a penalty on unequal use of the experts: the squared coefficient of
        variation of their weights, summed over the tasks and the rows of a batch
        [14]_. 0 is none; try 0.1 if an expert is not used.
    <task_dependencies>
    activation : {'silu', 'relu', 'gelu', 'tanh'}, default='silu'
        Activation of the shared layers, the experts and the towers; [1]_ has 'relu'.
    wide : bool, default=True
        Whether a linear model of the features is added to the output of each task
        (the wide part of Wide & Deep learning [2]_). It learns the effect of each
        feature alone, and the experts learn the interactions. Columns of X should be
        on one scale, as :func:`~sklearn_mmoe.preprocessing.make_tabular_preprocessor`
        returns them.
    dropout : float or 'auto', default='auto'
        Share of the units of shared and tower layers that each training step leaves
        out, in [0, 1). 'auto' is 0.2; with `cv`, 0.2 and none are compared.
    feature_penalty : float or 'auto', default='auto'
        Strength of the group lasso [3]_: the sum over features of the norm of their
        weights in the first layer, times this and divided by the root of the number
        of rows, is added to the loss; with 'single' and 'cross_stitch' each task has
        a first layer, and so a sum, of its own. It shrinks features that help little,
        such as the columns of rare categories. 0 is none. 'auto' is 0.0075 for 15,000
        rows or more, and larger for fewer, up to 0.25 for 150 rows or fewer; with `cv`
        others are tried too. ``partial_fit`` counts the rows of its first call, and at
        least 10,000.
    optimizer : str or keras.optimizers.Optimizer, default='adamw'
        One of 'adamw', 'adam', 'nadam', 'lion', 'rmsprop' and 'sgd'. An optimizer
        object is copied, and `learning_rate`, `learning_rate_schedule` and
        `weight_decay` are then ignored: the object has its own.
    learning_rate : float, default=0.01
        Highest learning rate.
    learning_rate_schedule : {'linear', 'constant'}, default='linear'
        'linear' rises linearly to `learning_rate` over the first 15 % of all updates,
        and then falls linearly to zero; 'constant' does not change.
    weight_decay : float or 'auto', default='auto'
        Decoupled weight decay for each update, as a multiple of the learning rate.
        'auto' is 0.1 for 15,000 rows or more, and larger for fewer, up to 2 for 150
        rows or fewer; with `cv` others are tried too. ``partial_fit`` uses that for
        10,000 rows.
    batch_size : int or 'auto', default='auto'
        Rows in one update. 'auto' is the power of two just below n_samples / 50, at
        least 16 (32 with `cv`) and at most 1024.
    max_iter : int or 'auto', default='auto'
        Number of epochs. 'auto' chooses it for about 800 updates (400 with `cv`); an
        update of more than 256 rows counts as several. It is between 8 and 200. With
        `cv`, training goes on for three times as many, and then nine times as many,
        where the weakest regularisation does best and the loss of unseen rows still
        falls: targets without noise need it.
    task_weight : {'observed', 'uniform'}, mapping or sequence of float, \
default='observed'
        How much the loss of each task counts. 'observed': in proportion to the rows in
        which the task's target is observed, so that every target counts the same.
        'uniform': the same for each task, however few rows have its target. If no
        target is missing, both are the same. Or weights by the tasks' names (1 for
        those that are left out) or in their order, instead of 'observed': with targets
        missing, ``{"spend": 1}`` is 'uniform'. They are scaled to mean one, so that
        only their proportions matter. They must be positive: leave a task that is not
        to be learned out of y.
    task_weighting : {'uniform', 'uncertainty', 'dwa', 'lbtw', 'gradnorm', 'pcgrad'}, \
default='uniform'
        How the weights of the tasks change in training, beyond `task_weight`.
        'uniform': they do not change. 'uncertainty' learns the noise of each task [8]_;
        'dwa' gives more weight to tasks whose loss fell least in the last epoch [9]_;
        'lbtw' weights by the root of the loss, relative to that of the first batch
        [10]_; 'gradnorm' brings the gradients of all tasks to one norm, and the tasks
        to one pace [11]_; 'pcgrad' removes the part of each task's gradient that
        opposes the gradients of others [12]_. The last two compute a gradient for each
        task, and take as many times as long. Equal weights are hard to beat, see
        :doc:`/user_guide/weights_between_tasks`. With one task it has no effect.
    <class_weight>
    <calibration>
    early_stopping : bool, default=False
        Whether to set `validation_fraction` of the rows aside (unless ``fit`` is given
        X_val), and to stop when `early_stopping_metric` on them no longer improves. The
        weights of the best epoch are kept, even if training runs to its end.
    early_stopping_metric : str or callable, default='loss'
        What early stopping watches on the validation rows: 'loss' is the training
        loss, summed over tasks; the name of a scikit-learn scorer, such as 'roc_auc',
        is its mean over tasks; or a scorer, such as
        ``task_scorer("roc_auc", "income")``. A greater score is better.
    validation_fraction : float, default=0.1
        Share of the rows to set aside for early stopping<or calibration>, in (0, 1);
        for classifiers stratified by the joint labels of all tasks where these suffice.
    n_iter_no_change : int, default=5
        Number of epochs without improvement of at least `tol` to wait for.
    tol : float, default=1e-4
        Smallest change of `early_stopping_metric` that counts as an improvement.
    cv : int, splitter, iterable, None or 'auto', default='auto'
        Cross-validation within the fit: the number of folds, stratified by all tasks,
        or a splitter or iterable, as scikit-learn's ``cv``; each row must be in the
        test set of one fold, and each task have targets outside each fold. The network
        is then an ensemble. For each of three strengths of regularisation (the usual
        one, very little, and much; of those of `feature_penalty`, `weight_decay` and
        `dropout` that are 'auto') it has one member for each fold, trained on all other
        rows. All members are trained at once, and each strength's are kept from the
        epoch with the lowest loss on the held-out rows. The members' predictions are
        averaged, values or probabilities, with the weight of each strength (a multiple
        of a quarter, often 0) that gives the lowest loss on these rows. Members without
        weight are dropped. None trains one network on all rows, to the last epoch.
        Where a task has fewer than half the targets of another, and at least 50, epochs
        and weights are chosen for it by its own targets, its rows are repeated within
        an epoch, with as much less weight, and additional members learn this task
        alone. 'auto' is 5 if there are at most 10,000 rows, or 30,000 with such a task,
        if a task has at least 30 targets, `max_iter`, `feature_penalty` and
        `weight_decay` are 'auto' too, `optimizer` is a name, `task_weighting` is
        'uniform', and none of `early_stopping`, `warm_start`, `network` and
        `distribute` is used; else None. A warm start and ``partial_fit`` continue with
        the members that were kept, each on all rows and tasks.
    kernel_ridge : {'auto'} or None, default='auto'
        With 'auto' and `cv`, a kernel ridge regression of all tasks [21]_ is fitted
        too. It is averaged with the ensemble if that lowers the loss of the held-out
        rows by more than two standard errors, as it does mostly where rows are few, or
        nearly repeat each other. The fitted estimator, and all that is saved or
        exported of it, then contains the training rows: their features, and their
        targets can be computed from it. None never does that.

        The kernel is exp(-distance / length). Features are standardised (those with a
        standard deviation below 1 are only centred), squashed by tanh, and weighted, if
        that helps, by the gradients of a first fit [22]_. Of classes it predicts the
        probability. A missing target is replaced by what the ensemble predicts. The
        weight is 0, 0.25, 0.5 or 0.75, and the same for all tasks that share their
        epochs, but 0 for a task whose own loss rises by a standard error or more. It is
        also 0 for tasks of another `loss` than 'squared_error' and 'log_loss', of
        `task_dependencies`, and of fewer than 30 targets. Nothing is fitted with more
        than 10,000 rows, 10 folds, or 33 million numbers in X. A fit takes up to half a
        minute longer. A warm start and ``partial_fit`` drop the regression.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the rows, the dropout, the folds and
        the validation split. The same int gives identical predictions on one machine.
        None takes fresh entropy from the operating system. Global random states are
        neither read nor changed.
    verbose : int or bool, default=0
        Whether to show the losses of each task during training: a progress bar in a
        terminal or a notebook if rich is installed, else a line for each epoch.
    warm_start : bool, default=False
        Whether another ``fit`` starts from the present weights, with a new optimizer
        and schedule, instead of from new weights. Classes, and the means and standard
        deviations by which regressions are standardised, stay those of the first fit.
    checkpoint_dir : str, path-like or None, default=None
        Folder in which ``fit`` writes a checkpoint after each epoch, for a fit that may
        be killed. The same ``fit``, called again in another process, continues after
        the last complete epoch and ends with the same weights as an uninterrupted one;
        with other data or parameters it raises an error. Checkpoints are deleted at
        the end of a fit. Each fit needs its own folder, so that the candidates of a
        search cannot share one. The state of `callbacks` is not kept. ``partial_fit``
        writes no checkpoints.
    distribute : {'mirrored', 'multi_worker_mirrored'}, tf.distribute.Strategy or \
None, default=None
        Several devices to train on, each of which computes a share of every batch; see
        :doc:`/user_guide/several_machines`. 'mirrored' takes all GPUs of this machine,
        'multi_worker_mirrored' the processes that the environment variable
        ``TF_CONFIG`` names; each of them calls the same ``fit`` on all rows, and needs
        the same `random_state`. Or a ``MirroredStrategy``,
        ``MultiWorkerMirroredStrategy`` or ``OneDeviceStrategy``, which clones share,
        and for which pickles and files have None. The network is that of one device,
        but for rounding and what `dropout` draws. Predictions are made on one device.
        It cannot be used together with `cv`. None is one device.
    callbacks : keras.callbacks.Callback, list of them or None, default=None
        Keras callbacks, such as :class:`sklearn_mmoe.callbacks.TaskScores`. Their
        logs contain 'loss' and 'task_0_loss', 'task_1_loss', ...; with early stopping
        also 'val_score' (greater is better) and, if it watches the loss, 'val_loss'.
    network : callable or None, default=None
        A function that builds your own network, by the protocol of scikeras'
        ``model=``: called as ``network(meta=...)``, it returns a ``keras.Model`` with
        one input of shape (n_samples, ``meta["n_features_in_"]``) and one output of
        shape (n_samples, ``meta["task_units_"][k]``) for each task k, of logits or
        standardised values (of 'tobit' these and the logarithm of their spread).
        It also gets `compile_kwargs`, `seed` and the parameters above, as far as its
        signature names them. None builds
        :func:`sklearn_mmoe.networks.multi_task_network`.
    dtype : {'float32', 'float64'}, default='float32'
        Type that the network computes in. 'float64' takes about twice the time and
        memory; a check of gradients, or of the equivalence of weights, may need it."""

_ATTRIBUTES = """n_outputs_ : int
        Number of tasks.
    task_names_ : list of str
        Names of the tasks: the columns of y, or ``task_0``, ``task_1``, ...
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features. Defined only if X has names that are all strings.
    network_ : keras.Model
        The trained network. Its outputs are {outputs}.
    n_parameters_ : int
        Number of weights of the network; of an ensemble, of all members.
    n_iter_ : int
        Number of epochs trained.
    t_ : int
        Number of rows times the number of epochs.
    loss_ : float
        Training loss of the last epoch: the sum over tasks, weighted by `task_weight`,
        and the penalty. It does not include the weights of `task_weighting`, so that
        epochs can be compared; neither does `early_stopping_metric='loss'`.
    loss_curve_ : list of float
        Training loss of each epoch.
    task_loss_curves_ : dict of str to list of float
        Training loss of each task in each epoch; with one task, `loss_curve_`.
    task_weights_ : dict of str to list of float
        The weight of each task's loss in each epoch, the mean over its updates:
        `task_weight` times that of `task_weighting`. With 'pcgrad', the weights with
        which the tasks' gradients add up to the one that is used.
    expert_use_ : data frame of shape (n_tasks, n_experts) or None
        Mean weight of each expert in the gate of each task, over at most 2,048 of the
        training rows, as :func:`sklearn_mmoe.inspection.expert_use` returns it, with
        columns 'expert 0', ..., or 'member 0, expert 0', ... for an ensemble. None if
        the network has no mixture of experts, or is your own.
    best_loss_ : float or None
        Lowest training loss; None with early stopping.
    validation_scores_ : list of float or None
        `early_stopping_metric` on the validation rows after each epoch (the loss with
        its sign turned, so that greater is better); None without early stopping.
    best_validation_score_ : float or None
        Highest of `validation_scores_` in the last fit, that of the weights which are
        kept; None without early stopping.
    best_epoch_ : int or None
        The epoch, from 1, whose weights are kept; with `cv`, that of the strength with
        the lowest loss. None without early stopping or cross-validation.
    cv_losses_ : data frame of shape (n_epochs_evaluated, n_strengths) or None
        With cross-validation (`cv`), the loss on the held-out rows: a row for each
        epoch in which it was computed, a column for each strength of regularisation and
        the tasks that were learned with it, (feature_penalty, weight_decay, dropout,
        tasks), over which it is summed: 'all', or the names of tasks of few targets,
        with commas. A task of fewer than 50 targets beside one of more than twice as
        many is in no sum: it decides nothing. Else None.
    cv_weights_ : data frame of shape (n_tasks, n_strengths) or None
        With cross-validation (`cv`), the weight of each strength in the prediction of
        each task, with the columns of ``cv_losses_``; else None. Each row sums to 1.
    cv_shrinkage_ : dict of str to float or None
        With cross-validation (`cv`), how far the members are believed in each task, as
        seen on the held-out rows; else None. With a factor of 1, they are; with less,
        so much is left of the distance of their values from the mean of the training
        targets, or of their logits from those of the classes' shares. Tasks of a rare
        class, and those of which the features tell little, have less than 1. It is 1
        for tasks of another `loss` than 'squared_error' and 'log_loss', of
        `task_dependencies`, and of fewer than 30 targets. ``cv_losses_`` are those
        before; a warm start goes on from members that are shrunk.
    kernel_ridge_weights_ : dict of str to float or None
        With cross-validation (`cv`), the weight of the kernel ridge regression in the
        prediction of each task: 0, 0.25, 0.5 or 0.75; the rest is the members'. If it
        is 0 in all tasks, the estimator contains no training rows. Else None.
    feature_penalty_, weight_decay_, dropout_ : float
        The strength of regularisation that was used, or of several the one with the
        lowest loss in cross-validation."""


TASK_TYPES = """task_types : list or dict of {'classification', 'regression'} or None, \
default=None
        The type of each task, in the order of y's columns or by their names. With None,
        and for tasks that a dict leaves out, it is inferred: numbers with fractions
        are regressions, and so are more than 20 different whole numbers whose dtype is
        not pandas' 'category'; all others are classifications, with a warning where
        that looks wrong: more than 10 different numbers with gaps between them or few
        rows of one, in text too, or a class for nearly each row. Hours of the day,
        months and sizes look like classes, and are not warned of."""

_OF_REGRESSIONS = """'squared_error' predicts means; 'absolute_error' medians; 'huber'
          means of all but far outliers, which it counts by their distance (Huber, 1964,
          with 1.345 standard deviations) [16]_;
        - 'quantile' learns nine quantiles, from 0.025 to 0.975, by the pinball loss;
          ``predict`` returns the median, and ``predict_quantiles`` and
          ``predict_interval`` the others;
        - 'poisson' takes counts, 0 or more, and 'gamma' positive values; the network
          predicts logarithms, and the loss is the deviance of that distribution;
        - 'tobit' takes intervals, a column of pandas' interval dtype, or numbers, in
          which case the value is known: the likelihood of a normal distribution around
          the prediction, with one spread for all rows that is learned too [20]_.
          ``preprocessing.censored_intervals`` makes such a column of '<5'"""
_OF_CLASSES = """'log_loss' is the cross-entropy; 'focal' the same times
          (1 - p)^2, p being the true class' probability, so that rows which are
          predicted well count little [17]_; its probabilities tend to the middle;
        - 'ordinal' is for ordered classes, which have to be numbers: the
          cross-entropies of each step from class to class, added up [18]_"""

LOSS_OF_REGRESSIONS = f"""loss : str, mapping or sequence of str, \
default='squared_error'
        What is trained: one name for all tasks, or names by task or in the tasks'
        order. Tasks that a mapping leaves out have the default.

        - {_OF_REGRESSIONS}."""

LOSS_OF_CLASSES = f"""loss : str, mapping or sequence of str, default='log_loss'
        What is trained: one name for all tasks, or names by task or in the tasks'
        order. Tasks that a mapping leaves out have the default.

        - {_OF_CLASSES}."""

LOSS_OF_BOTH = f"""loss : str, mapping, sequence of str or None, default=None
        What is trained: one name, for the tasks of its type, or names by task or in the
        tasks' order. The others, and all tasks with None, have 'squared_error' or
        'log_loss'. Of regressions

        - {_OF_REGRESSIONS}.

        Of classifications

        - {_OF_CLASSES}."""

CLASS_WEIGHT = """class_weight : 'balanced', dict, list or None, default=None
        Weights of the classes in the loss. 'balanced' weights the classes of every task
        in inverse proportion to their frequency. A dict by the names of tasks, such as
        ``{"status": "balanced"}`` or ``{"status": {"left": 5}}``, says so of some of
        them; so does a list with 'balanced', a dict or None for each task, regressions
        too, in their order. With a single task, ``{class: weight}`` will do. Weights
        are 0 or more; classes that a dict leaves out have weight 1."""

CALIBRATION = """calibration : {'temperature'} or None, default=None
        'temperature' divides the logits of each classification by a number of its own
        before they become probabilities, the one for which the log-loss is least on
        rows that the network was not trained on [19]_; it weighs them as training does.
        The rows are those of X_val, if ``fit`` is given some; with `early_stopping`
        those that it sets aside; else `validation_fraction` of the rows, which are set
        aside and not trained on. The most probable class stays the same (but that of
        the loss 'ordinal' may not). It cannot be used with `warm_start` or
        `task_dependencies`, or in ``partial_fit``. `network_` returns the logits as
        they are before."""

TASK_DEPENDENCIES = """task_dependencies : dict or None, default=None
        Events that happen only after others, such as ``{"purchase": "click"}``, by the
        tasks' names or indices: P(purchase) = P(click) P(purchase | click), trained on
        all rows [15]_. Both tasks have two classes, of which the second is the event.
        Where there was no click there was no purchase, also where that is missing in
        y; a purchase without a click is refused. One may depend on another."""

_REFERENCES = """.. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H.
       (2018). "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007
    .. [2] Cheng, H.-T. et al. (2016). "Wide & Deep Learning for Recommender
       Systems". DLRS 2016. https://arxiv.org/abs/1606.07792
    .. [3] Yuan, M., & Lin, Y. (2006). "Model selection and estimation in regression
       with grouped variables". Journal of the Royal Statistical Society B, 68(1).
       https://doi.org/10.1111/j.1467-9868.2005.00532.x
    .. [4] Caruana, R. (1997). "Multitask Learning". Machine Learning, 28, 41-75.
       https://doi.org/10.1023/A:1007379606734
    .. [5] Tang, H., Liu, J., Zhao, M., & Gong, X. (2020). "Progressive Layered
       Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized
       Recommendations". RecSys 2020. https://doi.org/10.1145/3383313.3412236
    .. [6] Misra, I., Shrivastava, A., Gupta, A., & Hebert, M. (2016). "Cross-Stitch
       Networks for Multi-Task Learning". CVPR 2016.
       https://doi.org/10.1109/CVPR.2016.433
    .. [7] Xi, D. et al. (2021). "Modeling the Sequential Dependence among Audience
       Multi-step Conversions with Multi-task Learning in Targeted Display
       Advertising". KDD 2021. https://doi.org/10.1145/3447548.3467071
    .. [8] Kendall, A., Gal, Y., & Cipolla, R. (2018). "Multi-task learning using
       uncertainty to weigh losses for scene geometry and semantics". CVPR 2018.
       https://arxiv.org/abs/1705.07115
    .. [9] Liu, S., Johns, E., & Davison, A. J. (2019). "End-to-end multi-task
       learning with attention". CVPR 2019. https://arxiv.org/abs/1803.10704
    .. [10] Liu, S., Liang, Y., & Gitter, A. (2019). "Loss-balanced task weighting to
       reduce negative transfer in multi-task learning". AAAI 2019.
       https://doi.org/10.1609/aaai.v33i01.33019977
    .. [11] Chen, Z., Badrinarayanan, V., Lee, C.-Y., & Rabinovich, A. (2018).
       "GradNorm: Gradient normalization for adaptive loss balancing in deep multitask
       networks". ICML 2018. https://arxiv.org/abs/1711.02257
    .. [12] Yu, T., Kumar, S., Gupta, A., Levine, S., Hausman, K., & Finn, C. (2020).
       "Gradient surgery for multi-task learning". NeurIPS 2020.
       https://arxiv.org/abs/2001.06782
    .. [13] Zhao, Z. et al. (2019). "Recommending what video to watch next: a multitask
       ranking system". RecSys 2019. https://doi.org/10.1145/3298689.3346997
    .. [14] Shazeer, N. et al. (2017). "Outrageously large neural networks: the
       sparsely-gated mixture-of-experts layer". ICLR 2017.
       https://arxiv.org/abs/1701.06538"""

# Of parameters that not every estimator has.
_MORE_REFERENCES = {
    15: """Ma, X. et al. (2018). "Entire Space Multi-Task Model: An Effective Approach
       for Estimating Post-Click Conversion Rate". SIGIR 2018.
       https://doi.org/10.1145/3209978.3210104""",
    16: """Huber, P. J. (1964). "Robust estimation of a location parameter". Annals of
       Mathematical Statistics, 35(1). https://doi.org/10.1214/aoms/1177703732""",
    17: """Lin, T.-Y., Goyal, P., Girshick, R., He, K., & Dollar, P. (2017). "Focal loss
       for dense object detection". ICCV 2017. https://arxiv.org/abs/1708.02002""",
    18: """Li, L., & Lin, H.-T. (2007). "Ordinal regression by extended binary
       classification". NeurIPS 2006.""",
    19: """Guo, C., Pleiss, G., Sun, Y., & Weinberger, K. Q. (2017). "On Calibration of
       Modern Neural Networks". ICML 2017. https://arxiv.org/abs/1706.04599""",
    20: """Tobin, J. (1958). "Estimation of relationships for limited dependent
       variables". Econometrica, 26(1), 24-36. https://doi.org/10.2307/1907382""",
    21: """Saunders, C., Gammerman, A., & Vovk, V. (1998). "Ridge Regression Learning
       Algorithm in Dual Variables". ICML 1998.""",
    22: """Radhakrishnan, A., Beaglehole, D., Pandit, P., & Belkin, M. (2024).
       "Mechanism for feature learning in neural networks and backpropagation-free
       machine learning models". Science, 383(6690).
       https://doi.org/10.1126/science.adi5639""",
}


def documented(
    outputs: str,
    loss: str,
    task_types: str = "",
    class_weight: str = "",
    calibration: str = "",
    task_dependencies: str = "",
) -> Callable[[Any], Any]:
    """Fill in the parts of a docstring that the estimators share.

    Parameters
    ----------
    outputs : str
        What the outputs of this estimator's network are.
    loss : str
        Documentation of this parameter.
    task_types, class_weight, calibration, task_dependencies : str, default=""
        Documentation of these parameters, where the estimator has them.

    Returns
    -------
    callable
        Decorator of the class.
    """
    parameters = _PARAMETERS
    some_have = {
        "loss": loss,
        "task_types": task_types,
        "class_weight": class_weight,
        "calibration": calibration,
        "task_dependencies": task_dependencies,
    }
    for name, text in some_have.items():
        line = f"    <{name}>\n"
        parameters = parameters.replace(line, f"    {text}\n" if text else "")
    also = " or calibration" if calibration else ""
    parameters = parameters.replace("<or calibration>", also)
    parts = {
        "%(parameters)s": parameters,
        "%(attributes)s": _ATTRIBUTES.replace("{outputs}", outputs),
        "%(references)s": "\n    ".join(
            [
                _REFERENCES,
                *(
                    f".. [{number}] {text}"
                    for number, text in _MORE_REFERENCES.items()
                    if f"[{number}]_" in parameters
                ),
            ]
        ),
    }

    def fill_in(cls: Any) -> Any:
        if cls.__doc__ is not None:  # python -OO drops docstrings
            for placeholder, text in parts.items():
                cls.__doc__ = cls.__doc__.replace(placeholder, text)
        return cls

    return fill_in
