"""The rule: samples are run together where vmap runs the model and is right, else one by one."""

import numpy as np
import pytest
import torch
from curvature_oracles import mlp_problem
from small_models import SAMPLES, SOUND, WRONG_GRADIENT, drawn, fourier, problem_of

from suffice import InputError
from suffice.curvature import loss_gradients, mean_gradient, output_gradients, prefix_gradients, vmap_or_plain

pytestmark = pytest.mark.filterwarnings("ignore:SUF010")  # of parameters without gradient, see tests/checks

ONE_BY_ONE = {"bert", "lstm", "gru", "sparse_embedding", "checkpointed", "experts"}
"""What vmap cannot run; nothing else here may be slower than need be."""


def forward_passes(problem, take=loss_gradients):
    """How often the model is begun, in all samples' gradients."""
    begun = []
    problem.checks = False
    hook = problem.model.register_forward_pre_hook(lambda *arguments: begun.append(1))
    try:
        found = take(problem, np.arange(len(problem)))
    finally:
        hook.remove()
    return len(begun), found


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("kind", SOUND)
def test_samples_are_run_together_unless_vmap_cannot(kind, dtype):
    problem = SOUND[kind](dtype)
    passes, _ = forward_passes(problem)
    outputs = 0 if callable(problem.loss) else 1  # one batch, for the losses in the outputs
    tried = 1 + 1  # what a sample costs, and vmap
    compared = 2  # by the plain way, where vmap runs
    if kind in ONE_BY_ONE:
        assert passes - outputs - tried - SAMPLES in (0, compared)
    else:
        assert passes == outputs + tried + compared + 1


def broken(found):
    """In place of vmap: raises, or gives other numbers."""

    def instead(function):
        def run(*arguments):
            if isinstance(found, BaseException):
                raise found
            return {name: 2 * value for name, value in torch.func.vmap(function)(*arguments).items()}

        return run

    return instead


@pytest.mark.parametrize(
    "found", [RuntimeError("anything"), NotImplementedError(), ValueError("of the model"), "other numbers"], ids=repr
)
def test_whatever_vmap_says_plain_autograd_decides(monkeypatch, found):
    problem = mlp_problem([3, 4, 2], 5)
    expected = loss_gradients(problem, np.arange(5))
    monkeypatch.setattr(vmap_or_plain, "vmap", broken(found))
    passes, rows = forward_passes(problem)
    assert passes >= 1 + 1 + 5
    assert torch.allclose(rows, expected, rtol=1e-12, atol=1e-14)


def test_a_small_parameter_does_not_hide_behind_a_large_one():
    large, small = {"large": torch.full((9,), 1e3), "small": torch.full((2,), 1e-2)}, {"small": torch.zeros(2)}
    assert vmap_or_plain._agree(large, large, 1e-3)
    assert not vmap_or_plain._agree(large | small, large, 1e-3)
    rounding = {"small": torch.full((2,), 1e-2 * (1 + 1e-5))}
    assert vmap_or_plain._agree(large | rounding, large, 1e-3)
    assert not vmap_or_plain._agree({"small": torch.full((2,), torch.nan)}, small, 1e-3)


def test_what_vmap_cannot_run_later_on_is_run_one_by_one(monkeypatch):
    problem = mlp_problem([3, 4, 2], 5)
    expected = loss_gradients(problem, np.arange(5))

    def instead(function):
        def run(rows, *others):
            if others and len(rows) > 2:  # more than the trial
                raise RuntimeError("not these")
            return torch.func.vmap(function)(rows, *others)

        return run

    monkeypatch.setattr(vmap_or_plain, "vmap", instead)
    assert torch.allclose(loss_gradients(problem, np.arange(5)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no memory"), MemoryError("no memory")], ids=repr)
def test_memory_that_runs_out_is_no_reason_to_go_one_by_one(monkeypatch, error):
    problem = mlp_problem([3, 2], 4)
    monkeypatch.setattr(vmap_or_plain, "vmap", broken(error))
    with pytest.raises(InputError, match="^memory runs out with a single sample .*no memory"):
        loss_gradients(problem, np.arange(4))
    full = mlp_problem([3, 2], 4)

    def predict(model, batch):
        raise error

    full.predict = predict
    with pytest.raises(type(error), match="no memory"):
        mean_gradient(full)


ALL_WAYS = {
    "mean": mean_gradient,
    "prefixes": lambda problem: list(prefix_gradients(problem, [2, 4])),
    "losses": lambda problem: loss_gradients(problem, np.arange(3)),
    "outputs": lambda problem: output_gradients(problem, np.arange(3), torch.ones(3, 3)),
}


@pytest.mark.parametrize("way", ALL_WAYS)
def test_what_autograd_refuses_is_one_line_with_its_reason(way):
    problem = WRONG_GRADIENT["reentrant_checkpoint"]()
    with pytest.raises(
        InputError, match=r"^SUF007: autograd cannot differentiate this model: When use_reentrant=True"
    ) as found:
        ALL_WAYS[way](problem)
    assert "set use_reentrant=False" in str(found.value)
    assert "\n" not in str(found.value)
    assert all(parameter.requires_grad for parameter in problem.model.parameters())


@pytest.mark.parametrize("way", ALL_WAYS)
def test_complex_parameters_that_move_are_refused_by_name(way):
    with pytest.raises(
        InputError, match="^SUF009: the parameter frequencies is complex, .* Exclude it with parameters="
    ):
        ALL_WAYS[way](fourier(torch.float64))


def test_errors_of_the_data_set_are_left_as_they_are():
    problem = SOUND["linear"]()

    class Missing:
        def __len__(self):
            return SAMPLES

        def __getitem__(self, row):
            raise FileNotFoundError("no such image")

    elsewhere = problem.elsewhere(Missing())
    for take in ALL_WAYS.values():
        with pytest.raises(FileNotFoundError, match="no such image"):
            take(elsewhere)


def test_what_vmap_gets_wrong_with_several_directions_is_seen():
    class Distances(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(4, 4))
            self.centres = torch.nn.Parameter(torch.randn(4, 4))

        def forward(self, x):
            return torch.cdist(x @ self.weight, self.centres)

    torch.manual_seed(0)
    problem = problem_of(Distances(), drawn(SAMPLES, 4))
    rows = output_gradients(problem, np.zeros(4, dtype=int), torch.eye(4))
    alone = torch.cat([output_gradients(problem, np.zeros(1, dtype=int), one[None]) for one in torch.eye(4)])
    assert torch.allclose(rows, alone, rtol=1e-12)


@pytest.mark.parametrize(("size", "dtype"), [(1e30, torch.float32), (3e4, torch.float16)], ids=["float32", "float16"])
def test_large_gradients_that_differ_do_not_agree_because_their_norms_overflow(size, dtype):
    expected = {"weight": torch.full((9,), size, dtype=dtype)}
    assert vmap_or_plain._agree(expected, expected, 1e-3)
    assert not vmap_or_plain._agree({"weight": expected["weight"] / 2}, expected, 1e-3)
