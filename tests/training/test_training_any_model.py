"""Training of every kind of model, against a loop as anyone writes it; also where derivatives are refused."""

import pytest
import torch
from small_models import SAMPLES, SOUND, WRONG_GRADIENT, Experts, drawn, fourier, problem_of
from torch import nn

from suffice import InputError
from suffice.training import FineTuning, fine_tune

pytestmark = [
    pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad"),  # reentrant checkpoints
    pytest.mark.filterwarnings("ignore:SUF01[01]"),  # of parameters without gradient, see tests/checks
]

KINDS = SOUND | WRONG_GRADIENT | {"moving_complex_layer": fourier}
SETTINGS = FineTuning(epochs=3, learning_rate=0.05, batch_size=SAMPLES, weight_decay=0.0, optimizer="sgd")


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_goes_down_the_gradient_that_backward_gives(kind):
    problem, other = KINDS[kind](), KINDS[kind]()
    for each in (problem, other):
        for module in each.model.modules():
            if isinstance(module, nn.Dropout) or hasattr(module, "p"):
                module.p = 0.0
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0
    fine_tune(problem, FineTuning(steps=1, learning_rate=0.05, batch_size=SAMPLES, weight_decay=0.0, optimizer="sgd"))
    other.model.train()
    other.losses(other.batch(slice(None))).mean().backward()
    other.model.eval()
    for name, parameter in other.moving.items():
        gradient = parameter.grad
        if gradient is None:
            assert torch.equal(problem.moving[name], parameter)
        else:
            gradient = gradient.to_dense() if gradient.is_sparse else gradient
            assert torch.allclose(problem.moving[name], parameter - 0.05 * gradient, rtol=1e-6, atol=1e-9), name
    assert all(parameter.grad is None for parameter in problem.model.parameters())


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_optimiser_lowers_the_loss(kind, optimizer):
    problem = KINDS[kind]()
    history = fine_tune(problem, FineTuning(15, 0.02, SAMPLES, 0.0, optimizer=optimizer))
    assert history[-1] < history[0]


@pytest.mark.parametrize("kind", ["spare_layer", "dinov2", "experts"])
def test_what_the_loss_does_not_depend_on_stays(kind):
    names = {"spare_layer": "spare.weight", "dinov2": "dinov2.embeddings.mask_token", "experts": "experts.1.weight"}
    problem = SOUND[kind]()
    before = problem.center()[names[kind]]
    fine_tune(problem, FineTuning(epochs=2, batch_size=SAMPLES, weight_decay=0.1))
    assert torch.equal(problem.moving[names[kind]], before)


def test_an_interrupted_training_of_a_spare_layer_goes_on(tmp_path):
    problem, again = SOUND["spare_layer"](), SOUND["spare_layer"]()
    history = fine_tune(problem, SETTINGS, tmp_path / "checkpoint")

    class Killed(BaseException):
        pass

    def kill(samples):
        raise Killed

    with pytest.raises(Killed):
        fine_tune(again, SETTINGS, tmp_path / "other", kill)
    assert fine_tune(again, SETTINGS, tmp_path / "checkpoint") == history


def test_batches_without_the_expert_that_moves_are_passed_over():
    torch.manual_seed(0)
    problem = problem_of(Experts(), drawn(SAMPLES, 4), parameters="experts.2.*")
    before = problem.center()["experts.2.weight"]
    fine_tune(problem, FineTuning(epochs=2, batch_size=1))
    assert not torch.equal(problem.moving["experts.2.weight"], before)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_training_that_moves_nothing_is_refused(optimizer):
    problem = problem_of(SOUND["spare_layer"]().model, drawn(SAMPLES, 4), parameters="spare.*")
    with pytest.raises(
        InputError, match="nothing was trained: autograd finds no parameter that moves in the loss"
    ) as no:
        fine_tune(problem, FineTuning(epochs=2, batch_size=4, optimizer=optimizer))
    assert "\n" not in str(no.value)
