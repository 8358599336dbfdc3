"""The hold-out level: the losses of samples that the model was not trained on."""

from suffice.errors import InputError
from suffice.forecasting.overlap import repeated
from suffice.problem import Problem, Samples
from suffice.training.predictions import Predictions


def of_holdout(problem: Problem, holdout: Samples) -> Predictions:
    """The predictions of the problem's model, trained on its samples, for others."""
    return predictions_of(problem.elsewhere(holdout), len(problem))


def predictions_of(problem: Problem, samples: float) -> Predictions:
    """The predictions for a problem's samples by its model, trained on so many; refused where they are not finite."""
    return Predictions(samples, problem.all_outputs().numpy(), problem.all_targets().long().numpy())


def check_apart(problem: Problem, holdout: Samples) -> None:
    """Raises an InputError if samples of the hold-out are among the problem's, by content."""
    known, others = (problem.dataset[int(row)] for row in problem.index), (holdout[row] for row in range(len(holdout)))
    twice = repeated(known, others)
    if twice:
        raise InputError(
            f"{len(twice)} samples of the hold-out are among those to train on, the first in row {twice[0]}: its loss "
            "would be too low; take them out"
        )
