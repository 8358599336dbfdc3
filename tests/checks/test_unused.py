"""Parameters without a gradient: left out by forward, not reached by autograd, or not needed by these samples."""

import warnings

import pytest
import torch
from small_models import SOUND, WRONG_GRADIENT
from torch import nn

from suffice.checks import check_unused
from suffice.curvature import mean_gradient
from suffice.training import FineTuning, fine_tune

LEFT_OUT = {"dinov2": r"dinov2\.embeddings\.mask_token: ", "spare_layer": r"spare\.weight, spare\.bias: "}
NOT_REACHED = {
    "backbone_without_gradients": r"backbone\.weight, backbone\.bias, ",
    "reentrant_checkpoint_of_a_frozen_input": r"inner\.weight, inner\.bias, ",
}


@pytest.fixture(autouse=True)
def _other_warnings_are_not_ours():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        warnings.filterwarnings("ignore", message="None of the inputs have requires_grad")
        yield


@pytest.mark.parametrize("kind", sorted(SOUND.keys() - LEFT_OUT.keys()))
def test_models_that_use_all_their_parameters_say_nothing(kind):
    check_unused(SOUND[kind]())


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_parameters_that_forward_leaves_out_are_said_once(kind):
    problem = SOUND[kind]()
    with pytest.warns(UserWarning, match=f"^SUF010: forward does not use {LEFT_OUT[kind]}"):
        check_unused(problem)
    check_unused(problem)
    check_unused(problem.elsewhere(problem.dataset))


@pytest.mark.parametrize("kind", LEFT_OUT)
@pytest.mark.parametrize("run", [mean_gradient, lambda problem: fine_tune(problem, FineTuning(steps=2))])
def test_they_are_said_by_derivatives_and_by_training(kind, run):
    problem = SOUND[kind](torch.float32)
    with pytest.warns(UserWarning, match="SUF010"):
        run(problem)


@pytest.mark.parametrize("kind", NOT_REACHED)
def test_training_says_what_it_does_not_reach(kind):
    problem = WRONG_GRADIENT[kind](torch.float32)
    before = problem.center()
    with pytest.warns(UserWarning, match=f"^SUF011: autograd gives no gradient for {NOT_REACHED[kind]}"):
        fine_tune(problem, FineTuning(steps=2))
    moved = {name for name, value in problem.moving.items() if not torch.equal(before[name], value)}
    assert moved == {name for name in before if name.startswith(("head", "last"))}


def test_a_layer_that_forward_skips_is_told_from_an_expert_without_samples():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            return self.layers[1](self.layers[0](x).tanh())[:, :3]

    problem = SOUND["linear"]()
    torch.manual_seed(0)
    skips = type(problem)(Skips().double(), problem.dataset)
    with pytest.warns(UserWarning, match=r"SUF010: forward does not use layers\.2\.weight, layers\.2\.bias: "):
        check_unused(skips)


def test_what_requires_no_gradient_is_put_back():
    problem = SOUND["spare_layer"]()
    problem.model.requires_grad_(False)
    with pytest.warns(UserWarning, match="SUF010"):
        check_unused(problem)
    assert not any(parameter.requires_grad for parameter in problem.model.parameters())
