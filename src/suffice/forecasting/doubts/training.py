"""Has the training converged, collapsed, or got worse with more samples?"""

import numpy as np
from jaxtyping import Float64, Int64

from suffice.checks import Finding
from suffice.checks.registry import COLLAPSED, HARDLY_LEARNED, NO_FALL, NOT_CONVERGED
from suffice.forecasting.slopes.slope import standard_error

FAR, UNFITTED = 0.1, 0.75
"""A training has not converged where a gradient step lowers the training loss by more than the first share of the test
loss, and the training loss is above the second share of it.

Measured on the embedded ViT with 160 digits: 0.11 to 0.3 and 0.95 to 1 after 3 to 100 steps by each of three methods;
0.03 to 0.28 and 0.6 after 300 steps. At a minimum under a penalty: a step of 0.15, at half of the test loss.
"""

BY_CHANCE = 0.95
"""Of the loss of the class frequencies, where a training loss is no better than that."""

HARDLY = 0.75
"""Of the loss of the class frequencies, and of that on unseen samples, above which a training loss has hardly fallen.

Measured on the 454 trainings by last layers, LoRA and whole models of four committed studies (`experiments`): none is
above both; above half of the entropy and 75% of the test loss are 6, sound ones of texts, right on 77%. Heads, which a
penalty or the features hold there, are left out: 12 of 99 are above the lower limits.
"""

ERRORS = 3.3
"""Standard errors by which a loss rises: models of one size share their noise, so there are more than 1.645."""


def about_convergence(descent: float, own_loss: float, test_loss: float) -> Finding | None:
    """SUF024: a gradient step still lowers the training loss.

    Args:
        descent: by how much the best step along the gradient lowers the training loss.
        own_loss: mean training loss.
        test_loss: mean loss on unseen samples.

    Example:
        >>> print(about_convergence(descent=0.3, own_loss=1.4, test_loss=1.5))
        SUF024: one gradient step would lower the training loss of 1.4 by 0.3. The training has not converged: train ...
        >>> about_convergence(descent=0.1, own_loss=0.4, test_loss=1.5)
    """
    if descent <= FAR * test_loss or own_loss <= UNFITTED * test_loss:
        return None
    what = f"one gradient step would lower the training loss of {own_loss:.3g} by {descent:.3g}"
    return Finding(NOT_CONVERGED, what, "The training has not converged: train longer on these samples")


def about_collapse(
    outputs: Float64[np.ndarray, "samples classes"],
    losses: Float64[np.ndarray, " samples"],
    labels: Int64[np.ndarray, " samples"],
) -> Finding | None:
    r"""SUF025: on its own samples a model is no better than the class frequencies.

    It is right no more often than the largest class is, and its mean loss is at least 95% of the entropy of the class
    frequencies, :math:`-\sum_c f_c \log f_c`. A model that always says the largest class, at probabilities that tell
    samples apart, passes: so do heads with a strong penalty where one class is large.

    Args:
        outputs: logits of the training samples.
        losses: their cross-entropies.
        labels: their classes.

    Example:
        >>> labels = np.array([0, 1, 0, 1])
        >>> print(about_collapse(np.zeros((4, 2)), np.full(4, np.log(2)), labels))
        SUF025: the model is right on 50.0% of its own training samples, no more than the largest class's 50.0%. The ...
    """
    shares = np.bincount(labels) / len(labels)
    right, largest = float((outputs.argmax(1) == labels).mean()), float(shares.max())
    if right > largest or losses.mean() < BY_CHANCE * entropy_of(labels):
        return None
    return Finding(
        COLLAPSED,
        f"the model is right on {right:.1%} of its own training samples, no more than the largest class's "
        f"{largest:.1%}",
        "The training has collapsed: lower the learning rate, train longer, or check the labels",
    )


def about_learning(
    losses: Float64[np.ndarray, " samples"], labels: Int64[np.ndarray, " samples"], test_loss: float
) -> Finding | None:
    """SUF031: a training by steps whose loss on its own samples has hardly fallen.

    Args:
        losses: cross-entropies of the training samples.
        labels: their classes.
        test_loss: mean loss on unseen samples.

    Example:
        >>> labels = np.array([0, 1, 0, 1])
        >>> print(about_learning(np.full(4, 0.6), labels, test_loss=0.65))
        SUF031: the training loss of 0.6 is 87% of that of the class frequencies, and 92% of that on unseen samples. ...
        >>> about_learning(np.full(4, 0.4), labels, test_loss=0.45)
    """
    loss, entropy = float(losses.mean()), entropy_of(labels)
    if loss <= HARDLY * entropy or loss <= HARDLY * test_loss:
        return None
    what = (
        f"the training loss of {loss:.3g} is {loss / entropy:.0%} of that of the class frequencies, and "
        f"{loss / test_loss:.0%} of that on unseen samples"
    )
    return Finding(
        HARDLY_LEARNED, what, "This training has hardly learned: train longer, or with another learning rate"
    )


def entropy_of(labels: Int64[np.ndarray, " samples"]) -> float:
    """The loss of the class frequencies on these samples.

    Example:
        >>> round(entropy_of(np.array([0, 1, 0, 1])), 4)
        0.6931
    """
    shares = np.bincount(labels) / len(labels)
    return float(-np.log(shares[labels]).mean())


def about_fall(
    with_fewer: Float64[np.ndarray, " samples"],
    with_more: Float64[np.ndarray, " samples"],
    sizes: tuple[float, float],
    predicted: float,
    groups: Int64[np.ndarray, " samples"] | None = None,
) -> Finding | None:
    """SUF026: a loss that rises with more samples, beyond its noise.

    Args:
        with_fewer: losses of unseen samples by models trained on fewer samples, such as halves.
        with_more: losses of the same samples by models trained on more.
        sizes: training samples of each.
        predicted: the forecast's fall between them; a negative one counts by itself.
        groups: copies.

    Example:
        >>> before = np.random.default_rng(0).exponential(size=100)
        >>> print(about_fall(before, before + 0.5, sizes=(50, 90), predicted=0.1))
        SUF026: the loss rose from 1.18 with 50 training samples to 1.68 with 90: such a curve is not extrapolated. ...
    """
    falls = with_fewer - with_more
    rises = falls.mean() < -predicted - ERRORS * standard_error(falls, groups)
    if predicted >= 0 and not rises:
        return None
    fewer, more = sizes
    verb = "rose" if falls.mean() < 0 else "should rise: it went"
    what = (
        f"the loss {verb} from {with_fewer.mean():.3g} with {fewer:,.0f} training samples to {with_more.mean():.3g} "
        f"with {more:,.0f}: such a curve is not extrapolated"
    )
    return Finding(NO_FALL, what, "Train longer, or with a smaller learning rate")
