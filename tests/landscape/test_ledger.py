import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from suffice import InputError, Ledger, Probes, Problem, record
from suffice.landscape import record_shard
from suffice.landscape.ledger import AGAIN

SAMPLES, PROBES, BATCH = 10, 3, 3
SHARDS = math.ceil(SAMPLES / BATCH)


def data_of(dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(SAMPLES, 5, generator=generator, dtype=torch.float64).to(dtype)
    return TensorDataset(x, torch.randint(3, (SAMPLES,), generator=generator))


def model_of(dtype=torch.float32, seed=0, dropout=0.0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, 3)).to(dtype).eval()


def problem_of(dtype=torch.float32, seed=0, **arguments):
    return Problem(**({"model": model_of(dtype), "dataset": data_of(dtype), "seed": seed} | arguments))


def probes_of(problem, seed=0, radius=0.3):
    return Probes.sphere(problem, radius, count=PROBES - 1, seed=seed)


@pytest.fixture
def one_batch_shards(monkeypatch):
    """Each batch is a shard of its own, so that a few samples make several."""
    monkeypatch.setattr("suffice.landscape.ledger.SHARD_SAMPLES", 1)


class Counted:
    """A per-sample cross-entropy that counts the losses it was asked for."""

    def __init__(self):
        self.count = 0

    def __call__(self, outputs, batch):
        self.count += len(outputs)
        return functional.cross_entropy(outputs, batch[1], reduction="none")


class Killed(BaseException):
    """Stands for the end of a process."""


def kill_at(call):
    calls = iter(range(1, call + 1))

    def progress(losses):
        if next(calls) == call:
            raise Killed

    return progress


# what is measured


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("order", ["shuffled", "source"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_losses_equal_a_loop_over_samples_and_probes(dtype, tolerance, order, loss):
    x, labels = data_of(dtype).tensors
    y = labels if loss == "cross_entropy" else functional.one_hot(labels, 3).to(dtype)
    problem = problem_of(dtype, dataset=TensorDataset(x, y), loss=loss, order=order)
    probes = probes_of(problem)
    ledger = record(problem, probes)

    criterion = {"cross_entropy": functional.cross_entropy, "mse": functional.mse_loss}[loss]
    expected = np.empty((SAMPLES, PROBES))
    for probe in range(PROBES):
        moved = copy.deepcopy(problem.model)
        moved.load_state_dict(probes[probe])
        for place, row in enumerate(problem.index):
            expected[place, probe] = float(criterion(moved(x[[row]]), y[[row]]).detach())
    assert_allclose(ledger.losses, expected, rtol=tolerance)
    assert np.array_equal(ledger.index, problem.index)
    assert np.array_equal(ledger.distance, probes.distance)


def test_only_the_moving_parameters_move():
    problem = problem_of(torch.float64, parameters="3.*")
    probes = probes_of(problem)
    moved = copy.deepcopy(problem.model)
    moved.load_state_dict(probes[1], strict=False)
    x, y = data_of(torch.float64).tensors
    expected = functional.cross_entropy(moved(x), y, reduction="none").detach().numpy()[problem.index]
    assert_allclose(record(problem, probes).losses[:, 1], expected, rtol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("batch_size", [1, 3, 7, SAMPLES, 1000])
def test_losses_do_not_depend_on_the_batch_size(dtype, tolerance, batch_size):
    problem = problem_of(dtype)
    probes = probes_of(problem)
    ledger = record(problem, probes, batch_size=batch_size)
    assert ledger.batch_size == batch_size
    assert_allclose(ledger.losses, record(problem, probes).losses, rtol=tolerance)


@settings(max_examples=12)
@given(batch_size=st.integers(1, 12), shard=st.integers(1, 12))
def test_losses_do_not_depend_on_the_shards(batch_size, shard):
    problem = problem_of(torch.float64)
    probes = probes_of(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("suffice.landscape.ledger.SHARD_SAMPLES", shard)
        found = record(problem, probes, batch_size=batch_size).losses
    assert_allclose(found, record(problem, probes).losses, rtol=1e-12)


def test_losses_of_one_sample_do_not_depend_on_the_shuffle():
    first, second = problem_of(torch.float64, seed=1), problem_of(torch.float64, seed=2)
    ledgers = [record(problem, probes_of(problem)) for problem in (first, second)]
    by_row = [ledger.losses[np.argsort(ledger.index)] for ledger in ledgers]
    assert not np.array_equal(first.index, second.index)
    assert_allclose(by_row[0], by_row[1], rtol=1e-12)


def test_dictionaries_as_hugging_face_has_them_give_the_same_losses_as_tuples():
    class Wrapped(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, pixel_values):
            return SimpleNamespace(logits=self.inner(pixel_values), hidden_states=None)

    x, y = data_of().tensors
    items = [{"pixel_values": x[row], "labels": int(y[row])} for row in range(SAMPLES)]
    expected = record(problem := problem_of(), probes_of(problem)).losses
    problem = problem_of(model=Wrapped(model_of()), dataset=items)
    assert np.array_equal(record(problem, probes_of(problem)).losses, expected)


def test_collate_predict_and_loss_may_be_given():
    x, y = data_of().tensors
    items = [f"{row}" for row in range(SAMPLES)]  # rows are named by text

    def collate(names):
        rows = torch.tensor([int(name) for name in names])
        return {"inputs": x[rows], "targets": y[rows], "names": names}

    problem = problem_of(
        dataset=items,
        collate=collate,
        predict=lambda model, batch: {"scores": model(batch["inputs"])},
        loss=lambda outputs, batch: functional.cross_entropy(
            outputs["scores"].double(), batch["targets"], reduction="none"
        ),
    )
    expected = record(named := problem_of(), probes_of(named)).losses
    assert_allclose(record(problem, probes_of(problem)).losses, expected, rtol=1e-6)


def test_progress_adds_up_to_all_losses():
    for batch_size in (3, SAMPLES):
        problem, done = problem_of(), []
        record(problem, probes_of(problem), batch_size=batch_size, progress=done.append)
        assert sum(done) == SAMPLES * PROBES


def test_losses_are_not_changed_by_an_autocast_around():
    problem = problem_of()
    expected = record(problem, probes_of(problem)).losses
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(record(problem, probes_of(problem)).losses, expected)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_size_below_one_is_refused(batch_size):
    problem = problem_of()
    with pytest.raises(InputError, match="batch_size"):
        record(problem, probes_of(problem), batch_size=batch_size)


# what is left as it was


def snapshot(model):
    return {
        "parameters": {name: (id(value), value.data_ptr()) for name, value in model.named_parameters()},
        "values": {name: value.clone().numpy().tobytes() for name, value in model.state_dict().items()},
        "requires_grad": [value.requires_grad for value in model.parameters()],
        "grad": [value.grad for value in model.parameters()],
        "training": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) for module in model.modules()],
        "torch": (
            torch.is_grad_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.allow_tf32,
            torch.backends.mha.get_fastpath_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_rng_state().numpy().tobytes(),
        ),
    }


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("batch_size", ["auto", 3])
def test_everything_is_put_back_also_when_the_loss_raises(failing, batch_size):
    counted = Counted()

    def loss(outputs, batch):
        losses = counted(outputs, batch)
        if failing and counted.count > SAMPLES + BATCH:  # while at the second probe
            raise RuntimeError("broken loss")
        return losses

    model = model_of()
    model[0].train()
    model[0].bias.requires_grad_(False)
    problem = problem_of(model=model, loss=loss)
    probes = probes_of(problem)
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        before = snapshot(model)
        if failing:
            with pytest.raises(InputError, match="the loss fails .RuntimeError: broken loss"):
                record(problem, probes, batch_size=batch_size)
        else:
            record(problem, probes, batch_size=batch_size)
        assert snapshot(model) == before
    finally:
        torch.set_float32_matmul_precision(previous)


def test_dropout_in_training_mode_is_measured_in_evaluation_mode_with_one_warning():
    problem = problem_of(model=model_of(dropout=0.5))
    expected = record(problem, probes_of(problem)).losses
    problem.model.train()
    with pytest.warns(UserWarning, match="evaluation mode") as warned:
        losses = record(problem, probes_of(problem)).losses
    assert len(warned) == 1
    assert np.array_equal(losses, expected)
    assert all(module.training for module in problem.model.modules())


def test_a_model_without_dropout_may_be_in_training_mode_without_a_warning(recwarn):
    problem = problem_of(model=model_of().train())
    record(problem, probes_of(problem))
    assert len(recwarn) == 0
    assert problem.model.training


# the store


def test_memory_and_disk_hold_the_same_bits(tmp_path, one_batch_shards):
    problem = problem_of()
    probes = probes_of(problem)
    in_memory = record(problem, probes, batch_size=BATCH)
    stored = record(problem, probes, store=tmp_path / "new" / "store", batch_size=BATCH)
    opened = Ledger.open(tmp_path / "new" / "store")
    for ledger in (stored, opened):
        assert np.array_equal(ledger.losses, in_memory.losses)
        assert np.array_equal(ledger.index, in_memory.index)
        assert np.array_equal(ledger.distance, in_memory.distance)
        assert ledger.batch_size == in_memory.batch_size == BATCH


def test_a_store_may_be_named_by_text(tmp_path):
    problem = problem_of()
    ledger = record(problem, probes_of(problem), store=str(tmp_path / "store"))
    assert np.array_equal(Ledger.open(str(tmp_path / "store")).losses, ledger.losses)


@pytest.mark.parametrize("call", range(1, SHARDS * PROBES + 1))
def test_a_killed_recording_goes_on_to_the_same_bits_without_repeating_shards(tmp_path, one_batch_shards, call):
    whole = record(problem_of(loss=Counted()), probes_of(problem_of()), batch_size=BATCH).losses
    problem, loss = problem_of(loss=Counted()), Counted()
    with pytest.raises(Killed):
        record(problem, probes_of(problem), tmp_path, BATCH, progress=kill_at(call))
    with pytest.raises(InputError, match="not complete"):
        Ledger.open(tmp_path)

    problem, done = problem_of(loss=loss, checks=False), []
    ledger = record(problem, probes_of(problem), tmp_path, BATCH, progress=done.append)
    assert np.array_equal(ledger.losses, whole)
    assert np.array_equal(Ledger.open(tmp_path).losses, whole)
    assert sum(done) == SAMPLES * PROBES
    finished_rows = BATCH * ((call - 1) // PROBES)
    # one batch, some samples and one of each shard are run again, to see that it is the same problem
    check = BATCH * PROBES + AGAIN + (finished_rows // BATCH - 1) * PROBES if finished_rows else 0
    assert loss.count <= (SAMPLES - finished_rows) * PROBES + check


def test_a_complete_store_is_checked_and_not_measured_again(tmp_path, one_batch_shards):
    problem = problem_of(loss=Counted())
    first = record(problem, probes_of(problem), tmp_path, BATCH).losses
    problem.loss.count = 0
    assert np.array_equal(record(problem, probes_of(problem), tmp_path, BATCH).losses, first)
    assert problem.loss.count <= BATCH * PROBES + AGAIN + (SHARDS - 1) * PROBES


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_shard_of_another_radius_in_the_place_of_ones_own_is_refused(tmp_path, one_batch_shards, shard):
    problem = problem_of()
    stores = {radius: tmp_path / str(radius) for radius in (0.1, 0.2)}
    ledgers = {
        radius: record(problem, Probes.sphere(problem, radius=radius, count=PROBES - 1), store, BATCH)
        for radius, store in stores.items()
    }
    assert np.array_equal(ledgers[0.1].losses[:, 0], ledgers[0.2].losses[:, 0])
    file = f"losses.zarr/c/{shard}/0"
    (stores[0.1] / file).write_bytes((stores[0.2] / file).read_bytes())
    rows = f"rows {shard * BATCH} to {min((shard + 1) * BATCH, SAMPLES) - 1} is of another run"
    with pytest.raises(InputError, match=rows):
        record(problem, Probes.sphere(problem, radius=0.1, count=PROBES - 1), stores[0.1], BATCH)


def negated():
    model = model_of()
    for parameter in model.parameters():
        parameter.data.neg_()  # the same norm, so the same distances
    return model


def other_first_layer():
    model = model_of()
    model[0].weight.data += 1
    return model


def one_bit():
    model = model_of()
    model[0].weight.data.view(torch.int32)[2, 3] ^= 1
    return model


def one_value():
    x, y = data_of().tensors
    x[7, 4] = torch.nextafter(x[7, 4], torch.tensor(9.0))
    return TensorDataset(x, y)


def one_label():
    x, y = data_of().tensors
    y[9] = (y[9] + 1) % 3
    return TensorDataset(x, y)


OTHERS = {
    "other weights": ({"model": model_of(seed=1)}, {}, "weights: changed"),
    "other weights of the same norm": ({"model": negated()}, {}, r"\(weights: changed\)"),
    "one bit of a weight": ({"model": one_bit()}, {}, "weights: changed"),
    "other data": ({"dataset": data_of(seed=1)}, {}, r"\(samples: changed\)"),
    "one value of a sample": ({"dataset": one_value()}, {}, r"\(samples: changed\)"),
    "one label": ({"dataset": one_label()}, {}, r"\(samples: changed\)"),
    "other loss": ({"loss": lambda outputs, batch: outputs[:, 0]}, {}, r"\(loss: cross_entropy, now callable\)"),
    "other shuffle": ({"seed": 1}, {}, r"\(order: changed\)"),
    "other order": ({"order": "source"}, {}, r"\(order: changed\)"),
    "other moving parameters": ({"parameters": "3.*"}, {}, "distance: "),
    "other probes": ({}, {"seed": 1}, r"\(probes.seed: 0, now 1\)"),
    "other radius": ({}, {"radius": 0.2}, "probes.radius: 0.3, now 0.2"),
}


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(("arguments", "probes", "named"), OTHERS.values(), ids=OTHERS.keys())
def test_the_store_of_another_problem_is_refused_and_kept(
    tmp_path, one_batch_shards, arguments, probes, named, complete
):
    problem = problem_of()
    if complete:
        record(problem, probes_of(problem), tmp_path, BATCH)
    else:
        with pytest.raises(Killed):
            record(problem, probes_of(problem), tmp_path, BATCH, progress=kill_at(PROBES + 1))
    other = problem_of(**arguments)
    with pytest.raises(InputError, match=named) as refusal:
        record(other, probes_of(other, **probes), tmp_path, BATCH)
    assert "\n" not in str(refusal.value)
    whole = record(problem, probes_of(problem), tmp_path, BATCH)
    assert np.array_equal(whole.losses, record(problem, probes_of(problem), batch_size=BATCH).losses)


def test_the_store_of_a_model_with_other_frozen_weights_is_refused(tmp_path):
    problem, other = problem_of(parameters="3.*"), problem_of(parameters="3.*", model=other_first_layer())
    record(problem, probes_of(problem), tmp_path)
    with pytest.raises(InputError, match="store"):
        record(other, probes_of(other), tmp_path)


def test_the_store_of_another_batch_size_is_refused(tmp_path):
    problem = problem_of()
    record(problem, probes_of(problem), tmp_path, batch_size=4)
    with pytest.raises(InputError, match="batch_size"):
        record(problem, probes_of(problem), tmp_path, batch_size=5)


def test_the_store_of_other_points_at_the_same_distances_is_refused(tmp_path):
    problem = problem_of()
    center = problem.center()
    ahead, back = ({name: value + step for name, value in center.items()} for step in (0.5, -0.5))
    record(problem, Probes.points(problem, [ahead]), tmp_path)
    with pytest.raises(InputError, match="probes.states: changed"):
        record(problem, Probes.points(problem, [back]), tmp_path)


def test_the_store_of_another_callable_loss_is_refused(tmp_path):
    problem = problem_of(loss=lambda outputs, batch: outputs[:, 0])
    record(problem, probes_of(problem), tmp_path)
    other = problem_of(loss=lambda outputs, batch: outputs[:, 1])
    with pytest.raises(InputError, match="the loss, the prediction or the software has changed"):
        record(other, probes_of(other), tmp_path)


class Items(list):
    """A data set that is nothing but its items."""


def test_samples_of_any_data_set_are_told_apart(tmp_path):
    def items(tensors):
        return Items({"x": value, "labels": int(label)} for value, label in zip(*tensors, strict=True))

    arguments = {"predict": lambda model, batch: model(batch["x"])}
    problem = problem_of(dataset=items(data_of().tensors), **arguments)
    first = record(problem, probes_of(problem), tmp_path).losses
    again = problem_of(dataset=items(data_of().tensors), **arguments)
    assert np.array_equal(record(again, probes_of(again), tmp_path).losses, first)
    other = problem_of(dataset=items(one_value().tensors), **arguments)
    with pytest.raises(InputError, match=r"\(samples: changed\)"):
        record(other, probes_of(other), tmp_path)


class Extra(nn.Module):
    """Has a state that is no tensor, and a complex weight."""

    def __init__(self, state):
        super().__init__()
        self.linear = nn.Linear(5, 3)
        self.register_buffer("phase", torch.tensor([1 + 2j]).conj())
        self.state = state

    def forward(self, x):
        return self.linear(x)

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state


def test_extra_state_of_a_model_counts_as_its_weights(tmp_path):
    def problem_with(state):
        torch.manual_seed(0)
        return problem_of(model=Extra(state))

    problem = problem_with({"scales": [1, None]})
    first = record(problem, probes_of(problem), tmp_path).losses
    again = problem_with({"scales": [1, None]})
    assert np.array_equal(record(again, probes_of(again), tmp_path).losses, first)
    other = problem_with({"scales": [1, 2]})
    with pytest.raises(InputError, match=r"\(weights: changed\)"):
        record(other, probes_of(other), tmp_path)


@pytest.mark.parametrize("shard", range(1, SHARDS))
def test_a_damaged_shard_is_measured_again_and_nothing_else(tmp_path, one_batch_shards, shard):
    whole = record(problem_of(), probes_of(problem_of()), tmp_path, BATCH).losses
    opened = Ledger.open(tmp_path)
    file = tmp_path / "losses.zarr" / "c" / str(shard) / "0"
    content = bytearray(file.read_bytes())
    content[7] ^= 0x40  # the exponent of a loss: 1e-5 of it, or 1e5 times as much
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"losses.zarr/c/{shard}/0 is damaged"):
        _ = opened.losses
    with pytest.raises(InputError, match="1 of 4 shards are missing or damaged; run record again") as refusal:
        Ledger.open(tmp_path)
    assert "\n" not in str(refusal.value)
    problem, done = problem_of(), []
    assert np.array_equal(record(problem, probes_of(problem), tmp_path, BATCH, done.append).losses, whole)
    rows = min(BATCH, SAMPLES - BATCH * shard)
    assert done == [(SAMPLES - rows) * PROBES, *[rows] * PROBES]


def test_a_damaged_index_is_refused_by_name_and_written_anew(tmp_path):
    problem = problem_of()
    ledger = record(problem, probes_of(problem), tmp_path)
    file = tmp_path / "index.npy"
    content = file.read_bytes()
    damaged = [b"", content[:40], content[:-8], content + b"\0", b"PK\x03\x04", content.replace(b"(10,)", b"(99,)")]
    flips = (
        bytes([*content[:byte], content[byte] ^ 1 << byte % 8, *content[byte + 1 :]]) for byte in range(len(content))
    )
    for replaced in [*damaged, *flips]:
        file.write_bytes(replaced)
        try:
            assert np.array_equal(Ledger.open(tmp_path).index, ledger.index)
        except InputError as error:
            refused = str(error)
            assert refused.startswith(str(file))
    file.unlink()
    with pytest.raises(InputError, match=r"index\.npy is missing or damaged: run record again"):
        Ledger.open(tmp_path)
    record(problem, probes_of(problem), tmp_path)
    assert np.array_equal(Ledger.open(tmp_path).index, ledger.index)


def test_pickled_objects_are_not_read(tmp_path):
    problem = problem_of()
    record(problem, probes_of(problem), tmp_path)
    np.save(tmp_path / "index.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"index\.npy is missing or damaged"):
        Ledger.open(tmp_path)


def test_a_store_in_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("suffice.storage.locking.GRACE", 0.01)
    problem, refusals = problem_of(), []

    def record_again(losses):
        try:
            record(problem_of(), probes_of(problem_of()), tmp_path)
        except InputError as error:
            refusals.append(str(error))

    record(problem, probes_of(problem), tmp_path, progress=record_again)
    assert len(refusals) == PROBES
    assert all(refusal.startswith(f"{tmp_path} is in use by process") for refusal in refusals)
    assert record(problem, probes_of(problem), tmp_path).losses.shape == (SAMPLES, PROBES)


def test_a_folder_without_a_ledger_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match="no stored array"):
        Ledger.open(tmp_path)


# losses that cannot be used


def test_a_sample_whose_loss_is_not_finite_is_named(tmp_path, one_batch_shards):
    x, y = data_of().tensors
    x[7, 2] = math.nan
    problem = problem_of(dataset=TensorDataset(x, y))
    with pytest.raises(InputError, match=r"data set row 7 at the centre w\* is nan") as refusal:
        record(problem, probes_of(problem), tmp_path, BATCH)
    assert "\n" not in str(refusal.value)


def test_a_probe_at_which_a_loss_overflows_is_named():
    x = torch.zeros(SAMPLES, 1, dtype=torch.float64)
    x[5] = 1e3
    problem = problem_of(model=nn.Linear(1, 1, bias=False).double(), dataset=TensorDataset(x, x), loss="mse")
    states = [{"weight": torch.full((1, 1), value, dtype=torch.float64)} for value in (1.0, 1e308)]
    with pytest.raises(InputError, match="data set row 5 at probe 2 is inf"):
        record(problem, Probes.points(problem, states), batch_size=BATCH)


@pytest.mark.parametrize("batch_size", [3, SAMPLES, "auto"])
@pytest.mark.parametrize(
    "loss",
    [
        lambda outputs, batch: outputs.mean(),
        lambda outputs, batch: outputs.mean()[None],
        lambda outputs, batch: outputs,
        lambda outputs, batch: outputs[:-1, 0],
        lambda outputs, batch: outputs[:, 0].repeat(2),
        lambda outputs, batch: outputs[:, 0].tolist(),
    ],
    ids=["scalar", "mean of the batch", "matrix", "too few", "too many", "list"],
)
def test_a_loss_that_is_not_one_number_a_sample_is_refused(loss, batch_size):
    problem = problem_of(loss=loss)
    with pytest.raises(InputError, match="one loss per sample") as refusal:
        record(problem, probes_of(problem), batch_size=batch_size)
    assert "\n" not in str(refusal.value)


def with_weights(weights):
    def loss(outputs, batch):
        return functional.cross_entropy(outputs, batch[1], weights, reduction="none")

    return {"loss": loss}


def cut_at(most):
    def collate(items):
        return torch.stack([x.clamp(max=most) for x, _ in items]), torch.stack([y for _, y in items])

    return {"collate": collate}


class WithBuffer(nn.Linear):
    def __init__(self, value):
        super().__init__(5, 3)
        self.register_buffer("shift", torch.tensor([value, 0.0, 0.0]), persistent=False)

    def forward(self, x):
        return super().forward(x) + self.shift * (x[:, :1] > 0.5)


def with_buffer(value):
    torch.manual_seed(0)
    return {"model": WithBuffer(value)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (with_weights(torch.ones(3)), with_weights(torch.tensor([1.0, 1.0, 2.0]))),
        (cut_at(9.0), cut_at(1.0)),
        (with_buffer(0.0), with_buffer(3.0)),
    ],
    ids=["class weights", "collate", "buffer"],
)
def test_a_store_of_losses_that_changed_for_some_samples_only_is_not_used(tmp_path, before, after):
    first = problem_of(**before, order="source")
    changed = (
        first.losses(first.batch(slice(None)))
        - problem_of(**after, order="source").losses(problem_of(**after, order="source").batch(slice(None)))
    ).abs() > 1e-3
    order = np.argsort(changed.numpy(), kind="stable")  # those that stay the same come first
    dataset = TensorDataset(*(tensor[order] for tensor in data_of().tensors))
    assert not changed[order[:2]].any()
    assert changed.any()
    problem = problem_of(**before, dataset=dataset, order="source")
    probes = probes_of(problem)
    record(problem, probes, store=tmp_path, batch_size=2)
    record(problem, probes, store=tmp_path, batch_size=2)
    other = problem_of(**after, dataset=dataset, order="source")
    with pytest.raises(InputError, match="another store|other"):
        record(other, probes_of(other), store=tmp_path, batch_size=2)


def test_shards_are_measured_elsewhere_after_the_first_and_what_is_missing_then_here(tmp_path, one_batch_shards):
    problem = problem_of()
    probes = probes_of(problem)
    expected = record(problem, probes, store=tmp_path / "here", batch_size=BATCH)
    asked = []

    def elsewhere(shards):
        asked.extend(shards)
        for rows in shards[1:]:
            record_shard(problem, probes, tmp_path / "there", rows)

    problem = problem_of()
    found = record(problem, probes, store=tmp_path / "there", batch_size=BATCH, elsewhere=elsewhere)
    assert [rows.start for rows in asked] == list(range(BATCH, SAMPLES, BATCH))
    assert np.array_equal(found.losses, expected.losses)
    asked.clear()
    record(problem, probes, store=tmp_path / "there", batch_size=BATCH, elsewhere=elsewhere)
    assert asked == []


def test_a_worker_with_other_weights_or_samples_is_refused(tmp_path):
    problem = problem_of()
    record(problem, probes_of(problem), store=tmp_path, batch_size=BATCH)
    other = problem_of()
    probes = probes_of(other)
    with torch.no_grad():
        next(iter(other.moving.values())).add_(1e-3)
    with pytest.raises(InputError, match="begun with other weights"):
        record_shard(other, probes, tmp_path, slice(0, BATCH))
    with pytest.raises(InputError, match="no stored array"):
        record_shard(problem, probes_of(problem), tmp_path / "nowhere", slice(0, BATCH))
