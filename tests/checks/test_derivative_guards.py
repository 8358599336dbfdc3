"""Derivatives match what moving the parameters does: sound models pass, others are named, and losses still record."""

import itertools
import threading
import warnings

import pytest
import torch
from engines import ENGINES, of_outputs
from more_sound_models import MORE_SOUND
from small_models import FEW, SOUND, WRONG_GRADIENT
from wrong_derivatives import WRONG, layer

from suffice import InputError, Probes, record
from suffice.checks import check_gradient, loss_at
from suffice.checks.ground import Ground
from suffice.training import FineTuning, fine_tune

ALL_SOUND = SOUND | MORE_SOUND
HALF_AND_MORE = (torch.float64, torch.float32, torch.bfloat16)
DTYPES = [torch.float64, torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.deep)]
NOT_IN_HALF = {
    "still_complex_layer": "PyTorch has no Fourier transform in half precision on a CPU",
    "parts_that_cancel": "in bfloat16 this model is a staircase, whose derivative is zero",
}
LEFT_OUT = {"dinov2", "spare_layer"}
"""Models with a parameter that forward does not use, of which they warn."""


def built(kind, dtype):
    if dtype == torch.bfloat16 and kind in NOT_IN_HALF:
        pytest.skip(NOT_IN_HALF[kind])
    return ALL_SOUND[kind](dtype)


@pytest.fixture(autouse=True)
def _other_warnings_are_not_ours():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        warnings.filterwarnings("ignore", message="None of the inputs have requires_grad")  # reentrant checkpointing
        yield


SECOND_ORDER = {"Hessian", "per_sample"}
NOT_TWICE = {"weight_norm": "original1", "bag_of_tokens": "EmbeddingBag has no second derivative"}
"""Models that torch differentiates once: of weight_norm it gets the second derivative wrong, by 80%, without a word."""


def passes(kind, run):
    """Runs it; a model with a parameter that is left out says so once, and others say nothing."""
    if kind in LEFT_OUT:
        with pytest.warns(UserWarning, match=r"^SUF010: forward does not use .*(mask_token|spare\.weight)"):
            run()
    run()


def sound_cases():
    """Second derivatives and single precision of most kinds of models in the deep profile only."""
    for dtype, engine, kind in itertools.product(HALF_AND_MORE, ENGINES, ALL_SOUND):
        is_slow = engine in SECOND_ORDER and kind not in FEW | NOT_TWICE.keys()
        is_alike = dtype == torch.float32 and kind not in FEW
        is_deep = is_slow or is_alike or dtype == torch.bfloat16
        yield pytest.param(kind, engine, dtype, marks=[pytest.mark.deep] * is_deep, id=f"{kind}-{engine}-{dtype}")


@pytest.mark.parametrize(("kind", "engine", "dtype"), list(sound_cases()))
def test_sound_models_pass(kind, engine, dtype):
    problem = built(kind, dtype)
    before, state = problem.center(), torch.random.get_rng_state()
    modes = [module.training for module in problem.model.modules()]
    if engine in SECOND_ORDER and kind in NOT_TWICE:
        with pytest.raises(InputError, match=f"^SUF007: .*{NOT_TWICE[kind]}"):
            ENGINES[engine](problem)
    else:
        passes(kind, lambda: ENGINES[engine](problem))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in problem.moving.items())
    assert [module.training for module in problem.model.modules()] == modes


@pytest.mark.parametrize("kind", [kind for kind in ALL_SOUND if kind != "own_loss"])
def test_gradients_of_outputs_of_sound_models_pass(kind):
    problem = ALL_SOUND[kind]()
    passes(kind, lambda: of_outputs(problem))


@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", WRONG)
def test_each_wrong_derivative_gets_its_code_and_its_parameter(kind, engine, dtype):
    wrong = WRONG[kind]
    problem = wrong.build(dtype)
    with pytest.raises(InputError, match=f"^{wrong.code}: ") as found:
        ENGINES[engine](problem)
    assert wrong.names in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", WRONG_GRADIENT)
def test_public_reports_are_refused(kind, engine, dtype):
    with pytest.raises(InputError, match=r"^SUF007: ") as found:
        ENGINES[engine](WRONG_GRADIENT[kind](dtype))
    named = {"backbone_without_gradients": "backbone.weight", "dora": "lora_", "reentrant_checkpoint": "use_reentrant"}
    assert named.get(kind, "inner.weight") in str(found.value)


@pytest.mark.parametrize("kind", [*WRONG_GRADIENT, *WRONG])
def test_a_wrong_derivative_stops_neither_losses_nor_training(kind):
    build = WRONG_GRADIENT[kind] if kind in WRONG_GRADIENT else WRONG[kind].build
    problem = build(torch.float32) if kind != "complex_weights" else build()
    if kind not in ("weights_merged_in_evaluation_mode", "weights_copied_into_a_list"):
        assert record(problem, Probes.sphere(problem)).losses.shape == (len(problem), 9)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SUF011")
        if kind not in ("root_of_zero", "weights_copied_into_a_list"):  # one trains to NaN, the other nothing
            assert len(fine_tune(problem, FineTuning(steps=2))) >= 1


def test_checks_can_be_skipped():
    problem = WRONG["detached_weight"].build()
    problem.checks = False
    assert ENGINES["mean_gradient"](problem).isfinite().all()


@pytest.mark.parametrize("kind", ["detached_weight", "norm_taken_for_a_constant", "detached_features"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_wrong_derivatives_of_models_that_cannot_be_copied_are_found(kind, dtype):
    problem = WRONG[kind].build(dtype)
    problem.model.lock = threading.Lock()
    with pytest.raises(InputError, match=WRONG[kind].code):
        ENGINES["mean_gradient"](problem)


@pytest.mark.parametrize("kind", ["bert", "vit", "convolution", "kink_at_the_weights", "interpolated", "experts"])
def test_sound_models_that_cannot_be_copied_pass(kind):
    problem = ALL_SOUND[kind](torch.float32)
    problem.model.lock = threading.Lock()
    ENGINES["mean_gradient"](problem)


def counted(problem):
    runs = []
    problem.model.register_forward_pre_hook(lambda *arguments: runs.append(1))
    return runs


def test_an_engine_is_compared_once_for_each_use_of_a_model():
    problem = SOUND["norm_mlp"]()
    calls = []

    def gradient(problem, position):
        calls.append(position)
        with torch.enable_grad():
            found = torch.autograd.grad(loss_at(problem, position), list(problem.moving.values()))
        return dict(zip(problem.moving, found, strict=True))

    check_gradient(problem, "one", gradient)
    first = len(calls)
    assert first > 0
    check_gradient(problem, "one", gradient)
    check_gradient(problem.elsewhere(problem.dataset), "one", gradient)
    assert len(calls) == first
    check_gradient(problem, "another", gradient)
    assert len(calls) == 2 * first


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.2, -1.0])
@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias"])
def test_one_tensor_of_many_that_is_wrong_is_named(name, share):
    problem = SOUND["bert"]() if name == "" else WRONG["detached_weight"].build()
    sound = layer(lambda self, x: torch.nn.functional.linear(x, self.weight, self.bias)).double().eval()
    sound.load_state_dict(problem.model.state_dict())
    problem = type(problem)(sound, problem.dataset)

    def gradient(problem, position):
        with torch.enable_grad():
            found = torch.autograd.grad(loss_at(problem, position), list(problem.moving.values()))
        gradients = dict(zip(problem.moving, found, strict=True))
        return gradients | {name: share * gradients[name]}

    with pytest.raises(InputError, match=rf"^SUF007: automatic differentiation gives .* along {name}, "):
        check_gradient(problem, "wrong", gradient)


def test_a_difference_of_three_percent_is_no_fault():
    problem = SOUND["norm_mlp"]()

    def gradient(problem, position):
        with torch.enable_grad():
            found = torch.autograd.grad(loss_at(problem, position), list(problem.moving.values()))
        return {name: 1.03 * part for name, part in zip(problem.moving, found, strict=True)}

    check_gradient(problem, "nearly", gradient)


def test_a_slope_has_an_error_that_covers_it():
    """Of a smooth function, next to none; of a staircase, more than what it is off by."""
    torch.manual_seed(0)
    problem = SOUND["norm_mlp"]()
    exact = Ground(problem, loss_at, lambda *at: {}, 1e-4, is_copy=False)
    stairs = Ground(problem, lambda *at: (1e3 * loss_at(*at)).round() / 1e3, lambda *at: {}, 1e-2, is_copy=False)
    for seed in range(5):
        direction = exact.random()
        with exact.entered():
            smooth = exact.difference(seed, direction)
        assert smooth.error < 1e-6 * abs(smooth.slope)
        with stairs.entered():
            rough = stairs.difference(seed, direction)
        assert abs(rough.slope - smooth.slope) <= rough.error
