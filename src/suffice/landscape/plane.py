r"""A plane through w*, and the grid of points at which the loss is measured on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from suffice.curvature import flattened, parameter_count
from suffice.curvature.operator import check_tensor
from suffice.digest import digest
from suffice.errors import InputError
from suffice.problem import Problem, State, norm

PARALLEL = 1e-6
"""Directions are parallel if less than this share of the second one is left when the first is taken out of it."""

MARGIN = 0.25
"""A plane between checkpoints goes on beyond them by this share of their distance from w*."""


@dataclass(frozen=True, eq=False)
class Plane:
    r"""The points :math:`w = w^* + \|w^*\| (x u + y v)`, with u and v orthonormal and (x, y) on a grid.

    So x and y have a unit: :math:`\|w - w^*\| / \|w^*\| = \sqrt{x^2 + y^2}`, over the moving parameters. Made by
    `spanned`, `random` or `between`.

    Attributes:
        first: u, in the order of the moving parameters (see `suffice.curvature.flattened`).
        second: v.
        x: coordinates of the grid along u, rising.
        y: coordinates of the grid along v, rising.
        labels: what the directions are.
        center_norm: ||w*||.

    Example:
        >>> import suffice
        >>> data = torch.utils.data.TensorDataset(torch.randn(9, 5), torch.randint(3, (9,)))
        >>> plane = Plane.random(suffice.Problem(torch.nn.Linear(5, 3), data), extent=0.5, points=5)
        >>> plane.x
        array([-0.5 , -0.25,  0.  ,  0.25,  0.5 ])
        >>> abs(float(plane.first @ plane.second)) < 1e-12
        True
    """

    first: Float64[Tensor, " parameters"]
    second: Float64[Tensor, " parameters"]
    x: Float64[np.ndarray, " columns"]
    y: Float64[np.ndarray, " rows"]
    labels: tuple[str, str]
    center_norm: float

    @classmethod
    def spanned(
        cls,
        problem: Problem,
        first: Float[Tensor, " parameters"],
        second: Float[Tensor, " parameters"],
        extent: float = 0.5,
        points: int = 41,
        labels: tuple[str, str] = ("first direction", "second direction"),
    ) -> "Plane":
        """The plane of two directions of any length; the first one is taken out of the second.

        For the plane of steepest curvature, give the first two columns of `suffice.curvature.top_eigenpairs`.

        Args:
            problem: at w*.
            first: a direction, in the order of the moving parameters.
            second: another one.
            extent: the grid goes from -extent to extent on both axes, in units of ||w*||.
            points: of the grid on each axis; an odd number has w* itself among them.
            labels: what the directions are.

        Raises:
            InputError: directions that are parallel, zero, not finite or of another length; a grid of fewer than 3
                points an axis or without extent; w* = 0; complex parameters.
        """
        if not (extent > 0 and math.isfinite(extent)):
            raise InputError(f"extent = {extent}: must be positive and finite")
        axis = _axis(-extent, extent, points)
        return cls._of(problem, first, second, axis, axis, labels)

    @classmethod
    def random(cls, problem: Problem, extent: float = 0.5, points: int = 41, seed: int = 0) -> "Plane":
        """A plane of two random directions, of which every filter is as long as that filter of w*.

        A filter is what makes one output: a row of a matrix, of all else than matrices that has several dimensions the
        part at one index of the first, and a vector (a bias, gains) as a whole. Within each filter the second direction
        is orthogonal to the first, so both are normalised and orthogonal; where a filter is a single number, only the
        first direction moves it.

        Source: H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the loss landscape of neural nets",
        NeurIPS 2018, section 4. Their code leaves biases and gains where they are.

        Args:
            problem: at w*.
            extent: as in `spanned`.
            points: as in `spanned`.
            seed: random seed of the directions.

        Raises:
            InputError: as `spanned`.
        """
        _check_real(problem)
        first, second = _random_directions(problem, seed)
        labels = ("first random direction", "second random direction")
        return cls.spanned(problem, first, second, extent, points, labels)

    @classmethod
    def between(cls, problem: Problem, first: State, second: State, points: int = 41) -> "Plane":
        """The plane through w* and two other states of the model, such as minima w*_k of fewer samples.

        The first axis goes from w* through the first state. The grid covers w* and both states with a margin, and has
        w* among its points.

        Args:
            problem: at w*.
            first: values of the moving parameters by name; other entries are left out.
            second: another such state.
            points: as in `spanned`.

        Raises:
            InputError: a state that lacks a moving parameter or has another shape; and as `spanned`.
        """
        _check_real(problem)
        center = flattened(problem, problem.center())
        offsets = [_flat_state(problem, state, number) - center for number, state in enumerate((first, second), 1)]
        u, v = _orthonormal(*offsets)
        length = norm(problem.center()) or 1.0  # zero is refused below
        along = [[float(offset @ direction) / length for offset in offsets] for direction in (u, v)]
        x, y = (_axis_over(coordinates, points) for coordinates in along)
        return cls._of(problem, u, v, x, y, ("w* to the first state", "w* to the second state, across"))

    @classmethod
    def _of(
        cls,
        problem: Problem,
        first: Float[Tensor, " parameters"],
        second: Float[Tensor, " parameters"],
        x: Float64[np.ndarray, " columns"],
        y: Float64[np.ndarray, " rows"],
        labels: tuple[str, str],
    ) -> "Plane":
        _check_real(problem)
        count, length = parameter_count(problem), norm(problem.center())
        if length == 0:
            raise InputError("all moving parameters are zero, so distances relative to ||w*|| have no meaning")
        for direction in (first, second):
            check_tensor(direction, "direction")
            if direction.shape != (count,):
                raise InputError(f"a direction has shape {tuple(direction.shape)}: {count} parameters move")
        u, v = _orthonormal(first.detach().double(), second.detach().double())
        return cls(u.to(problem.device), v.to(problem.device), x, y, labels, length)

    def coordinates_of(self, problem: Problem, state: State) -> tuple[float, float]:
        """(x, y) of a state, or of the point of the plane that is nearest to it.

        Args:
            problem: at w*.
            state: values of the moving parameters by name.

        Example:
            >>> import suffice
            >>> data = torch.utils.data.TensorDataset(torch.randn(9, 5), torch.randint(3, (9,)))
            >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
            >>> first, second = ({name: value + step for name, value in problem.center().items()} for step in (1, 2))
            >>> second["bias"][0] = 0
            >>> x, y = Plane.between(problem, first, second).coordinates_of(problem, first)
            >>> x > 0, abs(y) < 1e-6
            (True, True)
        """
        offset = _flat_state(problem, state, 1) - flattened(problem, problem.center())
        x, y = (float(offset @ direction) / self.center_norm for direction in (self.first, self.second))
        return x, y

    @property
    def description(self) -> dict[str, Any]:
        """What decides the points, as JSON values."""
        directions = digest(self.first, self.second)
        return {"kind": "plane", "x": self.x.tolist(), "y": self.y.tolist(), "directions": directions}

    @cached_property
    def probes(self) -> Int64[np.ndarray, "rows columns"]:
        """The number of the probe at each point of the grid: 0 at w*, and from 1 on row by row."""
        away = (self.x != 0) | (self.y != 0)[:, None]
        numbers = np.cumsum(away).reshape(away.shape)
        return np.where(away, numbers, 0)

    @cached_property
    def coordinates(self) -> Float64[np.ndarray, "probes 2"]:
        """(x, y) of each probe; the first is w*."""
        rows, columns = np.nonzero(self.probes)
        return np.column_stack([np.append(0, self.x[columns]), np.append(0, self.y[rows])])

    def step(self, probe: int) -> Float64[Tensor, " parameters"]:
        """w - w* of a probe, in the order of the moving parameters."""
        x, y = self.center_norm * self.coordinates[probe]
        return torch.add(float(x) * self.first, self.second, alpha=float(y))


def _axis(low: float, high: float, points: int) -> Float64[np.ndarray, " points"]:
    _check_points(points)
    axis = np.linspace(low, high, points)
    axis[np.abs(axis) < 1e-9 * (high - low)] = 0.0  # w* itself, and no point beside it
    return axis


def _check_points(points: int) -> None:
    if points < 3:
        raise InputError(f"points = {points}: a surface needs at least 3 on each axis")


def _axis_over(coordinates: Sequence[float], points: int) -> Float64[np.ndarray, " points"]:
    """The finest axis that has zero on it, and reaches from below some coordinates to above them with a margin."""
    _check_points(points)
    low, high = min(0.0, *coordinates), max(0.0, *coordinates)
    margin = MARGIN * (high - low)
    below, above = margin - low, high + margin
    steps = [max(below / left, above / (points - 1 - left)) for left in range(1, points - 1)]
    left = int(np.argmin(steps))
    return np.arange(-1.0 - left, points - 1.0 - left) * steps[left]


def _orthonormal(
    first: Float64[Tensor, " parameters"], second: Float64[Tensor, " parameters"]
) -> tuple[Float64[Tensor, " parameters"], Float64[Tensor, " parameters"]]:
    lengths = [float(torch.linalg.vector_norm(direction)) for direction in (first, second)]
    for length in lengths:
        if not math.isfinite(length):
            raise InputError("a direction has values that are not finite")
        if length == 0:
            raise InputError("a direction is zero: two that are not span a plane")
    u, v = first / lengths[0], second / lengths[1]
    left = 1.0
    for _ in range(2):  # the second time takes out what rounding has left
        v = v - (u @ v) * u
        left *= float(torch.linalg.vector_norm(v))
        if left < PARALLEL:
            raise InputError("the two directions are parallel, and span no plane: give another one")
        v = v / torch.linalg.vector_norm(v)
    return u, v


def _random_directions(
    problem: Problem, seed: int
) -> tuple[Float64[Tensor, " parameters"], Float64[Tensor, " parameters"]]:
    """Filter-normalised and orthogonal within each filter; drawn on the CPU, so the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    found: list[dict[str, Tensor]] = [{}, {}]
    for name, parameter in problem.moving.items():
        values = parameter.detach().double().cpu()
        filters = values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(1, -1)
        lengths = torch.linalg.vector_norm(filters, dim=1, keepdim=True)
        first, second = (torch.randn(filters.shape, generator=generator, dtype=torch.float64) for _ in range(2))
        first = torch.nn.functional.normalize(first, dim=1)
        if filters.shape[1] == 1:
            second = torch.zeros_like(second)
        for _ in range(2):
            second = second - (first * second).sum(1, keepdim=True) * first
            second = torch.nn.functional.normalize(second, dim=1)
        for directions, direction in zip(found, (first, second), strict=True):
            directions[name] = lengths * direction
    return flattened(problem, found[0]), flattened(problem, found[1])


def _flat_state(problem: Problem, state: State, number: int) -> Float64[Tensor, " parameters"]:
    for name, parameter in problem.moving.items():
        if name not in state:
            raise InputError(f"state {number} lacks the moving parameter {name!r}")
        if state[name].shape != parameter.shape:
            raise InputError(
                f"state {number}: {name!r} is {tuple(state[name].shape)}, not {tuple(parameter.shape)} as in the model"
            )
    return flattened(problem, {name: state[name].to(problem.device) for name in problem.moving})


def _check_real(problem: Problem) -> None:
    for name, parameter in problem.moving.items():
        if parameter.is_complex():
            raise InputError(f"{name!r} is complex: a plane is spanned in real parameters; choose others to move")
