"""The page of the MLP experiment."""

from collections.abc import Iterator
from statistics import fmean

from suffice.report.answers.mlp import centers_of, comparison, mlp_answer
from suffice.report.figures.mlp import location, mlp_figures
from suffice.report.pages.page import Bullets, Drawn, Page, Section, Table, Words, more_figures
from suffice.results import MLPResult


def mlp_page(result: MLPResult) -> Page:
    """The answer, the figures, and the slope and the height of every network."""
    first, *others = mlp_figures(result)
    return Page(
        command="analyze",
        subject=(
            f"{len(result.networks)} fully connected networks",
            "synthetic data",
            f"{result.samples:,} samples each",
        ),
        question="How the loss surface of fully connected networks settles",
        answer=mlp_answer(result),
        picture=Drawn(first),
        sections=[
            *more_figures(others),
            Section("Slopes and heights of all networks", [Words(_slopes(result)), _networks(result)]),
            Section("How it was computed", [Words(_computed(result))]),
            Section("What this shows, and what it does not", [Bullets(list(_shown(result)))]),
        ],
        result=result,
    )


def _computed(result: MLPResult) -> str:
    return (
        f"{len(result.networks)} networks, each trained by SGD on {result.samples:,} samples of its own from a known "
        "distribution, with the mean squared error. L_k(w) is the mean loss of the first k of them at weights w; w* "
        "are "
        "the trained weights, and the probes are points drawn from spheres around w*. Over unlimited unseen samples no "
        f"fit can have a mean squared error below {result.noise_floor:.3g}, the variance of the noise."
    )


def _shown(result: MLPResult) -> Iterator[str]:
    yield (
        "The slope is arithmetic. For any model, any data and any weights, |L(k+1) − L(k)| has the root mean square "
        "S/√(k(k+1)) over the orders of the samples, whether the model has learned anything or nothing."
    )
    yield (
        "What is measured is the height S(w), the spread of the loss from sample to sample. It depends on the "
        "network, on "
        "its training and on where it is measured; away from w* it is higher, and that is what the geometry of the "
        "surface "
        "adds."
    )
    yield (
        "A low curve is no sign of a good model: a network that fits its own samples closely has a small S(w*) on "
        "them, "
        "and a larger one on unseen samples."
    )
    yield (
        "It does not tell how good a network trained on more samples would be. All curves are those of one trained "
        "network, at fixed weights."
    )
    for size, exact, least, middle, largest in comparison(result):
        yield (
            f"At k = {size:,} a moving average of factor {result.configuration['smoothing']} makes {exact:.3g} times "
            "the "
            f"true value of an exact 1/k, and of these networks' curves at w* {middle:.2g} times (median; 80% of them "
            f"{least:.2g} to {largest:.2g})."
        )


def _slopes(result: MLPResult) -> str:
    centers = centers_of(result)
    within = sum(abs(center.slope - center.slope_of_orders) <= 2 * center.slope_error for center in centers)
    orders = fmean(center.slope_of_orders for center in centers)
    deviation = fmean(center.slope_of_orders_deviation for center in centers)
    error = fmean(center.slope_error for center in centers)
    return (
        f"Slopes of the curves in order on log axes, by least squares at {len(result.slope_sizes)} log-spaced k from "
        f"{result.slope_sizes[0]:,} to {result.slope_sizes[-1]:,}, ± their standard errors: at such k the residuals "
        "are "
        f"nearly independent. {within} of the {len(result.networks)} slopes at w* lie within two standard errors of "
        "those in "
        f"random orders of the same losses, which are on average {orders:.3f} with a deviation of {deviation:.3f} "
        "(mean "
        f"standard error: {error:.3f}). The expected curves all have {result.law_slope:.4f}; a single order is a "
        "little "
        f"flatter, since the logarithm of skewed losses is. The moving average of an exact 1/k has "
        f"{result.smoothed_exact_slope:.2f}; those of the networks have no standard error, since their points are not "
        "independent."
    )


def _networks(result: MLPResult) -> Table:
    radii = [location(surrounding) for surrounding in result.networks[0].surroundings]
    columns = ["target", "width", "depth", "weights", "loss", "unseen loss", "unseen S(w*)"]
    columns += [*(f"S {radius}" for radius in radii), *(f"slope {radius}" for radius in radii), "moving average"]
    rows = []
    for network in result.networks:
        around = network.surroundings
        rows.append(
            [
                network.target,
                f"{network.width}",
                f"{network.depth}",
                f"{network.parameters:,}",
                *(f"{value:.3f}" for value in (network.training_loss, network.fresh_loss, network.fresh_spread)),
                *(f"{surrounding.spread:.3f}" for surrounding in around),
                *(f"{surrounding.slope:.2f} ± {surrounding.slope_error:.2f}" for surrounding in around),
                f"{around[0].smoothed_slope:.2f}",
            ]
        )
    return Table("networks", columns, rows)
