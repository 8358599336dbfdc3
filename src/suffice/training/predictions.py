"""What models say of samples: outputs, losses, and whether the most probable class is right."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import log_softmax

from suffice.problem import Problem, fastest_batch_size


@dataclass(frozen=True)
class Predictions:
    """Outputs for some samples, by models that were trained on so many others or on these.

    Attributes:
        samples: k, the training samples of each model; the mean, where several models share the work, as folds do.
        outputs: logits z.
        labels: the right classes.

    Example:
        >>> predictions = Predictions(100, np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([1, 0]))
        >>> predictions.losses.round(4), predictions.wrong
        (array([0.6931, 0.1269]), array([1., 0.]))
    """

    samples: float
    outputs: Float64[np.ndarray, "samples classes"]
    labels: Int64[np.ndarray, " samples"]

    @cached_property
    def losses(self) -> Float64[np.ndarray, " samples"]:
        r"""Cross-entropy of each sample, :math:`-\log p_y`."""
        losses: Float64[np.ndarray, " samples"] = -np.take_along_axis(
            log_softmax(self.outputs, axis=1), self.labels[:, None], axis=1
        )[:, 0]
        return losses

    @cached_property
    def probabilities(self) -> Float64[np.ndarray, "samples classes"]:
        """softmax(z)."""
        probabilities: Float64[np.ndarray, "samples classes"] = np.exp(log_softmax(self.outputs, axis=1))
        return probabilities

    @cached_property
    def wrong(self) -> Float64[np.ndarray, " samples"]:
        """1 where the most probable class is another."""
        wrong: Float64[np.ndarray, " samples"] = np.not_equal(self.outputs.argmax(1), self.labels).astype(np.float64)
        return wrong

    @property
    def right(self) -> Float64[np.ndarray, " samples"]:
        """1 where the most probable class is right."""
        return 1 - self.wrong


def predict(problem: Problem, samples: float, batch_size: int | Literal["auto"] = "auto") -> Predictions:
    """The predictions of a problem's model, as it is, for all the problem's samples.

    Args:
        problem: of a classifier.
        samples: k, the samples that the model was trained on.
        batch_size: samples to run at a time.

    A training that diverged may give outputs that are not finite; `suffice.Problem.all_outputs` refuses these.
    """
    outputs, labels = [], []
    with problem.measuring():
        size = fastest_batch_size(problem) if batch_size == "auto" else batch_size
        for _, batch in problem.batches(size):
            outputs.append(problem.outputs(batch).double().cpu().numpy())
            labels.append(problem.targets(batch).long().cpu().numpy())
    return Predictions(samples, np.concatenate(outputs), np.concatenate(labels))
