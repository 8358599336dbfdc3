"""Predictions of the model itself, for its own samples and for those of a hold-out."""

from suffice.forecasting.inputs import labels_of
from suffice.problem import Problem
from suffice.training.predictions import Predictions


def predictions_of(problem: Problem, samples: float) -> Predictions:
    """The predictions for a problem's samples by its model, trained on so many.

    Raises:
        InputError: outputs that are not finite logits, or labels that are not classes of the model.
    """
    outputs = problem.all_outputs().numpy()
    return Predictions(samples, outputs, labels_of(problem, outputs.shape[1]))
