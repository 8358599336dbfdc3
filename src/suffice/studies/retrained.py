"""The loss surface at the minima that trainings on more and more samples reach."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from suffice.configuration import StudyConfig
from suffice.curvature import prefix_gradients
from suffice.landscape import Convergence, Plane, Probes, record, root_mean_square, surface
from suffice.problem import Problem, fastest_batch_size, norm, wide
from suffice.results import Criterion, Retrained
from suffice.storage import Place
from suffice.training import Learner, Rows, Series

CRITERIA: tuple[Criterion, ...] = ("remaining", "difference")


CURVE_SIZES = 20
"""Sizes at which the curves at fixed weights are kept."""


def measure_retrained(
    config: StudyConfig,
    learner: Learner,
    order: Rows,
    validation: Rows,
    minima: Mapping[int, Mapping[str, Tensor]],
    store: Place,
    series: Series,
    with_surface: bool = False,
) -> Retrained:
    r"""Ledgers at the minima w*_k of L_k, for some prefixes k of an order, and around the last.

    Args:
        config: probes, tolerances and so on.
        learner: the model; it is left at the last minimum.
        order: rows in the order of the trainings, as many as the largest of them had, m.
        validation: rows that no training saw.
        minima: the weights that each size ended at, the largest size last.
        store: a folder for the ledgers.
        series: task, method and seed.
        with_surface: measure the surface of L_k on the plane through the last minimum and two others as well, if there
            are so many.
    """
    sizes = list(minima)
    samples = sizes[-1]
    gradient = []
    for size, weights in minima.items():
        learner.load(weights)
        if size < samples:
            gradient += gradient_norms(learner.problem(order[:size]), [size], config.batch_size)
    # the last one is where the model stays
    problem, held_out = learner.problem(order[:samples]), learner.problem(validation)
    states = [{name: weights[name] for name in problem.moving} for weights in list(minima.values())[:-1]]

    def ledgers(probes: Probes, name: str) -> tuple[Float64[np.ndarray, "samples probes"], ...]:
        return tuple(
            record(part, probes, store / f"{name}_{where}", config.batch_size).losses
            for part, where in ((problem, "pool"), (held_out, "validation"))
        )

    at_minima, chosen = ledgers(Probes.points(problem, states), "minima")
    # w*_m is the first point of the ledger; the sizes go up
    columns = [*range(1, len(sizes)), 0]
    around = Probes.sphere(problem, config.radius, config.probes, config.seed)
    curves = Convergence(
        record(problem, around, store / "around_pool", config.batch_size),
        record(held_out, around, store / "around_validation", config.batch_size),
        seed=config.seed,
    )
    surface_along_k = None
    if with_surface and len(states) > 1:
        ends = {sizes[index]: states[index] for index in (0, len(states) // 2)}
        near, far = (f"towards w* of {size:,} samples" for size in ends)
        first, second = ends.values()
        plane = replace(Plane.between(problem, first, second, config.surface_points), labels=(near, far))
        minima_on_plane = {size: plane.coordinates_of(problem, state) for size, state in ends.items()}
        surface_along_k = surface(problem, plane, store / "plane", config.batch_size).result("minima", minima_on_plane)
    gradient_at_full = gradient_norms(problem, sizes, config.batch_size)
    grid = curves.log_sizes(CURVE_SIZES)
    return Retrained(
        **series._asdict(),
        samples=samples,
        sizes=sizes,
        own=[at_minima[:k, column].mean() for k, column in zip(sizes, columns, strict=True)],
        own_at_full=[at_minima[:k, 0].mean() for k in sizes],
        full=[at_minima[:, column].mean() for column in columns],
        validation=[chosen[:, column].mean() for column in columns],
        distance=[_distance(weights, minima[samples], problem) for weights in minima.values()],
        gradient=[*gradient, gradient_at_full[-1]],
        gradient_at_full=gradient_at_full,
        curve_sizes=grid.tolist(),
        difference=curves.difference(grid).tolist(),
        in_order=root_mean_square(curves.in_order(grid)).tolist(),
        remaining=curves.remaining(grid).tolist(),
        null=curves.null(grid).tolist(),
        coefficient_of_variation=curves.population.coefficient_of_variation,
        sufficient_sizes=[
            curves.sufficient_size(tolerance, criterion) for criterion in CRITERIA for tolerance in config.tolerances
        ],
        surface=surface_along_k,
    )


def gradient_norms(problem: Problem, sizes: Sequence[int], batch_size: int | Literal["auto"]) -> list[float]:
    r""":math:`\|G_k\|`, the norm of the mean gradient of the first k samples, for ascending k, in one pass."""
    if batch_size == "auto":
        with problem.measuring():
            batch_size = fastest_batch_size(problem)
    return [float(gradient.norm()) for gradient in prefix_gradients(problem, sizes, batch_size)]


def _distance(weights: Mapping[str, Tensor], others: Mapping[str, Tensor], problem: Problem) -> float:
    return norm({name: wide(weights[name]) - wide(others[name]) for name in problem.moving})
