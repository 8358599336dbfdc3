"""Guard: a forward pass, and ``eval()``, leave the weights as they are, and a forward pass its input."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from suffice.checks.measured import batch_at, evaluating, same, tensors_in
from suffice.checks.moves import far_from
from suffice.checks.passed import passed_by
from suffice.checks.precise import fits
from suffice.checks.registry import INPUT_CHANGED, WEIGHTS_CHANGED, Finding
from suffice.problem import Problem


def check_kept(problem: Problem, batch_size: int = 2) -> None:
    """Stops where forward changes its input or the weights; the weights are put back.

    Args:
        problem: what is to be measured.
        batch_size: samples that will be run at a time; with 1, some models take no more.

    Raises:
        InputError: SUF013 or SUF014, with the parameter.
    """
    passed = passed_by(problem)
    if not problem.checks or passed.has("kept"):
        return
    parameters = {name: parameter.detach() for name, parameter in problem.model.named_parameters()}
    finding = None
    if fits(problem, list(parameters.values())):
        with evaluating(problem):  # what eval() itself changes is not changed by forward
            finding = _run(problem, parameters, batch_size)
            # what is within its bounds here is not at other points
            far = far_from(problem, list(problem.moving))
            with problem.at(far):
                finding = finding or _run(problem, far, batch_size)
    if finding is not None:
        finding.report()
    passed_by(problem).add("kept")


def check_evaluation_mode(problem: Problem) -> None:
    """Stops where ``eval()`` changes the weights: the losses would be of others than those that move.

    Raises:
        InputError: SUF014, with the parameter.
    """
    if not problem.checks or not any(map(_has_a_mode_of_its_own, problem.model.modules())):
        return
    before = {name: value.detach().clone() for name, value in problem.model.named_parameters()}
    with evaluating(problem):
        changed = [name for name, value in problem.model.named_parameters() if not _same(value.detach(), before[name])]
    if changed:
        what = f"eval() changes the parameter {changed[0]}, as layers do that merge an adapter into it"
        remedy = "Build the layers without merging, or call model.eval() first and move no parameter that is merged"
        Finding(WEIGHTS_CHANGED, what, remedy).report()


def _has_a_mode_of_its_own(module: nn.Module) -> bool:
    """Whether a module in training mode does more at eval() than change its mode."""
    kind = type(module)
    return module.training and (kind.train is not nn.Module.train or kind.eval is not nn.Module.eval)


def _run(problem: Problem, weights: Mapping[str, Tensor], batch_size: int) -> Finding | None:
    before = {name: value.clone() for name, value in weights.items()}
    batch = batch_at(problem, range(min(2, batch_size)))
    inputs = [tensor.clone() for tensor in tensors_in(batch)]
    problem.losses(batch)
    changed = [name for name, value in weights.items() if not _same(value, before[name])]
    with torch.no_grad():
        for name in changed:
            weights[name].copy_(before[name])
    if changed:
        what = f"forward changes the parameter {changed[0]} in place"
        return Finding(WEIGHTS_CHANGED, what, "Make forward compute it in a new tensor, without max_norm")
    if not all(map(_same, inputs, tensors_in(batch))):
        what = "forward, or the loss, changes its input in place, and a batch is run several times"
        return Finding(INPUT_CHANGED, what, "Make it work on a copy: x = x * 0.5 in place of x.mul_(0.5)")
    return None


def _same(left: Tensor, right: Tensor) -> bool:
    if left.layout != torch.strided:
        return True
    return left.shape == right.shape and bool(torch.equal(left, right) or same(left, right).all())
