"""The learning curve from one training: expected test loss and accuracy with more samples."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from suffice.checks import Finding
from suffice.errors import InputError
from suffice.forecasting.checks import findings_of, findings_of_estimator, findings_of_sizes
from suffice.forecasting.curves import curve_of_r_squared, loss_curve, metric_curve
from suffice.forecasting.doubts import by_severity
from suffice.forecasting.estimator import Estimator, slope_of
from suffice.forecasting.estimators import AUTO, check_name, estimators_of
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.fine_tuned import LevelSource, measure_problem
from suffice.forecasting.heads import measure_head, measure_regression
from suffice.forecasting.inputs import (
    Labels,
    Table,
    class_labels,
    dense_features,
    group_numbers,
    positive,
    regression_targets,
    strange_scale,
    whole_sizes,
    with_intercept,
)
from suffice.forecasting.levels import Refit
from suffice.forecasting.metrics import Accuracy, Metric, metric_named
from suffice.forecasting.penalty import choose_penalty, choose_regression_penalty
from suffice.forecasting.recipes import IN_WORDS, STRAIGHT, bend_of, check_recipe
from suffice.forecasting.regression import Regressed, in_units, rmse_curve
from suffice.forecasting.slopes import FirstOrder
from suffice.forecasting.slopes.calibrated import FAR
from suffice.problem import Problem, Samples
from suffice.results import CONFIDENCE, Band, LearningCurve, Recipe


def forecast_head(
    features: Table,
    labels: Labels,
    sizes: Sequence[int],
    l2: float | None = None,
    seed: int = 0,
    estimator: str | Estimator = AUTO,
    loss: Literal["cross_entropy", "squared"] = "cross_entropy",
    metrics: Sequence[str] = (),
    recipe: Recipe = "fixed",
    groups: Labels | None = None,
) -> LearningCurve:
    r"""The expected test loss and accuracy of a linear head fitted to k samples, from those at hand alone.

    The head, a softmax regression or one fitted by least squares, minimises the mean loss plus
    :math:`\frac{l_2}{2} ||W||^2`, W of shape (columns + 1, outputs) with an intercept as a feature of ones. With
    the same :math:`l_2` at every size, :math:`k_0` samples at hand and an exponent c close to 1

    .. math:: L(k) = L(k_0) - \frac{s}{k_0} \, \frac{1 - (k / k_0)^{-c}}{c}

    The level :math:`L(k_0)` is estimated by ten-fold cross-validation, extended from nine tenths of the samples to all
    by the curve. The slope s needs one fit with its curvature and the losses of the folds, see
    `suffice.forecasting.slopes.calibrated_slope`. Metrics rise with the fall of the loss, see
    `suffice.forecasting.metrics`. With a penalty that changes with the size the loss falls farther, and with a smaller
    c, see `suffice.forecasting.recipes`.

    The intervals are for the expected value of a training on k samples. They combine the noise of the level with the
    errors of slope and shape, which were measured on other people's data sets.

    Args:
        features: (n, d), an array, a sparse matrix (made dense), a tensor or a data frame; not scaled. More than 16
            million numbers in float32 stay so, and are read in blocks.
        labels: classes 0 to K - 1, (n,); for least squares numbers, (n,) or (n, outputs), from which their mean is
            taken, since the intercept is penalised.
        sizes: k, at least 2; those below n are for comparison.
        l2: the penalty with the samples at hand; None for the one that folds choose.
        seed: random seed of the folds and the traces.
        estimator: of the slope: "calibrated" (the default, "auto"), "noise" (the sandwich), "information" (the
            effective dimension), "combined" (the geometric mean of these two), "symmetric" (the optimism), or any
            other, such as a fitted curve.
        loss: "cross_entropy", or "squared", the mean over outputs: then "accuracy" of the result is :math:`R^2`, and
            "RMSE" is among its metrics; losses in findings are over the variance of the targets.
        metrics: others of a classifier: "balanced accuracy", "macro F1", "AUROC", "recall of class 2" and so on.
        recipe: of the penalty at other sizes k: "fixed", the same; "tuned", the one that folds choose there, as they
            do at hand; "per-sample", :math:`l_2 k_0 / k`, which is one and the same C of scikit-learn.
        groups: of each sample, (n,), such as the patient: samples of one stay in one fold, and the slope counts that
            they resemble each other, see `suffice.forecasting.slopes.design_effect`. More samples are then of more
            groups of the same sizes.

    Raises:
        InputError: features that are not finite, or scaled so that the head cannot be fitted, labels that are not 0 to
            K - 1 with at least two samples each, sizes below 2, a penalty that is not positive, or given where it is
            tuned, an unknown estimator, metric or recipe.

    Example:
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(300, 5))
        >>> y = (x[:, 0] + random.normal(size=300) > 0).astype(int)
        >>> curve = forecast_head(x, y, [600, 1200, 2400], l2=0.01, metrics=["AUROC"])
        >>> bool(curve.loss.mean[0] > curve.loss.mean[2]), curve.status
        (True, 'extrapolated')
        >>> bool(curve.metrics["AUROC"].mean[2] > 0.8)
        True
    """
    if loss not in ("cross_entropy", "squared"):
        raise InputError(f'loss = "{loss}": must be cross_entropy or squared')
    if loss == "squared" and len(metrics):
        raise InputError("metrics are of classifiers: with the loss squared there are R² and RMSE")
    check_recipe(recipe, l2, estimator)
    asked, penalty = whole_sizes(sizes), None if l2 is None else positive("l2", l2)
    numbers = dense_features(features)
    if not np.ptp(numbers, 0).any():
        raise InputError("all features are constant: give features that differ, and standardise them")
    grouped = group_numbers(groups, len(numbers))
    head_features = with_intercept(numbers)
    try:
        with np.errstate(all="ignore"):  # what overflows is refused below
            if loss == "squared":
                targets = regression_targets(labels, len(numbers))
                unit = float(targets.std(0).max())
                if not 0 < unit**2 < math.inf:
                    raise InputError(f"the targets vary by {unit:.3g}: give them in other units")
                scaled = (targets - targets.mean(0)) / unit
                if penalty is None:
                    penalty = choose_regression_penalty(head_features, scaled, seed, grouped)
                evidence = measure_regression(head_features, scaled, penalty, seed, recipe, grouped)
                curve = in_units(curve_of(evidence, asked, estimator, seed), unit)
            else:
                classes = class_labels(labels, len(numbers))
                wanted = [metric_named(name, int(classes.max()) + 1) for name in metrics]
                if penalty is None:
                    penalty = choose_penalty(head_features, classes, seed, grouped)
                evidence = measure_head(head_features, classes, penalty, seed, recipe=recipe, groups=grouped)
                curve = curve_of(evidence, asked, estimator, seed, wanted)
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        raise InputError(f"the head cannot be fitted to these features ({error}): standardise them") from error
    is_finite = bool(np.isfinite([curve.loss.mean, curve.accuracy.mean]).all())
    if not is_finite and (strange := strange_scale(numbers)):
        raise InputError(f"there is no forecast, and {strange}: standardise the features")
    return curve


def forecast(
    problem: Problem,
    sizes: Sequence[int],
    penalty: float | Tensor | None = None,
    refit: Refit | None = None,
    level: LevelSource = "auto",
    estimator: str | Estimator = AUTO,
    holdout: Samples | None = None,
    groups: Labels | None = None,
) -> LearningCurve:
    r"""The expected test loss and accuracy of models trained as this one on k samples, from this one training.

    The problem's model is at the end of its training on the problem's samples; models of other sizes are assumed to be
    trained in the same way. Where only one linear layer at the model's end moves, this is `forecast_head` on the inputs
    of that layer. For any other model the slope in

    .. math:: L(k) = L(k_0) - s \left( \frac1{k_0} - \frac1k \right)

    is estimated from the training loss and the loss on unseen samples. ``symmetric`` is the optimism slope; ``gcv`` is
    generalised cross-validation for a fit with equal leverage in all directions, see
    `suffice.forecasting.slopes.gcv_slope`; ``combined``, the default, is the geometric mean of the two, with an error
    that was measured on other data, see `suffice.forecasting.slopes.fine_tuned_slope`. ``information``, on request, is
    :math:`\tfrac12 \mathrm{Tr}[(H_0 H^{-1})^2]` with the Gauss-Newton matrix :math:`H_0` and
    :math:`H = H_0 + \Lambda`, by the tangent kernel
    (`suffice.curvature.tangent_kernel`), whose cost goes with the square of the samples. Where the penalty is not known
    it is then taken to be the one with which :math:`\mathrm{Tr}(H_0 H^{-1})` is the optimism that is found.

    The weights of the model are the same after the call as before it.

    Args:
        problem: with the loss "cross_entropy" and the model as it was trained.
        sizes: k, at least 2.
        penalty: the diagonal of :math:`\Lambda`, the Hessian of the penalty on the mean loss: one value, or one for
            each moving parameter. Where the recipe names none, `suffice.forecasting.effective_penalty` finds it from
            where the training began; None where that is not known either. Of a head it is chosen by folds then. Other
            models need it for the "information" slope and for "leave_one_out", and the error of their slope is twice as
            large where there is no ``refit`` either: nothing is known of the training then.
        refit: trains on some rows of the data set as the model was trained, and returns the weights that moved; for
            five folds and two halves.
        level: where the loss :math:`L(k_0)` of other samples comes from: "holdout", "folds", "leave_one_out"
            (linearised, and mostly 7 to 28% off), or the first of these that can be had.
        estimator: of the gain: a name of the above, "auto" for the first, or any other, such as a fitted curve.
        holdout: samples that the model was not trained on.
        groups: of each sample of the data set, in its order, such as the patient; as for `forecast_head`.

    Raises:
        InputError: bad input of any kind, such as a hold-out with samples of the problem in it.

    Example:
        >>> import torch
        >>> random = np.random.default_rng(0)
        >>> def drawn(samples):
        ...     x = torch.from_numpy(random.normal(size=(samples, 5)))
        ...     return torch.utils.data.TensorDataset(x, (x[:, 0] + torch.randn(samples) > 0).long())
        >>> problem = Problem(torch.nn.Linear(5, 2).double(), drawn(300))
        >>> forecast(problem, [600, 1200], penalty=0.01, holdout=drawn(500)).status
        'extrapolated'
    """
    sizes = whole_sizes(sizes)
    if isinstance(penalty, (int, float)):
        positive("penalty", penalty)
    asked = estimator if isinstance(estimator, str) else AUTO
    of_all = group_numbers(groups, len(problem.dataset))
    grouped = None if of_all is None else of_all[problem.index]
    evidence = measure_problem(problem, penalty, refit, level, holdout, estimator=asked, groups=grouped)
    return curve_of(evidence, sizes, estimator)


def curve_of(
    evidence: Evidence,
    sizes: Sequence[int],
    estimator: str | Estimator = AUTO,
    seed: int = 0,
    metrics: Sequence[Metric] = (),
) -> LearningCurve:
    """The forecast from what was measured; without numbers where the checks fail.

    Args:
        evidence: what was measured.
        sizes: k.
        estimator: of the gain: the name of one that the evidence allows, "auto" for the first, or any other.
        seed: random seed of the traces.
        metrics: to be predicted besides loss and accuracy, of a classifier.

    Raises:
        InputError: a name that the evidence does not have, a metric that is not defined for its samples, or losses
            that are not finite.
    """
    asked = sorted({int(size) for size in sizes})
    if isinstance(estimator, str):
        check_name(evidence, estimator)
    if not np.isfinite([evidence.own_loss, evidence.unseen_loss]).all():
        raise InputError("the losses of the fits are not finite: standardise the features")
    findings = findings_of(evidence)
    if _is_stopped(findings):
        return _cannot_tell(evidence, asked, _sentences(findings[0]), findings)
    estimators = estimators_of(evidence, seed)
    default = next(iter(estimators.values()))
    used = estimator if not isinstance(estimator, str) else estimators.get(estimator, default)
    slope = slope_of(used)
    if slope <= 0:
        reason = f'By the estimator "{used.name}" the loss does not fall with more samples. Take another estimator.'
        return _cannot_tell(evidence, asked, reason, findings)
    error = _log_error(used, default)
    of_estimator = findings_of_estimator(evidence, used, error * slope)
    findings = by_severity([*findings, *of_estimator, *findings_of_sizes(evidence, asked)])
    if _is_stopped(findings):
        return _cannot_tell(evidence, asked, _sentences(findings[0]), findings)
    bend = bend_of(evidence.penalties, evidence.recipe, float(used.gain(np.array([FAR * evidence.samples]))[0]))
    if bend is None:
        reason = (
            "With the penalty in proportion to 1/k the loss hardly falls, or rises: the penalty at hand is too small "
            "already. Take a larger one, or the recipe tuned."
        )
        return _cannot_tell(evidence, asked, reason, findings)
    loss = loss_curve(evidence, used, error, np.array(asked, dtype=np.float64), seed, bend)
    if isinstance(evidence.unseen, Regressed):
        accuracy, others = curve_of_r_squared(evidence.unseen, loss), {"RMSE": rmse_curve(loss)}
    else:
        sharper = straight = loss
        if evidence.recipe != "fixed":
            sharper, straight = (
                loss_curve(evidence, used, error, loss.sizes, seed, of) for of in (bend.of_metrics, STRAIGHT)
            )
        accuracy, *rest = (
            metric_curve(evidence, evidence.unseen, sharper, one, straight) for one in (Accuracy(), *metrics)
        )
        others = {str(curve.name): curve for curve in rest}
    level, limit = float(np.median(loss.draws.level)), loss.limit
    return LearningCurve(
        sizes=asked,
        loss=loss,
        accuracy=accuracy,
        metrics=others,
        samples=evidence.samples,
        level=level,
        slope=slope,
        slope_error=error * slope,
        loss_limit=limit,
        accuracy_limit=accuracy.limit,
        penalty=evidence.penalty,
        recipe=evidence.recipe,
        estimator=used.name,
        status="extrapolated",
        explanation=(
            f"With {evidence.samples:,} samples the test loss is about {level:.3g}; with unlimited samples it "
            f"approaches {limit.mean:.3g} ({CONFIDENCE:.0%} interval {limit.low:.3g} to {limit.high:.3g})"
            f"{IN_WORDS[evidence.recipe]}."
        ),
        findings=[finding.value for finding in findings],
        doubts=[_sentences(finding) for finding in findings],
        confidence=CONFIDENCE,
    )


def _is_stopped(findings: Sequence[Finding]) -> bool:
    return bool(findings) and findings[0].severity == "error"


def _cannot_tell(evidence: Evidence, sizes: list[int], reason: str, findings: Sequence[Finding]) -> LearningCurve:
    nothing = Band(**dict.fromkeys(("mean", "low", "high"), np.full(len(sizes), math.nan)))
    return LearningCurve(
        sizes=sizes,
        loss=nothing,
        accuracy=nothing,
        samples=evidence.samples,
        status="cannot_tell",
        explanation=reason,
        findings=[finding.value for finding in findings],
    )


def _sentences(finding: Finding) -> str:
    """What was found and what to do, without the code."""
    return f"{finding.what[0].upper()}{finding.what[1:]}. {finding.remedy}."


def _log_error(used: Estimator, default: FirstOrder) -> float:
    """Of the logarithm of a slope: its own, or for an estimate that tells none how far it is from the default."""
    if isinstance(used, FirstOrder):
        return used.slope.error / used.slope.value
    return math.hypot(default.slope.error / default.slope.value, math.log(slope_of(used) / default.slope.value))
