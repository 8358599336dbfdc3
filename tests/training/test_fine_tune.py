import math
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from suffice import InputError, Problem
from suffice.errors import InputWarning
from suffice.training import FineTuning, fine_tune

SAMPLES = 20
SETTINGS = FineTuning(epochs=4, learning_rate=1e-2, batch_size=8)  # the last batch is smaller


def problem_of(parameters=None, middle=None, loss="cross_entropy", dtype=torch.float32, value=None):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, 5, generator=generator)
    if value is not None:
        x[7, 2] = value
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), middle or nn.Dropout(0.3), nn.Linear(4, 3)).to(dtype).eval()
    return Problem(model, TensorDataset(x, (x[:, 0] > 0).long()), loss=loss, parameters=parameters)


def trained(settings=SETTINGS, **arguments):
    problem = problem_of(**arguments)
    return fine_tune(problem, settings), problem.model.state_dict()


def equal(state, other):
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in other)


class Killed(BaseException):
    """Stands for the end of a process."""


def kill_at(samples):
    done = 0

    def progress(more):
        nonlocal done
        done += more
        if done >= samples:
            raise Killed

    return progress


def test_training_lowers_the_loss():
    history, _ = trained(FineTuning(epochs=20, learning_rate=3e-2, batch_size=8))
    assert len(history) == 20
    assert history[-1] < 0.7 * history[0]


@pytest.mark.parametrize("settings", [SETTINGS, *(FineTuning(steps=steps, batch_size=8) for steps in (1, 3, 5, 6))])
def test_the_samples_run_are_those_that_progress_tells(settings):
    done = []
    fine_tune(problem_of(), settings, progress=done.append)
    assert sum(done) == settings.samples_run(SAMPLES)


def test_a_seed_gives_the_same_weights_and_another_seed_others():
    history, weights = trained()
    torch.rand(7)  # whatever random numbers were drawn in between
    again = trained()
    assert again[0] == history
    assert equal(again[1], weights)
    assert not equal(trained(FineTuning(4, 1e-2, 8, seed=1))[1], weights)


def test_training_is_adamw_with_warm_up_and_cosine():
    settings = FineTuning(epochs=40, learning_rate=1e-2, batch_size=SAMPLES, weight_decay=0.1)  # one step an epoch
    history, weights = trained(settings, middle=nn.Tanh(), dtype=torch.float64)

    problem = problem_of(middle=nn.Tanh(), dtype=torch.float64)
    x, y = problem.dataset.tensors
    optimizer = torch.optim.AdamW(problem.model.parameters(), lr=1e-2, weight_decay=0.1)
    expected = []
    for step in range(40):  # of which a tenth warm up
        share = (step + 1) / 4 if step < 4 else (1 + math.cos(math.pi * (step - 4) / 36)) / 2
        optimizer.param_groups[0]["lr"] = 1e-2 * share
        loss = functional.cross_entropy(problem.model(x.double()), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert history == pytest.approx(expected, rel=1e-9)
    assert all(torch.allclose(weights[name], value, rtol=1e-7) for name, value in problem.model.state_dict().items())


@pytest.mark.parametrize(
    "middle", [nn.Tanh, partial(nn.Dropout, 0.3), partial(nn.BatchNorm1d, 4)], ids=["plain", "dropout", "batch norm"]
)
@pytest.mark.parametrize("samples", [1, SAMPLES, SAMPLES + 9, 2 * SAMPLES, 4 * SAMPLES])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, middle, samples):
    history, weights = trained(middle=middle())
    with pytest.raises(Killed):
        fine_tune(problem_of(middle=middle()), SETTINGS, tmp_path / "checkpoint", kill_at(samples))
    problem, done = problem_of(middle=middle()), []
    assert fine_tune(problem, SETTINGS, tmp_path / "checkpoint", done.append) == history
    assert sum(done) == SETTINGS.epochs * SAMPLES
    assert equal(problem.model.state_dict(), weights)


def test_a_finished_training_is_read_and_not_repeated(tmp_path):
    history = fine_tune(problem_of(), SETTINGS, tmp_path / "checkpoint")

    def never(outputs, batch):
        raise AssertionError("trained again")

    problem, done = problem_of(loss=never), []
    problem.checks = False
    assert fine_tune(problem, SETTINGS, tmp_path / "checkpoint", done.append) == history
    assert sum(done) == SETTINGS.epochs * SAMPLES
    assert equal(problem.model.state_dict(), trained()[1])


@pytest.mark.parametrize(
    "settings",
    [
        FineTuning(epochs=3, learning_rate=1e-2, batch_size=8),
        FineTuning(epochs=4, learning_rate=1e-3, batch_size=8),
        FineTuning(epochs=4, learning_rate=1e-2, batch_size=5),
        FineTuning(epochs=4, learning_rate=1e-2, batch_size=8, seed=1),
    ],
    ids=["epochs", "learning_rate", "batch_size", "seed"],
)
def test_the_checkpoint_of_other_settings_is_refused(tmp_path, settings):
    fine_tune(problem_of(), SETTINGS, tmp_path / "checkpoint")
    with pytest.raises(InputError, match="checkpoint"):
        fine_tune(problem_of(), settings, tmp_path / "checkpoint")


@pytest.mark.parametrize("other", ["identity", "samples", "order"])
def test_with_the_checkpoint_of_another_run_the_training_begins_anew(tmp_path, other):
    index = {"identity": None, "samples": range(SAMPLES - 1), "order": range(SAMPLES - 1, -1, -1)}[other]
    another = problem_of()
    if index is not None:
        another.index = np.array(index)
    name = "another run" if other == "identity" else "this run"
    with pytest.raises(Killed):
        fine_tune(another, SETTINGS, tmp_path / "checkpoint", kill_at(2 * SAMPLES), identity=name)
    problem = problem_of()
    with pytest.warns(InputWarning, match=r"checkpoint belongs to a training of another run, or of other samples: the"):
        history = fine_tune(problem, SETTINGS, tmp_path / "checkpoint", identity="this run")
    assert history == trained()[0]
    assert equal(problem.model.state_dict(), trained()[1])
    assert fine_tune(problem_of(), SETTINGS, tmp_path / "checkpoint", identity="this run") == history


def test_the_checkpoint_of_other_parameters_is_refused(tmp_path):
    fine_tune(problem_of(), SETTINGS, tmp_path / "checkpoint")
    with pytest.raises(InputError, match="checkpoint"):
        fine_tune(problem_of("2.*"), SETTINGS, tmp_path / "checkpoint")


@pytest.mark.parametrize("frozen", [True, False])
def test_only_the_moving_parameters_change(frozen):
    problem = problem_of("2.*")
    problem.model.requires_grad_(not frozen)
    before = {name: value.clone() for name, value in problem.model.state_dict().items()}
    fine_tune(problem, SETTINGS)
    changed = {name for name, value in problem.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"2.weight", "2.bias"}


@pytest.mark.parametrize("killed", [False, True])
def test_flags_and_random_numbers_are_put_back_also_after_an_interruption(killed):
    problem = problem_of("2.*")
    problem.model[0].train()
    problem.model[2].weight.requires_grad_(False)

    def state():
        return (
            [module.training for module in problem.model.modules()],
            [(parameter.requires_grad, parameter.grad) for parameter in problem.model.parameters()],
            torch.is_grad_enabled(),
            torch.get_rng_state().numpy().tobytes(),
        )

    before = state()
    if killed:
        with pytest.raises(Killed):
            fine_tune(problem, SETTINGS, progress=kill_at(SAMPLES + 1))
    else:
        fine_tune(problem, SETTINGS)
    assert state() == before


def test_training_does_not_mind_that_gradients_are_off():
    with torch.no_grad():
        _, weights = trained()
    assert equal(weights, trained()[1])


def test_the_history_holds_the_mean_loss_of_all_samples():
    problem = problem_of(middle=nn.Tanh())
    x, y = problem.dataset.tensors
    at_start = float(functional.cross_entropy(problem.model(x), y).detach())
    history = fine_tune(problem, FineTuning(epochs=1, learning_rate=1e-12, batch_size=8))
    assert history == pytest.approx([at_start], rel=1e-5)


@pytest.mark.parametrize(
    ("learning_rate", "value"), [(1e30, None), (1e-2, math.inf), (1e-2, math.nan)], ids=["rate", "inf", "nan"]
)
def test_a_training_that_diverges_is_refused_and_leaves_no_checkpoint_of_it(tmp_path, learning_rate, value):
    settings = FineTuning(epochs=4, learning_rate=learning_rate, batch_size=8)
    with pytest.raises(InputError, match="diverged") as refusal:
        fine_tune(problem_of(value=value), settings, tmp_path / "checkpoint")
    assert "\n" not in str(refusal.value)
    if (tmp_path / "checkpoint").exists():
        stored = torch.load(tmp_path / "checkpoint", weights_only=True)
        assert all(math.isfinite(loss) for loss in stored["history"])


def test_a_budget_of_steps_ends_within_an_epoch():
    batches = []
    settings = FineTuning(steps=4, learning_rate=1e-2, batch_size=8)  # three steps an epoch
    history = fine_tune(problem_of(), settings, progress=batches.append)
    assert batches == [8, 8, 4, 8]
    assert len(history) == 2


def test_as_many_steps_as_epochs_have_train_to_the_same_weights():
    epochs, steps = trained(), trained(FineTuning(steps=12, learning_rate=1e-2, batch_size=8))
    assert epochs[0] == steps[0]
    assert equal(epochs[1], steps[1])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_weight_decay_of_adam_and_sgd_is_a_penalty_on_the_loss(optimizer):
    settings = FineTuning(
        steps=30, learning_rate=1e-2, batch_size=SAMPLES, weight_decay=0.3, optimizer=optimizer, seed=2
    )
    _, decayed = trained(settings, middle=nn.Tanh(), dtype=torch.float64)

    problem = problem_of(middle=nn.Tanh(), dtype=torch.float64)
    x, y = problem.dataset.tensors
    kinds = {"adam": torch.optim.Adam, "sgd": partial(torch.optim.SGD, momentum=0.9)}
    expected = kinds[optimizer](problem.model.parameters(), lr=1e-2)
    for step in range(30):  # of which a tenth warm up
        share = (step + 1) / 3 if step < 3 else (1 + math.cos(math.pi * (step - 3) / 27)) / 2
        expected.param_groups[0]["lr"] = 1e-2 * share
        penalty = sum(parameter.square().sum() for parameter in problem.model.parameters())
        expected.zero_grad()
        (functional.cross_entropy(problem.model(x.double()), y) + 0.15 * penalty).backward()
        expected.step()
    for name, value in problem.model.state_dict().items():
        assert torch.allclose(decayed[name], value, rtol=1e-8, atol=1e-10)


def test_the_weights_end_where_the_validation_loss_was_smallest():
    problem = problem_of(middle=nn.Tanh())
    losses = iter([5.0, 3.0, 4.0, math.nan, 6.0])
    seen = []

    def validate():
        seen.append(problem.center())
        return next(losses)

    history = fine_tune(problem, FineTuning(steps=40, batch_size=8, patience=2), validate=validate)
    assert len(seen) == 4  # every second step: better, better, worse, worse
    assert len(history) == 3
    assert equal(problem.center(), seen[1])
    assert not equal(problem.center(), seen[3])


def test_without_patience_all_steps_are_taken_before_the_best_weights_come_back():
    problem = problem_of(middle=nn.Tanh())
    losses = iter([1.0] + [2.0] * 19)
    first = None

    def validate():
        nonlocal first
        first = problem.center() if first is None else first
        return next(losses)

    fine_tune(problem, FineTuning(steps=40, batch_size=8), validate=validate)
    assert next(losses, None) is None
    assert equal(problem.center(), first)


@pytest.mark.parametrize("name", ["epochs", "steps", "batch_size", "patience"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(InputError, match=rf"{name} = 0: must be at least 1"):
        fine_tune(problem_of(), FineTuning(**{name: 0}))


def test_an_optimizer_that_is_not_known_is_refused():
    with pytest.raises(InputError, match=r"optimizer is adamw, adam, sgd, not 'lion'"):
        fine_tune(problem_of(), FineTuning(optimizer="lion"))


def test_a_validation_loss_goes_without_a_checkpoint(tmp_path):
    with pytest.raises(InputError, match="keeps no checkpoint"):
        fine_tune(problem_of(), SETTINGS, tmp_path / "checkpoint", validate=lambda: 0.0)


def test_memory_that_runs_out_is_refused_as_other_batches_would_end_elsewhere(monkeypatch):
    problem = Problem(nn.Linear(3, 2), TensorDataset(torch.randn(20, 3), torch.arange(20) % 2), checks=False)

    def run_out(*_):
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    monkeypatch.setattr(sys.modules["suffice.training.fine_tune"], "set_gradients", run_out)
    with pytest.raises(InputError, match=r"batches of 8 samples.*20 GiB.*a smaller --train-batch-size") as refusal:
        fine_tune(problem, FineTuning(batch_size=8))
    assert "\n" not in str(refusal.value)
