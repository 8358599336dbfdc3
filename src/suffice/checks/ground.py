r"""A model that is moved along lines through a point near its weights, and slopes along these.

The slope at w along v is the central difference :math:`\frac{f(w + h v) - f(w - h v)}{2 h}` of two steps h,
extrapolated to h = 0.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from suffice.checks.measured import batch_at, evaluating, tensors_in
from suffice.problem import Batch, Problem

Value = Callable[[Problem, int], Tensor]
"""A scalar function of the moving parameters: of a problem at its present weights, and the position of a sample."""

Gradient = Callable[[Problem, int], Mapping[str, Tensor]]
"""Its gradient in the moving parameters by name, as an engine finds it; a name that is left out means zero."""

AWAY, FURTHEST = 10, 0.3
"""How many steps from the weights the point is, and how far at most, relative to the size of each tensor.

At the weights themselves zeros (LoRA's B, biases of ReLU layers) put a model on a kink, or hide a gradient; a step from
the point must not reach back to them.
"""

NEAREST = 0.01
"""How far it is at least."""

ROUGH = 0.1
"""Part of the step over which the noise of the function is measured."""

AGREE = 0.1
"""Two steps whose slopes differ by more than this share are too long for anything to be said."""

FINE = 1e-4
"""Two steps whose slopes differ by more than this share are too long, unless noise makes the difference."""

SHORTER, TRIES = 0.1, 3
"""How much shorter the next steps are, and how many times in all."""

NOISE, APART = 10, 3
"""Times the noise over the step, and times the difference of two steps, that a slope may be off."""

T = TypeVar("T")


class Difference(NamedTuple):
    """A slope by central differences, and how far it may be off; infinitely far where nothing is known."""

    slope: float
    error: float


class Ground:
    """The moving parameters of a model around a point near their values; zeros are moved away from there too.

    Args:
        problem: its model is moved, and put back when `entered` ends.
        value: f.
        gradient: of f, by an engine.
        step: h, relative to the size of each tensor.
        is_copy: the model may be put into training mode and back before each value. Layers that merge weights at
            ``eval()`` then see the moved ones.
        at_weights: the point is the weights themselves.
        known: outputs that were measured here for another function of them; more are added. None if f depends on more
            than the outputs.
    """

    def __init__(
        self,
        problem: Problem,
        value: Value,
        gradient: Gradient,
        step: float,
        is_copy: bool,
        at_weights: bool = False,
        known: dict[Any, Any] | None = None,
    ) -> None:
        self.problem, self.step = problem, step
        self._value, self._gradient, self._is_copy, self._at_weights = value, gradient, is_copy, at_weights
        self._generator = torch.Generator().manual_seed(0)
        self._known = known
        self._line: int | None = None
        center = problem.center()
        self._resolution = max(torch.finfo(tensor.dtype).eps for tensor in center.values())
        sizes = {name: float(tensor.double().square().mean().sqrt()) for name, tensor in center.items()}
        usual = float(np.median([size for size in sizes.values() if size > 0] or [1.0]))
        self._sizes = {name: size or usual for name, size in sizes.items()}
        if not at_weights:
            direction, far = self.random(), min(max(NEAREST, AWAY * step), FURTHEST)
            center = {name: tensor.add_(direction[name], alpha=far) for name, tensor in center.items()}
        self._here = center
        self._moved = {name: tensor.clone() for name, tensor in self._here.items()}
        self._points: dict[int, tuple[float, float]] = {}

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The model stands at the point, and moves from there."""
        if self._is_copy:
            self.problem.model.train()
        with self.problem.at(self._moved):
            yield

    def begin(self, number: int, is_shared: bool) -> None:
        """The directions from here on are those of a line with this number, whatever was drawn before.

        Outputs on a line that does not depend on an engine are kept for the next engine.
        """
        self._generator.manual_seed(1 + number)
        self._line = number if is_shared else None

    def random(self, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """A random direction, in each tensor of the size of its values."""
        return {
            name: self._drawn(parameter.shape).to(parameter).mul_(self._sizes[name])
            for name, parameter in self.problem.moving.items()
            if names is None or name in names
        }

    def along(self, gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The direction of a gradient, up or down at random, and as steep in each tensor as random ones are.

        Where the gradient is zero, or not finite, the direction is random.
        """
        direction = {}
        for name, tensor in gradient.items():
            length = float(tensor.double().square().sum().sqrt())
            if 0 < length < np.inf:
                sign = float(torch.randint(2, (), generator=self._generator)) * 2 - 1
                direction[name] = tensor * (sign * self._sizes[name] / length)
        return direction | self.random([name for name in gradient if name not in direction])

    def gradient(self, position: int) -> dict[str, Tensor]:
        """The engine's gradient at the point."""
        self._move({}, 0.0)
        found = self._evaluate(lambda: self._gradient(self.problem, position))
        return {
            name: found[name].detach().to_dense().reshape(here.shape).to(here)
            if name in found
            else torch.zeros_like(here)
            for name, here in self._here.items()
        }

    def value(self, position: int, direction: Mapping[str, Tensor], step: float) -> float:
        """f(w + step v); tensors that the direction leaves out stay."""
        known = self._known
        if known is None or self._line is None:
            self._move(direction, step)
            return self._evaluate(lambda: float(self._value(self.problem, position)))
        key = (self._is_copy, self._at_weights, self._line if direction else None, tuple(direction), position, step)
        if key not in known:
            self._move(direction, step)
        problem = copy.copy(self.problem)

        def predict(model: nn.Module, batch: Batch) -> Any:
            if key not in known:
                known[key] = self.problem.predict(model, batch)
            return known[key]

        problem.predict = predict
        return self._evaluate(lambda: float(self._value(problem, position)))

    def difference(self, position: int, direction: Mapping[str, Tensor]) -> Difference:
        """The slope along a direction.

        It may be off by three times what two steps differ by, and by ten times the noise over the step. The noise is
        what the values over a small part of the step are away from the cubic through the others: of a smooth function,
        nothing is left. Where the two steps do not agree, and shorter ones do not either, nothing is known.
        """
        best = Difference(0.0, np.inf)
        for shorter in range(TRIES):
            found, is_short_enough = self._difference(position, direction, self.step * SHORTER**shorter)
            best = min(best, found, key=lambda one: one.error)
            if is_short_enough:
                break
        return best

    def _difference(self, position: int, direction: Mapping[str, Tensor], step: float) -> tuple[Difference, bool]:
        steps = np.array([step, step / 2, step * ROUGH])
        up, down = (np.array([self.value(position, direction, one) for one in sign * steps]) for sign in (1.0, -1.0))
        long, short = (up[:2] - down[:2]) / (2 * steps[:2])
        middle, scale = self._at_the_point(position)
        slope = (4 * short - long) / 3
        odd, even = (up - down) / 2, (up + down) / 2 - middle
        cubic = (odd[1] - slope * steps[1]) / steps[1] ** 3
        rough = abs(odd[2] - slope * steps[2] - cubic * steps[2] ** 3), abs(even[2] - even[1] * (2 * ROUGH) ** 2)
        noise = max(*rough, self._resolution * scale) / steps[1]
        apart, size = abs(long - short), max(abs(long), abs(short))
        agree = apart <= max(AGREE * size, NOISE * noise)
        error = float(APART * apart + NOISE * noise) if agree else np.inf
        return Difference(float(slope), error), bool(apart <= max(FINE * size, NOISE * noise))

    def _at_the_point(self, position: int) -> tuple[float, float]:
        """f at the point itself, and the size of the numbers that it is a difference of: outputs may be far larger."""
        if position not in self._points:
            middle = self.value(position, {}, 0.0)
            outputs = self._evaluate(lambda: tensors_in(self.problem.outputs(batch_at(self.problem, [position]))))
            sizes = [float(output.abs().max()) for output in outputs if output.is_floating_point() and output.numel()]
            self._points[position] = middle, max([abs(middle), *(size for size in sizes if size < np.inf)])
        return self._points[position]

    def _drawn(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=self._generator)

    def _move(self, direction: Mapping[str, Tensor], step: float) -> None:
        for name, here in self._here.items():
            if name in direction:
                torch.add(here, direction[name], alpha=step, out=self._moved[name])
            else:
                self._moved[name].copy_(here)

    def _evaluate(self, run: Callable[[], T]) -> T:
        with evaluating(self.problem):
            found = run()
        if self._is_copy:  # undo what eval() has merged, before the weights move on
            self.problem.model.train()
        return found
