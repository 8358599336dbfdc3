"""How good a model is on held-out samples whose labels are numbers or sets."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from suffice.models import Classifier
from suffice.problem import TOGETHER, Problem

Outputs = Float64[np.ndarray, "samples outputs"]


def held_out_metrics(problem: Problem, classifier: Classifier, labels: Sequence[str]) -> dict[str, float]:
    """RMSE and R² of a regression, or macro F1 and the recall of each label.

    Args:
        problem: the model on held-out samples.
        classifier: whose model it is.
        labels: the names of the labels; none of a regression.
    """
    outputs, targets = [], []
    with problem.measuring():
        for _, batch in problem.batches(TOGETHER):
            outputs.append(problem.outputs(batch).double().cpu().numpy())
            targets.append(problem.targets(batch).double().cpu().numpy())
    z, y = np.concatenate(outputs), np.concatenate(targets)
    if classifier.task == "regression":
        return of_numbers(z.reshape(len(y), -1), y.reshape(len(y), -1))
    order = list(classifier.labels)
    return of_sets(z[:, order], y[:, order], labels)


def of_numbers(outputs: Outputs, targets: Outputs) -> dict[str, float]:
    r"""The root of the mean squared error, in units of the targets, and :math:`R^2`.

    .. math:: R^2 = 1 - \sum_i (z_i - y_i)^2 / \sum_i (y_i - \bar y)^2

    It is left out where all targets are the same.

    Example:
        >>> of_numbers(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]]))
        {'RMSE': 0.5773502691896257, 'R²': 0.5}
    """
    errors = float(np.square(outputs - targets).sum())
    spread = float(np.square(targets - targets.mean(0)).sum())
    found = {"RMSE": float(np.sqrt(errors / targets.size))}
    return found | {"R²": 1 - errors / spread} if spread > 0 else found


def of_sets(outputs: Outputs, targets: Outputs, labels: Sequence[str]) -> dict[str, float]:
    r"""Macro F1, and the recall of each label; a label is predicted where its logit is above 0.

    :math:`F_1 = 2 TP / (2 TP + FP + FN)` of a label, 0 where it is neither there nor predicted. Recall is left out for
    labels that no sample has.

    Example:
        >>> of_sets(np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), ["cat", "dog"])
        {'macro F1': 0.8333333333333333, 'recall of cat': 1.0, 'recall of dog': 1.0}
    """
    said, there = outputs > 0, targets > 0.5
    right = (said & there).sum(0)
    positives, found = there.sum(0), said.sum(0)
    scores = 2 * right / np.maximum(positives + found, 1)
    recalls = {f"recall of {name}": float(right[c] / positives[c]) for c, name in enumerate(labels) if positives[c]}
    return {"macro F1": float(scores.mean())} | recalls
