"""Guard: the derivative in each moving parameter matches what moving it does."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from suffice.checks.comparison import TOGETHER, FirstSamples
from suffice.checks.ground import NOISE, SHORTER, Difference, Gradient, Ground, Value
from suffice.checks.kept import check_evaluation_mode
from suffice.checks.losses import ALIKE, check_losses, check_samples
from suffice.checks.measured import batch_at, evaluating, losses_of
from suffice.checks.moves import nothing_moves, unmoved
from suffice.checks.passed import passed_by
from suffice.checks.precise import in_float64, lowest_dtype
from suffice.checks.registry import COMPLEX, DERIVATIVE, NOT_FINITE, Finding
from suffice.checks.unused import check_unused
from suffice.errors import InputError
from suffice.memory import has_run_out, too_large
from suffice.problem import Problem

SAMPLES = 3
"""Samples on which derivatives are compared: those of the largest losses among the first and some from all over."""

SPREAD = 4
"""Samples from all over the data that are candidates, as what the first ones lack, such as padding, may come later."""

STEPS = {torch.float64: 1e-4, torch.float32: 1e-2}
"""Relative to the size of each tensor, by the least precise numbers in the forward pass."""

COARSE_STEP = 0.1
"""The same for lower precision."""

SUSPICIOUS = 1e-5
"""Joint directions that differ by more than this share are searched for a tensor that is wrong."""

MISMATCH = 0.05
"""The share by which the derivative in one tensor differs, if it is wrong."""

LEAVES = 8
"""Tensors that are looked at alone, at most."""

SUMMED = 1e-3
"""Share by which the gradient of a batch may differ from the sum of those of its samples, relative to their norms."""

TURNS = 4
"""Directions in which such a tensor is moved."""


def loss_at(problem: Problem, position: int) -> Tensor:
    """The loss of one sample."""
    return problem.losses(batch_at(problem, [position])).sum()


def check_gradient(
    problem: Problem,
    engine: str,
    gradient: Gradient,
    value: Value = loss_at,
    of_outputs: bool = False,
    batch_size: int = TOGETHER,
    of_batch: Callable[[Problem, Sequence[int]], Mapping[str, Tensor]] | None = None,
) -> None:
    """Stops where a derivative does not match what it is the derivative of.

    It is done once for each use of a model and each engine, see `suffice.checks.passed`.

    Args:
        problem: whose derivatives are wanted.
        engine: a name for what finds the gradient.
        gradient: finds it at one sample, for this problem or for one with a copy of its model.
        value: the function whose gradient it is; the loss of the sample by default.
        of_outputs: the value depends on the weights by the outputs alone, unless the loss is a callable. What was
            measured for one such engine is used for the next.
        batch_size: samples that the engine runs at a time; with 1, a sample has no company.
        of_batch: the sum of the gradients of some samples, as the engine finds it in one batch of them.

    Raises:
        InputError: SUF005 or SUF007 to SUF009, with the parameter; or as `check_losses`.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.randn(9, 2), torch.randint(3, (9,)))
        >>> problem = Problem(torch.nn.Linear(2, 3), data)
        >>> def gradient(problem, position):
        ...     with torch.enable_grad():
        ...         found = torch.autograd.grad(loss_at(problem, position), list(problem.moving.values()))
        ...     return dict(zip(problem.moving, found))
        >>> check_gradient(problem, "autograd", gradient)
        >>> check_gradient(problem, "another", lambda *at: {"weight": gradient(*at)["weight"]})
        Traceback (most recent call last):
        suffice.errors.InputError: SUF007: automatic differentiation gives 0 along bias, central differences ...
    """
    if torch.is_inference_mode_enabled():
        raise InputError("there are no derivatives within torch.inference_mode(): leave it first")
    problem = problem.unweighted()  # derivatives of single samples are compared
    passed = passed_by(problem)
    guard = f"gradient: {engine}" if batch_size > 1 else f"gradient: {engine}, alone"
    if not problem.checks or passed.has(guard):
        return
    check_samples(problem)
    check_evaluation_mode(problem)
    check_losses(problem, batch_size)
    shares = of_outputs and not callable(problem.loss)
    finding = _complex(problem) or _compared(problem, gradient, value, shares)
    if finding is None and of_batch is not None and batch_size > 1:
        finding = _summed(problem, gradient, of_batch)
    if finding is not None:
        finding.report()
    passed.add(guard)
    check_unused(problem, batch_size)


def _complex(problem: Problem) -> Finding | None:
    name = next((name for name, parameter in problem.moving.items() if parameter.is_complex()), None)
    if name is None:
        return None
    remedy = "Exclude it with parameters=, or store its real and imaginary part as two parameters"
    return Finding(COMPLEX, f"the parameter {name} is complex, and derivatives are taken in real ones", remedy)


def _compared(problem: Problem, gradient: Gradient, value: Value, shares: bool) -> Finding | None:
    unguarded = copy.copy(problem)
    unguarded.checks = False
    with evaluating(problem):
        samples = FirstSamples(problem).positions
        losses = _losses(problem, samples)
        positions = [samples[row] for row in np.argsort(-np.nan_to_num(losses))]
        elsewhere = _elsewhere(problem, samples)
        positions = [*positions[:1], *elsewhere[:1], *positions[1:]][:SAMPLES]
        step = _step(problem, positions[0])
        known = _known(problem, losses) if shares else None
        # what one engine differentiates on all of them, the next does if it does on one
        finding, first = _differentiated(unguarded, gradient, value, positions[:1] if known else positions)
    if finding is not None:
        return finding
    search = None if _has_hooks(problem) else _in_copy(problem, gradient, value, positions, known)
    if search is None or not (search.finding or search.moves):
        search = _Search(Ground(unguarded, value, gradient, step, is_copy=False), positions)
    elif search.moves and search.finding is None:
        # A copy tells nothing of what reads the tensors of the model itself, and near the weights it tells nothing
        # of a branch that is taken at them alone.
        ground = Ground(
            unguarded, value, lambda problem, position: first, step, is_copy=False, at_weights=True, known=known
        )
        search = _Search(ground, positions[:1], once=True)
        search.moves = True
    if search.finding is not None or search.moves:
        return search.finding
    with evaluating(problem):
        return unmoved(problem) if nothing_moves(problem, batch_at(problem, positions[:1])) else None


def _elsewhere(problem: Problem, known: Sequence[int]) -> list[int]:
    """Some samples from all over the data but the known ones, the largest loss first."""
    spread = np.linspace(0, len(problem) - 1, SPREAD + 1)[1:].round().astype(int).tolist()
    others = [position for position in dict.fromkeys(spread) if position not in known]
    if not others:
        return []
    return [others[row] for row in np.argsort(-np.nan_to_num(_losses(problem, others)))]


def _losses(problem: Problem, positions: Sequence[int]) -> Float64[np.ndarray, " samples"]:
    """Of some samples, one by one where they do not make a batch."""
    try:
        return losses_of(problem, batch_at(problem, positions))
    except InputError:
        return np.concatenate([losses_of(problem, batch_at(problem, [position])) for position in positions])


def _summed(
    problem: Problem, gradient: Gradient, of_batch: Callable[[Problem, Sequence[int]], Mapping[str, Tensor]]
) -> Finding | None:
    """Whether the gradient of a batch is the sum of those of its samples, tensor by tensor up to rounding."""
    unguarded = copy.copy(problem)
    unguarded.checks = False
    name = _not_summed(unguarded, gradient, of_batch)
    copied = None if name is None or _has_hooks(problem) else in_float64(problem)
    if copied is not None:
        try:  # what differs by rounding alone, as at a kink, does not in float64
            name = _not_summed(copied, gradient, of_batch)
        except Exception:  # what cannot be run in the copy is left at what the model itself says
            copied = None
    if name is None:
        return None
    what = f"the gradient of a batch in {name} is not the sum of the gradients of its samples, although the losses are"
    remedy = "Turn off scale_grad_by_freq and hooks that see the whole batch, or take batch_size=1"
    return Finding(DERIVATIVE, what, remedy)


def _not_summed(
    problem: Problem, gradient: Gradient, of_batch: Callable[[Problem, Sequence[int]], Mapping[str, Tensor]]
) -> str | None:
    with evaluating(problem):
        first, second, *_ = FirstSamples(problem).positions
        positions = [first, first, second]  # what counts equal things, as tokens, finds some
        digits = torch.finfo(lowest_dtype(problem, batch_at(problem, positions))).eps
        losses = float(np.abs(_losses(problem, positions)).sum())
    tolerance = max(SUMMED, digits**0.5)
    try:
        found = of_batch(problem, positions)
        of_first = gradient(problem, first)
        each = [of_first, of_first, gradient(problem, second)]
    except InputError:  # some models do not take a batch of one
        return None
    sums = {name: sum(one[name].double() for one in each) for name in found}
    norms = {name: sum(float(one[name].double().norm()) for one in each) for name in found}
    whole = max(norms.values())
    for name, tensor in found.items():
        gap = float((tensor.double() - sums[name]).norm())
        # gradients that are zero but for rounding, as of keys' biases, do not agree
        size = float(problem.moving[name].detach().double().norm()) or 1.0
        if gap > tolerance * (norms[name] + tolerance * whole) and gap * size > NOISE * digits * losses:
            return name
    return None


def _in_copy(
    problem: Problem, gradient: Gradient, value: Value, positions: Sequence[int], known: dict[Any, Any] | None
) -> "_Search | None":
    """The search in a float64 copy of the model; None where the copy cannot be run, or has other values."""
    copied = _alike(problem, value, positions[0])
    if copied is None:
        return None
    try:
        with evaluating(copied):
            step = _step(copied, positions[0])
        if step != STEPS[torch.float64]:  # only a part of the copy rounds to fewer digits
            step *= SHORTER
        # along the random direction of one engine the next needs no forward pass; their gradients are shared by none
        chosen, once = (positions[1:2], True) if known else (positions, False)
        return _Search(Ground(copied, value, gradient, step, is_copy=True, known=known), chosen, once)
    except Exception:  # what cannot be run in the copy is run in the model itself
        return None


def _known(problem: Problem, losses: Float64[np.ndarray, " samples"]) -> dict[Any, Any]:
    """What was measured at these weights, as sums of the tensors and some losses tell them from others."""
    sums = tuple(float(parameter.detach().sum(dtype=torch.float64)) for parameter in problem.moving.values())
    return passed_by(problem).outputs_at((sums, tuple(losses)))


def _has_hooks(problem: Problem) -> bool:
    """Whether a parameter has hooks, which a copy of it has not."""
    return any(
        getattr(parameter, name, None)
        for parameter in problem.moving.values()
        for name in ("_backward_hooks", "_post_accumulate_grad_hooks")
    )


def _step(problem: Problem, position: int) -> float:
    return STEPS.get(lowest_dtype(problem, batch_at(problem, [position])), COARSE_STEP)


def _differentiated(
    problem: Problem, gradient: Gradient, value: Value, positions: Sequence[int]
) -> tuple[Finding | None, Mapping[str, Tensor]]:
    """Whether the derivatives exist at the weights themselves, and the gradient at the first sample."""
    first: Mapping[str, Tensor] = {}
    for position in positions:
        try:
            found = gradient(problem, position)
            first = first or found
        except Exception as error:  # whatever an engine says of a model that it cannot take
            if error.__cause__ is not None and has_run_out(error.__cause__):
                raise  # that is not the model's fault
            if has_run_out(error):
                raise too_large(error) from error
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
            what = reason if isinstance(error, InputError) else f"automatic differentiation fails: {reason}"
            remedy = "Write forward so that torch can differentiate it; losses can be recorded as they are"
            return Finding(DERIVATIVE, what, remedy), first
        bad = next((name for name, tensor in found.items() if not _is_finite(tensor)), None)
        if bad is not None and bool(torch.isfinite(value(problem, position))):
            what = f"the gradient in {bad} at {problem.describe(position)} is not finite, although the loss is"
            remedy = "Keep roots and norms away from zero in forward, or exclude the parameter with parameters="
            return Finding(NOT_FINITE, what, remedy), first
    return None, first


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.to_dense()).all())


def _alike(problem: Problem, value: Value, position: int) -> Problem | None:
    """A float64 copy that has the same values, or None."""
    copied = in_float64(problem)
    if copied is None:
        return None
    try:
        with evaluating(problem):
            expected = float(value(problem, position))
        with evaluating(copied):
            found = float(value(copied, position))
    except Exception:  # what cannot be run in the copy is run in the model itself
        return None
    return copied if abs(found - expected) <= ALIKE * max(abs(found), abs(expected)) else None


class _Search:
    """Joint directions over all moving parameters first; then, if one differs, halves of them down to one tensor.

    Args:
        ground: the model and its derivatives.
        positions: the samples.
        once: one direction for each sample is enough.

    Attributes:
        finding: the tensor that is wrong, or None.
        moves: whether anything has moved the function.
    """

    def __init__(self, ground: Ground, positions: Sequence[int], once: bool = False) -> None:
        self._ground, self._positions, self._once = ground, positions, once
        self._leaves = 0
        self.moves = False
        with ground.entered():
            self.finding = self._search()

    def _search(self) -> Finding | None:
        for number, position in enumerate(self._positions):
            gradient = self._ground.gradient(position)
            for direction in self._directions(number, position, gradient):
                parts = {
                    name: float((gradient[name] * part).sum(dtype=torch.float64)) for name, part in direction.items()
                }
                line = _Line(self._ground, position, direction, parts)
                self.moves |= line.moves(list(parts))
                finding = self._within(line, gradient, list(parts))
                if finding is not None:
                    return finding
        return None

    def _directions(self, number: int, position: int, gradient: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Along the gradient and at random, in turn."""
        is_random = self._once or number % 2 == 1
        self._ground.begin(position, is_random)
        yield self._ground.random() if is_random else self._ground.along(gradient)

    def _within(self, line: "_Line", gradient: Mapping[str, Tensor], names: list[str]) -> Finding | None:
        if self._leaves >= LEAVES or not line.is_suspicious(names):
            return None
        if len(names) == 1:
            self._leaves += 1
            return self._alone(line.position, gradient, names[0])
        half = len(names) // 2
        return self._within(line, gradient, names[:half]) or self._within(line, gradient, names[half:])

    def _alone(self, position: int, gradient: Mapping[str, Tensor], name: str) -> Finding | None:
        """Moves one tensor in several directions.

        Along its own gradient an error at right angles does not show; in a random direction it does.
        """
        self._ground.begin(self._leaves, is_shared=False)
        for turn in [self._ground.random([name]) for _ in range(TURNS)] + [self._ground.along(gradient)]:
            expected = float((gradient[name] * turn[name]).sum(dtype=torch.float64))
            slope, error = self._ground.difference(position, {name: turn[name]})
            if abs(slope - expected) > error + MISMATCH * max(abs(slope), abs(expected)):
                break
        else:
            return None
        what = (
            f"automatic differentiation gives {expected:.3g} along {name}, central differences {slope:.3g}, at "
            f"{self._ground.problem.describe(position)}"
        )
        remedy = self._remedy(name, gradient[name])
        return Finding(
            DERIVATIVE, what, f"{remedy}, or exclude it with parameters=; losses can be recorded as they are"
        )

    def _remedy(self, name: str, gradient: Tensor) -> str:
        module = self._ground.problem.model.get_submodule(name.rpartition(".")[0])
        if isinstance(module, nn.Embedding) and module.padding_idx is not None and gradient.any():
            return f"Its row {module.padding_idx} is for padding and gets no gradient: use that token for padding only"
        if gradient.any():
            return "Make forward differentiable in it"
        return "Let forward record gradients for it (no no_grad, detach, reentrant checkpointing, merging at eval())"


class _Line:
    """One direction over all moving parameters, and what an engine expects of each tensor's part of it."""

    def __init__(
        self, ground: Ground, position: int, direction: Mapping[str, Tensor], parts: Mapping[str, float]
    ) -> None:
        self.position = position
        self._ground, self._direction, self._parts = ground, direction, parts
        self._known: dict[tuple[str, ...], Difference] = {}

    def is_suspicious(self, names: Sequence[str]) -> bool:
        """Whether the slope along some tensors is not what is expected."""
        slope, error = self._difference(names)
        expected = np.array([self._parts[name] for name in names])
        scale = max(abs(slope), float(np.sqrt(np.square(expected).sum())))
        return bool(abs(slope - expected.sum()) > error + SUSPICIOUS * scale)

    def moves(self, names: Sequence[str]) -> bool:
        """Whether the function changes along some tensors, or is expected to."""
        slope, error = self._difference(names)
        return bool(abs(slope) > error) or any(self._parts[name] != 0 for name in names)

    def _difference(self, names: Sequence[str]) -> Difference:
        key = tuple(names)
        if key not in self._known:
            direction = {name: self._direction[name] for name in names}
            self._known[key] = self._ground.difference(self.position, direction)
        return self._known[key]
