"""Whether the samples at hand allow a forecast, and what makes one less certain: all questions to the evidence."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from suffice.checks import Finding
from suffice.forecasting.doubts import (
    about_chance,
    about_collapse,
    about_contradiction,
    about_convergence,
    about_copies,
    about_errors,
    about_fall,
    about_free_weights,
    about_gap,
    about_halves,
    about_learning,
    about_order,
    about_sizes,
    about_smallest_class,
    about_tails,
    by_severity,
    gap_of,
)
from suffice.forecasting.doubts.copies import Groups
from suffice.forecasting.estimator import Estimator
from suffice.forecasting.evidence import Evidence
from suffice.forecasting.regression import Regressed
from suffice.training.predictions import Predictions


def findings_of(evidence: Evidence) -> list[Finding]:
    """What the evidence itself says for or against a forecast, the most severe first; with an error there is none."""
    own, unseen, apart = evidence.own, evidence.unseen, evidence.apart
    copies, groups = evidence.copies, evidence.groups
    alike = None if copies is None else copies.together
    has_holdout = evidence.holdout is not None
    gap = gap_of(own.losses, apart.losses, paired=evidence.folds is not None, groups=groups)
    of_any = (
        about_convergence(evidence.descent, evidence.own_loss, evidence.unseen_loss),
        about_gap(gap, own.samples, apart.samples),
    )
    if isinstance(own, Regressed) or isinstance(unseen, Regressed):
        one_class = np.zeros(len(own.losses), dtype=np.int64)
        in_order = about_order(unseen.losses, one_class, evidence.rows, groups)
        in_tails = about_tails(unseen.losses, evidence.rows)
        return _found(*of_any, in_order, in_tails, None if copies is None else about_copies(copies.groups, one_class))
    in_errors = about_errors(*errors_of(unseen, evidence))
    failed = about_collapse(own.outputs, own.losses, own.labels)
    by_steps = evidence.head is None and failed is None
    found = _found(
        *of_any,
        failed,
        about_learning(own.losses, own.labels, evidence.unseen_loss) if by_steps else None,
        _about_chance(evidence, gap.value / 2),
        in_errors,
        # few errors carry the loss by themselves
        about_tails(unseen.losses, None if has_holdout else evidence.rows) if in_errors is None else None,
        about_smallest_class(own.labels, alike, evidence.names),
        None if has_holdout else about_order(unseen.losses, unseen.labels, evidence.rows, groups),
        None if copies is None else about_copies(copies.groups, own.labels, copies.are_ordinary),
    )
    if copies is None or copies.are_ordinary or not found or found[0].severity != "error":
        return found
    # labels that contradict each other are why there is no forecast
    cause = about_contradiction(copies.groups, own.labels)
    return found if cause is None else [cause, *found]


def findings_of_sizes(evidence: Evidence, sizes: Sequence[int]) -> list[Finding]:
    """What the evidence says of the sizes that are asked for."""
    return _found(about_sizes(sizes, evidence.samples))


def findings_of_estimator(evidence: Evidence, estimator: Estimator, slope_error: float) -> list[Finding]:
    """What the evidence says of an estimate, the most severe first.

    Args:
        evidence: what was measured.
        estimator: of the gain.
        slope_error: the standard error of its slope.
    """
    apart, halves = evidence.apart, evidence.halves
    of_weights = of_fall = of_halves = None
    if evidence.head is not None:
        of_weights = about_free_weights(evidence.free_weights, evidence.samples)
    if halves is not None and len(halves.losses) == len(apart.losses):
        less, more = estimator.gain(np.array([halves.samples, apart.samples], dtype=np.float64))
        predicted, error = float(more - less), slope_error * (1 / halves.samples - 1 / apart.samples)
        losses = halves.losses, apart.losses
        # a head is fitted to convergence, so no training is to blame
        if evidence.head is None:
            of_fall = about_fall(*losses, (halves.samples, apart.samples), predicted, evidence.groups)
        of_halves = about_halves(*losses, predicted, error, evidence.groups)
    return _found(of_weights, of_fall, of_halves)


def _about_chance(evidence: Evidence, to_come: float) -> Finding | None:
    """Whether outputs agree with labels; copies count once, as labels of copies are not permuted one by one.

    So do groups, such as patients, where all samples of each have one label. A fold has fewer of the classes that the
    others have more of, so its outputs count from the mean of their model.
    """
    unseen, has_holdout = evidence.classified, evidence.holdout is not None
    first = _first_of(None if has_holdout else _of_one_label(evidence, unseen.labels), len(unseen.labels))
    labels = unseen.labels[first]
    if has_holdout:
        return about_chance(unseen.outputs[first], labels, None, to_come)
    means = 0.0 if evidence.means is None else evidence.means
    return about_chance((unseen.outputs - means)[first], labels, np.zeros_like(labels), to_come)


def _of_one_label(evidence: Evidence, labels: Int64[np.ndarray, " samples"]) -> Groups | None:
    """The groups that count once where labels are permuted: copies, and all groups where none has two labels."""
    groups = evidence.groups
    if groups is not None and len(set(zip(groups.tolist(), labels.tolist(), strict=True))) == len(np.unique(groups)):
        return groups
    return None if evidence.copies is None else evidence.copies.together


def errors_of(unseen: Predictions, evidence: Evidence) -> tuple[int, int]:
    """How many unseen samples of some evidence are wrong, of how many; copies count once."""
    copied = evidence.copies is not None and evidence.holdout is None
    groups = evidence.copies.together if copied and evidence.copies is not None else None
    wrong = unseen.wrong[_first_of(groups, len(unseen.wrong))]
    return int(wrong.sum()), len(wrong)


def _first_of(groups: Groups | None, samples: int) -> Int64[np.ndarray, " different"]:
    """The first sample of each group."""
    return np.arange(samples) if groups is None else np.unique(groups, return_index=True)[1]


def _found(*answers: Finding | None) -> list[Finding]:
    return by_severity([finding for finding in answers if finding is not None])
