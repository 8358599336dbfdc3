"""The hold-out level: the losses of samples that the model was not trained on."""

from suffice.problem import Problem, Samples
from suffice.training.predictions import Predictions


def of_holdout(problem: Problem, holdout: Samples) -> Predictions:
    """The predictions of the problem's model, trained on its samples, for others."""
    return predictions_of(problem.elsewhere(holdout), len(problem))


def predictions_of(problem: Problem, samples: float) -> Predictions:
    """The predictions for a problem's samples by its model, trained on so many; refused where they are not finite."""
    return Predictions(samples, problem.all_outputs().numpy(), problem.all_targets().long().numpy())
