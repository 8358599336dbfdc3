"""A loss is a function of a sample and the weights alone: sound models pass in silence, others are named."""

import copy
import functools
import threading
import warnings

import numpy as np
import pytest
import torch
from faulty_models import FAULTY, of_texts, padded_right
from more_sound_models import MORE_SOUND, Sequences
from small_models import CLASSES, SAMPLES, SOUND, WIDTH, WRONG_GRADIENT, drawn, labels
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from suffice import InputError, Probes, Problem, record
from suffice.checks import check_losses, check_outputs, check_samples
from suffice.checks.comparison import Comparison, FirstSamples
from suffice.checks.measured import evaluating
from suffice.checks.precise import rounding
from suffice.training import FineTuning, fine_tune

DTYPES = [
    torch.float64,
    torch.float32,
    *(pytest.param(dtype, marks=pytest.mark.deep) for dtype in (torch.bfloat16, torch.float16)),
]
NO_FFT = "PyTorch has no Fourier transform in half precision on a CPU"
RIGHT_LOSSES = SOUND | MORE_SOUND | WRONG_GRADIENT
"""Also those of which only the derivatives are wrong."""

ROUGH = {"interpolated", "huge_logits", "parts_that_cancel"}
"""Whose losses are sensitive to rounding, so that a difference beyond the tolerance is no fault."""


def built(build, dtype):
    if build.__name__ == "still_complex_layer" and dtype.itemsize < 4:
        pytest.skip(NO_FFT)
    return build(dtype)


@pytest.fixture(autouse=True)
def _other_warnings_are_not_ours():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        warnings.filterwarnings("ignore", message="None of the inputs have requires_grad")  # reentrant checkpointing
        warnings.filterwarnings("ignore", message="the model is in training mode")  # some cannot be put out of it
        yield


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", RIGHT_LOSSES)
def test_sound_models_pass_in_silence(kind, dtype):
    problem = built(RIGHT_LOSSES[kind], dtype)
    state, modes = torch.random.get_rng_state(), [module.training for module in problem.model.modules()]
    check_samples(problem)
    check_losses(problem)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [module.training for module in problem.model.modules()] == modes


@pytest.mark.parametrize("kind", sorted(RIGHT_LOSSES.keys() - ROUGH))
def test_sound_models_stay_far_below_the_tolerance(kind):
    problem = RIGHT_LOSSES[kind](torch.float32)
    with evaluating(problem):
        assert not Comparison(problem, FirstSamples(problem), 3e-7).is_off


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", FAULTY)
def test_each_fault_gets_its_code_and_its_module(kind, dtype):
    faulty = FAULTY[kind]
    if kind.startswith("fourier") and dtype.itemsize < 4:
        pytest.skip(NO_FFT)
    problem = faulty.build(dtype)
    with pytest.raises(InputError, match=f"^{faulty.code}: ") as found:
        record(problem, Probes.sphere(problem))
    assert faulty.names in str(found.value)
    assert "\n" not in str(found.value)
    assert str(found.value).endswith(".")


@pytest.mark.parametrize("kind", FAULTY)
def test_without_checks_everything_records(kind):
    problem = FAULTY[kind].build(torch.float32)
    problem.checks = False
    assert record(problem, Probes.sphere(problem)).losses.shape == (len(problem), 9)


@pytest.mark.parametrize("kind", [kind for kind, faulty in FAULTY.items() if faulty.code in ("SUF002", "SUF003")])
def test_one_sample_at_a_time_has_no_company(kind):
    if kind.startswith("batch_normalisation"):
        pytest.skip("a single sample has no statistics")
    problem = FAULTY[kind].build(torch.float32)
    ledger = record(problem, Probes.sphere(problem), batch_size=1)
    assert ledger.batch_size == 1
    with pytest.raises(InputError, match=FAULTY[kind].code):
        record(problem, Probes.sphere(problem), batch_size=2)


@pytest.mark.parametrize("kind", ["functional_dropout", "mean_over_the_batch", "mean_over_padding"])
def test_training_is_stopped_before_it_begins(kind):
    problem = FAULTY[kind].build(torch.float32)
    before = problem.center()
    with pytest.raises(InputError, match=FAULTY[kind].code):
        fine_tune(problem, FineTuning(steps=2))
    assert all(torch.equal(before[name], value) for name, value in problem.moving.items())


def test_augmentation_stops_measurements_and_not_training():
    problem = FAULTY["random_augmentation"].build(torch.float32)
    assert len(fine_tune(problem, FineTuning(epochs=2))) == 2


def test_models_in_training_mode_are_checked_in_silence_and_put_back():
    problem = MORE_SOUND["dropout_in_training_only"](torch.float32)
    problem.model.train()
    check_losses(problem)
    assert all(module.training for module in problem.model.modules())


def counted(problem):
    """How often the model is run."""
    runs = []
    problem.model.register_forward_pre_hook(lambda *arguments: runs.append(1))
    return runs


def test_a_model_is_checked_once_for_all_problems_that_use_it_alike():
    problem = SOUND["norm_mlp"](torch.float32)
    runs = counted(problem)
    check_losses(problem)
    first = len(runs)
    assert first > 0
    others = TensorDataset(drawn(9, WIDTH, seed=5), torch.arange(9) % CLASSES)
    for again in (problem, problem.elsewhere(others), Problem(problem.model, others)):
        check_losses(again)
    check_losses(problem, batch_size=1)
    assert len(runs) == first

    def loss(outputs, batch):
        return functional.cross_entropy(outputs, batch[1], reduction="none")

    for different in (Problem(problem.model, others, loss), Problem(problem.model, others, parameters="0.*")):
        before = len(runs)
        check_losses(different)
        assert len(runs) == before + first
    check_losses(Problem(problem.model, others, loss))
    assert len(runs) == 3 * first


def test_what_was_passed_alone_is_checked_again_in_company():
    problem = FAULTY["mean_over_the_batch"].build(torch.float32)
    check_losses(problem, batch_size=1)
    with pytest.raises(InputError, match="SUF002"):
        check_losses(problem)


def test_a_fault_is_found_again_at_each_call():
    problem = FAULTY["functional_dropout"].build(torch.float32)
    for _ in range(2):
        with pytest.raises(InputError, match="SUF001"):
            check_losses(problem)


def test_building_a_problem_runs_nothing():
    model = nn.Linear(WIDTH, CLASSES)
    model.register_forward_pre_hook(lambda *arguments: pytest.fail("the model was run"))
    problem = Problem(model, TensorDataset(drawn(SAMPLES, WIDTH), labels()))
    assert problem.checks
    assert not Problem(model, problem.dataset, checks=False).elsewhere(problem.dataset).checks


def test_the_shortest_and_the_longest_of_the_first_samples_are_compared():
    problem = of_texts(nn.Identity(), collate=padded_right)
    samples = FirstSamples(problem)
    assert {samples.sizes[position] for position in samples.positions} == {4, 8}
    assert 17 in samples.positions
    many = Problem(nn.Embedding(9, WIDTH), Sequences(), collate=padded_right, order="source")
    chosen = [FirstSamples(many).sizes[position] for position in FirstSamples(many).positions]
    assert len(set(chosen)) == len(chosen) == 8
    assert min(chosen) == min(FirstSamples(many).sizes)
    assert max(chosen) == max(FirstSamples(many).sizes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_only_rounding_makes_differ_is_told_by_a_copy_in_float64(dtype):
    """Two orders of a sum of large numbers, by the size of the batch: a hundred times the tolerance, and no fault."""

    class Sum(nn.Module):
        def forward(self, x):
            terms = torch.cat([x, 1e3 * x, -1e3 * x], 1)
            return functools.reduce(torch.add, (terms if len(x) > 1 else terms.flip(1)).split(1, 1))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 16), Sum(), nn.Linear(1, CLASSES)).to(dtype).eval()
    problem = Problem(model, TensorDataset(drawn(SAMPLES, WIDTH), labels()))
    with evaluating(problem):
        assert Comparison(problem, FirstSamples(problem), rounding(dtype) / 100).is_off
    check_losses(problem)


def uncopied(problem):
    """A model that cannot be copied."""
    problem.model.lock = threading.Lock()
    with pytest.raises(TypeError):
        copy.deepcopy(problem.model)
    return problem


@pytest.mark.parametrize("kind", ["functional_dropout", "mean_over_the_batch", "mean_over_padding"])
def test_faults_of_models_that_cannot_be_copied_are_found(kind):
    with pytest.raises(InputError, match=FAULTY[kind].code):
        check_losses(uncopied(FAULTY[kind].build(torch.float32)))


@pytest.mark.parametrize("kind", ["bert", "interpolated", "huge_logits", "convolution"])
def test_sound_models_that_cannot_be_copied_pass(kind):
    check_losses(uncopied(RIGHT_LOSSES[kind](torch.float32)))


def test_outputs_are_checked_whatever_the_labels():
    problem = FAULTY["mean_over_the_batch"].build(torch.float32)
    beyond = problem.elsewhere(TensorDataset(drawn(SAMPLES, WIDTH), labels() + 100))
    with pytest.raises(InputError, match="SUF002"):
        check_outputs(beyond)
    sound = SOUND["linear"]()
    check_outputs(sound.elsewhere(TensorDataset(drawn(SAMPLES, WIDTH), labels() + 100)))


def test_losses_that_are_not_finite_are_left_to_the_measurement():
    x = drawn(SAMPLES, WIDTH)
    x[2] = np.nan
    problem = Problem(nn.Linear(WIDTH, CLASSES), TensorDataset(x, labels()), order="source")
    check_losses(problem)
    with pytest.raises(InputError, match="the loss of data set row 2 at the centre"):
        record(problem, Probes.sphere(problem))
