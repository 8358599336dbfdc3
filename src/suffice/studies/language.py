"""One cell of a study of a language model, and the learning curve of a method."""

import math
import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from suffice.models.language import EVALUATED, LanguageProblem, losses_of
from suffice.problem import norm
from suffice.results import Band, Estimate, LanguageCell, linearised
from suffice.studies.curves import Tested, band_over_seeds, by_last_step
from suffice.training import DivergedError, FineTuning, Learner, Rows, Series, fine_tune

Losses = Float64[np.ndarray, " samples"]


def train_language_cell(
    learner: Learner,
    held: LanguageProblem,
    rows: Rows,
    settings: FineTuning,
    series: Series,
    batch_size: int = EVALUATED,
) -> tuple[LanguageCell, Losses | None]:
    """Trains on some samples and measures on unseen ones; the learner is left as it was trained.

    Args:
        learner: put back to its initial weights first.
        held: the same model on the samples to test on; the test loss is the mean by their weights.
        rows: to train on; k is their number.
        settings: how to train.
        series: method and seed.
        batch_size: samples of a forward pass where nothing is trained.

    Returns:
        The cell, and the loss of each test sample; none of a training that diverged.
    """
    learner.load(learner.initial)
    train = learner.problem(rows)
    before = train.center()
    about = {
        "method": series.method,
        "seed": series.seed,
        "size": len(rows),
        "moving_parameters": sum(value.numel() for value in before.values()),
        "steps": settings.steps_run(len(rows)),
        "seen": settings.samples_run(len(rows)),
    }
    diverged = LanguageCell(**about, status="diverged")
    start = time.perf_counter()
    try:
        fine_tune(train, settings)
    except DivergedError:
        return diverged, None
    seconds = time.perf_counter() - start
    losses = losses_of(held, batch_size)
    if not np.isfinite(losses).all():
        return diverged, None
    values = linearised(losses, held.sample_weights) if held.is_weighted else losses
    loss = float(values.mean())
    after = train.center()
    cell = LanguageCell(
        **about,
        status="finished",
        test_loss=loss,
        test_loss_error=values.std(ddof=1) / math.sqrt(len(values)),
        perplexity=perplexity_of(loss),
        distance=norm({name: after[name] - before[name] for name in after}),
        seconds=seconds,
    )
    return cell, losses


def perplexity_of(loss: float) -> float:
    r""":math:`e^l` of a mean loss l, at most the largest number there is.

    Example:
        >>> perplexity_of(0.0), perplexity_of(1e9) > 1e308
        (1.0, True)
    """
    return float(np.exp(min(loss, math.log(np.finfo(np.float64).max))))


def language_curve(tested: Tested, weights: Losses | None = None) -> tuple[list[int], Band, Band, Estimate | None]:
    """The learning curve of one method, means over seeds with intervals as of `over_seeds`.

    With weights, losses are means by weight; their intervals, and that of the fall, are those of ratios (`linearised`).

    Args:
        tested: the loss of each test sample, (1, samples), by size and seed of finished trainings.
        weights: of the test samples, such as the numbers of their tokens; by default all count alike.

    Returns:
        The sizes, the test loss and the perplexity at each, and the fall of the loss by the last step of size.

    Example:
        >>> one = np.array([[2.0, 1.0, 3.0]])
        >>> sizes, loss, perplexity, fall = language_curve({(10, 0): one, (20, 0): one - 0.5})
        >>> sizes, loss.mean, perplexity.mean.round(2), fall.value
        ([10, 20], array([2. , 1.5]), array([7.39, 4.48]), 0.5)
        >>> language_curve({(10, 0): one}, np.array([1.0, 2.0, 1.0]))[1].mean
        array([1.75])
    """
    if weights is not None:
        tested = {key: linearised(losses[0], weights)[None] for key, losses in tested.items()}
    sizes = sorted({size for size, _ in tested})
    seeds = sorted({seed for _, seed in tested})
    loss = band_over_seeds(
        [np.stack([tested[size, seed][0] for seed in seeds if (size, seed) in tested]) for size in sizes]
    )
    perplexity = Band(mean=_exponentials(loss.mean), low=_exponentials(loss.low), high=_exponentials(loss.high))
    change = by_last_step(tested, 0)
    fall = None if change is None else Estimate(value=-change.value, low=-change.high, high=-change.low)
    return sizes, loss, perplexity, fall


def _exponentials(losses: Sequence[float] | Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
    return np.array([perplexity_of(float(loss)) for loss in losses])
