"""The points of the loss surface at which it is measured."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from suffice.checks import check_distance
from suffice.curvature import check_basis, flattened, unflattened
from suffice.digest import digest
from suffice.errors import InputError, nearest
from suffice.landscape.plane import Plane
from suffice.problem import Problem, State, norm, wide

KEPT_BYTES = 256 << 20
"""Drawn points are kept for the next time if all of them fit in here."""


class Probes:
    """q points of the parameter space: first the centre w*, the parameters as they are now, then others around it.

    Made by `sphere`, `gaussian`, `rays`, `plane` or `points`. A drawn point comes from a seed of its own at the time
    it is asked for: memory holds the centre only, and a larger ``count`` adds points without changing any.

    Attributes:
        distance: ||w - w*|| of each point, (q,), the first 0.
        description: how the points were made, as JSON values.

    Example:
        >>> import torch, suffice
        >>> data = torch.utils.data.TensorDataset(torch.randn(9, 5), torch.randint(3, (9,)))
        >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
        >>> probes = suffice.Probes.sphere(problem, radius=0.1, count=8)
        >>> len(probes), probes[3]["weight"].shape
        (9, torch.Size([3, 5]))
    """

    def __init__(
        self,
        center: State,
        draw: Callable[[int], State],
        distance: Float64[np.ndarray, " probes"],
        description: Mapping[str, Any],
    ) -> None:
        self.distance = distance
        self.description = dict(description)
        self._center = center
        size = sum(value.numel() * value.element_size() for value in center.values())
        self._draw = functools.cache(draw) if size * len(distance) <= KEPT_BYTES else draw

    def __len__(self) -> int:
        return len(self.distance)

    def __getitem__(self, probe: int) -> State:
        """The values of the moving parameters at a point."""
        if not 0 <= probe < len(self):
            raise IndexError(f"probe {probe} of {len(self)}")
        return self._center if probe == 0 else self._draw(probe)

    def check(self, problem: Problem) -> None:
        """Raises an InputError if the centre is not where the problem's moving parameters are now, or if a drawn point
        is lost in the rounding of the weights."""
        now = problem.moving
        if self._center.keys() != now.keys() or any(
            not torch.equal(value, now[name].detach()) for name, value in self._center.items()
        ):
            raise InputError("the probes were made for other parameters or other weights: make them anew")
        if len(self) > 1 and self.description["kind"] != "points":
            nearest_one = 1 + int(self.distance[1:].argmin())
            check_distance(problem, self[nearest_one], float(self.distance[nearest_one]))

    @classmethod
    def sphere(cls, problem: Problem, radius: float = 0.1, count: int = 8, seed: int = 0) -> "Probes":
        """The centre, then points drawn uniformly from the sphere ||w - w*|| = radius ||w*|| (moving parameters).

        Raises:
            InputError: a radius or count that is not positive, or w* = 0.
        """
        _check_positive(radius=radius, count=count)
        center = problem.center()
        length = radius * norm(center)
        if length == 0:
            raise InputError("all moving parameters are zero, so a relative radius has no meaning: use Probes.gaussian")

        def draw(probe: int) -> State:
            direction = _noise(center, seed, probe)
            return _moved(center, direction, length / norm(direction))

        distance = np.array([0.0] + [length] * count)
        return cls(center, draw, distance, {"kind": "sphere", "radius": radius, "count": count, "seed": seed})

    @classmethod
    def gaussian(
        cls,
        problem: Problem,
        sigma: float,
        count: int,
        seed: int = 0,
        basis: Float[Tensor, "parameters directions"] | None = None,
    ) -> "Probes":
        """The centre, then w* + sigma z, with z standard normal; about sigma sqrt(P) away for P moving parameters.

        Args:
            problem: at w*.
            sigma: standard deviation of each coordinate.
            count: number of points beside the centre.
            seed: random seed.
            basis: U, orthonormal columns in the order of `suffice.curvature.flattened`. The points are then
                w* + sigma U z, in its span.

        Raises:
            InputError: a sigma or count that is not positive; a basis of another length, or one that is not
                orthonormal.
        """
        _check_positive(sigma=sigma, count=count)
        center = problem.center()
        if basis is not None:
            check_basis(problem, basis)
            columns = basis.detach().to(problem.device)

        def noise(probe: int) -> State:
            if basis is None:
                return _noise(center, seed, probe)
            z = _noise({"z": columns[0].double()}, seed, probe)["z"]
            return unflattened(problem, columns @ z.to(columns.dtype))

        distance = [0.0] + [sigma * norm(noise(probe)) for probe in range(1, count + 1)]
        description = {"kind": "gaussian", "sigma": sigma, "count": count, "seed": seed}
        if basis is not None:
            description["basis"] = digest(columns)
        return cls(center, lambda probe: _moved(center, noise(probe), sigma), np.array(distance), description)

    @classmethod
    def rays(
        cls,
        problem: Problem,
        basis: Float[Tensor, "parameters directions"],
        distances: Sequence[float],
    ) -> "Probes":
        """The centre, then w* + r u and w* - r u, for each distance r and each direction u.

        Distances come one after the other, within each the directions, and within each of those first +, then -. So
        with D directions, + at distance a along direction d is probe 1 + 2 (a D + d).

        Args:
            problem: at w*.
            basis: orthonormal columns u, in the order of `suffice.curvature.flattened`.
            distances: r = ||w - w*||.

        Raises:
            InputError: distances that are none or not positive; a basis of another length, or one that is not
                orthonormal.
        """
        if not distances:
            raise InputError("distances: give at least one")
        for length in distances:
            _check_positive(distance=length)
        check_basis(problem, basis)
        center, columns = problem.center(), basis.detach().to(problem.device)
        directions = columns.shape[1]

        def draw(probe: int) -> State:
            along, side = divmod(probe - 1, 2)
            ring, direction = divmod(along, directions)
            step = unflattened(problem, columns[:, direction].contiguous())
            return _moved(center, step, -distances[ring] if side else distances[ring])

        distance = np.concatenate([[0.0], np.repeat(np.asarray(distances, dtype=np.float64), 2 * directions)])
        description = {"kind": "rays", "distances": [float(one) for one in distances], "basis": digest(columns)}
        return cls(center, draw, distance, description)

    @classmethod
    def plane(cls, problem: Problem, plane: Plane) -> "Probes":
        """The centre, then the other points of a plane's grid, row by row; see `Plane.probes`.

        Raises:
            InputError: the plane was made for other parameters.
        """
        center = problem.center()
        if len(plane.first) != sum(value.numel() for value in center.values()):
            raise InputError("the plane was made for other parameters: make it anew")

        flat = flattened(problem, center)  # one sum of long vectors, not one of each parameter
        dtypes = {value.dtype for value in center.values()}
        dtype = dtypes.pop() if len(dtypes) == 1 else flat.dtype

        def draw(probe: int) -> State:
            moved = unflattened(problem, (flat + plane.step(probe)).to(dtype))
            return {name: moved[name].to(value.dtype) for name, value in center.items()}

        distance = plane.center_norm * np.hypot(*plane.coordinates.T)
        return cls(center, draw, distance, plane.description)

    @classmethod
    def points(cls, problem: Problem, states: Sequence[State]) -> "Probes":
        """The centre, then given points, each as a ``state_dict`` of the model or of its moving parameters.

        Raises:
            InputError: a state that lacks a moving parameter, has another shape or values that are not finite, or
                differs from the model in something that does not move.
        """
        center = problem.center()
        moving = set(problem.moving.values())
        named = problem.model.named_parameters(remove_duplicate=False)
        # other names of moving parameters, which are tied to them
        tied = {name for name, parameter in named if parameter in moving} - center.keys()
        fixed = {name: value for name, value in problem.model.state_dict().items() if name not in center.keys() | tied}
        given = [_checked(state, center, fixed, tied, number) for number, state in enumerate(states)]
        distance = [0.0] + [
            norm({name: wide(state[name]) - wide(value) for name, value in center.items()}) for state in given
        ]
        description = {"kind": "points", "count": len(given), "states": digest(given)}
        return cls(center, lambda probe: given[probe - 1], np.array(distance), description)


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"{name} = {value}: must be positive and finite")


def _noise(center: State, seed: int, probe: int) -> dict[str, Tensor]:
    """Standard normal numbers of the shapes of the centre, in both parts of complex ones; made on the CPU, so the same
    on every device."""
    generator = torch.Generator().manual_seed(
        int(np.random.SeedSequence([seed, probe]).generate_state(1, np.uint64)[0])
    )

    def draw(value: Tensor) -> Tensor:
        if value.is_complex():
            dtype = torch.float64 if value.dtype == torch.complex128 else torch.float32
            return torch.view_as_complex(torch.randn((*value.shape, 2), generator=generator, dtype=dtype))
        dtype = torch.float64 if value.dtype == torch.float64 else torch.float32
        return torch.randn(value.shape, generator=generator, dtype=dtype)

    return {name: draw(value).to(value.device) for name, value in center.items()}


def _moved(center: State, direction: State, step: float) -> State:
    return {
        name: torch.add(wide(value), wide(direction[name]), alpha=step).to(value.dtype)
        for name, value in center.items()
    }


def _checked(state: State, center: State, fixed: Mapping[str, Any], tied: Set[str], number: int) -> State:
    for name, value in center.items():
        if name not in state:
            raise InputError(f"state {number} lacks the moving parameter {name!r}{nearest(name, list(state))}")
        if state[name].shape != value.shape:
            raise InputError(f"state {number}: {name!r} is {tuple(state[name].shape)}, not {tuple(value.shape)}")
        if not bool(torch.isfinite(state[name]).all()):
            raise InputError(f"state {number}: {name!r} has values that are not finite")
    for name in state.keys() - center.keys() - tied:
        if name not in fixed:
            raise InputError(f"state {number} has {name!r}, which the model has not{nearest(name, list(fixed))}")
        if isinstance(fixed[name], Tensor) and not torch.equal(state[name].to(fixed[name]), fixed[name]):
            raise InputError(f"state {number} differs from the model in {name!r}, which is not a moving parameter")
    return {name: state[name].detach().to(value) for name, value in center.items()}
