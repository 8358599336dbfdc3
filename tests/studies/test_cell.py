"""One training, what is measured of it, and what is kept."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from suffice import Problem
from suffice.configuration import StudyConfig
from suffice.results import Cell
from suffice.studies import Cells, learning_curve, train_cell
from suffice.training import Learner, Parts, Series, predict

SAMPLES = 150
PARTS = Parts(np.arange(90), np.arange(90, 110), np.arange(110, 150))
ORDER = np.random.default_rng(0).permutation(90)
DRAW = torch.Generator().manual_seed(0)
X = torch.randn(SAMPLES, 6, generator=DRAW)
Y = (X[:, :3] + 0.7 * torch.randn(SAMPLES, 3, generator=DRAW)).argmax(1)


def learner_of(model=None, seed=0):
    torch.manual_seed(seed)
    model = (nn.Linear(6, 3) if model is None else model()).eval()

    def problem(rows):
        chosen = torch.from_numpy(rows)
        return Problem(model, TensorDataset(X[chosen], Y[chosen]), order="source")

    learner = Learner(model, problem, {})
    return Learner(model, problem, learner.state())


def config_of(**values):
    return StudyConfig(**({"model": "m", "data": "d", "steps": 30, "learning_rate": 0.05, "batch_size": 16} | values))


def trained(size, learner=None, place=None, **values):
    place = Series("all", "head", 0) if place is None else place
    learner = learner_of() if learner is None else learner
    return train_cell(config_of(**values), learner, PARTS, ORDER, place, size)


def test_numbers_are_those_of_the_trained_model():
    learner = learner_of()
    cell, tested = trained(40, learner, metrics=["f1", "auroc"])
    with torch.no_grad():
        logits = learner.model(X).double()
    losses = functional.cross_entropy(logits, Y, reduction="none").numpy()
    right = (logits.argmax(1) == Y).numpy()
    for name, rows in {"train": ORDER[:40], "validation": PARTS.validation, "test": PARTS.test}.items():
        assert getattr(cell, f"{name}_loss") == pytest.approx(losses[rows].mean(), rel=1e-6)
        assert getattr(cell, f"{name}_accuracy") == pytest.approx(right[rows].mean())
    assert tested.losses == pytest.approx(losses[PARTS.test], rel=1e-6)
    assert np.array_equal(tested.right, right[PARTS.test])
    error = losses[PARTS.test].std(ddof=1) / math.sqrt(len(PARTS.test))
    assert cell.test_loss_error == pytest.approx(error, rel=1e-5)
    labels, test = Y[PARTS.test].numpy(), logits[PARTS.test]
    assert cell.test_f1 == pytest.approx(f1_score(labels, test.argmax(1).numpy(), average="macro"))
    expected = roc_auc_score(labels, test.softmax(1).numpy(), multi_class="ovr", average="macro")
    assert cell.test_auroc == pytest.approx(expected)
    assert (cell.status, cell.size, cell.task, cell.method, cell.seed) == ("finished", 40, "all", "head", 0)
    assert cell.moving_parameters == 6 * 3 + 3
    assert cell.seconds > 0


def test_the_distance_is_that_from_the_initial_weights():
    learner = learner_of()
    before = {name: value.clone() for name, value in learner.model.named_parameters()}
    cell, _ = trained(40, learner)
    moved = torch.cat(
        [(value.detach() - before[name]).flatten().double() for name, value in learner.model.named_parameters()]
    )
    assert cell.distance == pytest.approx(float(moved.norm()), rel=1e-9)
    assert cell.distance > 0.1


def test_metrics_are_measured_on_request_alone():
    cell, _ = trained(20)
    assert (cell.test_f1, cell.test_auroc) == (None, None)


def test_training_learns_and_uses_the_samples_asked_for_alone():
    small, _ = trained(10, steps=60)
    large, _ = trained(90, steps=60)
    assert small.train_loss < min(large.train_loss, large.test_loss)
    assert max(large.train_loss, large.test_loss) < small.test_loss


def comparable(cell):
    return cell.model_copy(update={"seconds": None})


@pytest.mark.parametrize(
    "model",
    [
        None,
        lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)),
    ],
    ids=["linear", "with buffers and dropout"],
)
def test_the_learner_starts_anew_for_each_cell(model):
    learner = learner_of(model)
    (first, tested), weights = trained(20, learner), learner.state()
    trained(70, learner, Series("all", "head", 5))
    assert not all(torch.equal(learner.state()[name], value) for name, value in weights.items())
    again, tested_again = trained(20, learner)
    assert comparable(again) == comparable(first)
    assert np.array_equal(tested.losses, tested_again.losses)
    assert all(torch.equal(learner.state()[name], value) for name, value in weights.items())


def test_the_seed_of_the_place_decides_the_training():
    cells = [trained(40, place=Series("all", "head", seed))[0] for seed in (0, 0, 1)]
    assert comparable(cells[0]) == comparable(cells[1])
    assert cells[0].test_loss != cells[2].test_loss


def test_methods_train_in_their_own_way():
    values = {"methods": ["head", "full"], "by_method": {"full": {"steps": 3, "learning_rate": 0.2}}}
    expected, _ = trained(40, methods=["head"], steps=3, learning_rate=0.2)
    full, _ = trained(40, place=Series("all", "full", 0), **values)
    head, _ = trained(40, **values)
    assert full.test_loss == expected.test_loss
    assert head.test_loss == trained(40)[0].test_loss


def test_predictions_do_not_depend_on_the_batch_size():
    problem = learner_of().problem(PARTS.test)
    whole = predict(problem, len(problem), 40)
    for batch_size in (1, 7, "auto"):
        part = predict(problem, len(problem), batch_size)
        assert part.losses == pytest.approx(whole.losses, rel=1e-5)
        assert np.array_equal(part.labels, whole.labels)
    assert whole.probabilities.sum(1) == pytest.approx(np.ones(40))


@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_a_diverged_training_is_recorded_without_numbers_and_left_out_of_curves(rate):
    diverged, tested = trained(40, learning_rate=rate, weight_decay=0.5, steps=60)
    assert tested is None
    assert (diverged.status, diverged.moving_parameters) == ("diverged", 21)
    values = diverged.model_dump(exclude={"task", "method", "size", "seed", "status", "moving_parameters"})
    assert set(values.values()) == {None}
    finished, found = trained(40, place=Series("all", "head", 1))
    curve = learning_curve([diverged, finished], {(40, 1): np.stack([found.losses, found.right])})
    assert curve.loss.mean.tolist() == [finished.test_loss]


def test_after_a_diverged_training_the_learner_starts_anew():
    learner = learner_of()
    expected = comparable(trained(40)[0])
    trained(40, learner, learning_rate=1e30)
    assert comparable(trained(40, learner)[0]) == expected


def test_with_patience_the_weights_are_those_of_the_best_validation_loss(recwarn):
    values = {"steps": 100, "learning_rate": 0.3, "weight_decay": 0.0}

    def model():
        return nn.Sequential(nn.Linear(6, 40), nn.Dropout(0.1), nn.Linear(40, 3))

    patient, _ = trained(10, learner_of(model), patience=3, **values)
    stubborn, _ = trained(10, learner_of(model), **values)
    assert patient.validation_loss < stubborn.validation_loss
    assert patient.train_loss > stubborn.train_loss
    assert [str(warning.message) for warning in recwarn] == []


def stored(folder, status="finished"):
    numbers = {"test_loss": 0.5, "test_accuracy": 0.25, "distance": math.pi, "seconds": 1.5}
    return Cell(
        task="0,1",
        method="lora(2)",
        size=30,
        seed=4,
        status=status,
        moving_parameters=7,
        **(numbers if status == "finished" else {}),
    ), Cells(folder / "cells", "these", Cell, ["all", "0,1"])


PLACE = Series("0,1", "lora(2)", 4)


def test_what_is_written_is_read(tmp_path):
    cell, cells = stored(tmp_path)
    tested = predict(learner_of().problem(PARTS.test), 40, 40)
    weights = {"weight": torch.randn(5, 4).t(), "count": torch.tensor(3)}
    assert not cells.has(PLACE, 30)
    cells.write(PLACE, 30, cell, np.stack([tested.losses, tested.right]), weights)
    assert cells.has(PLACE, 30)
    assert not cells.has(PLACE, 40)
    assert not cells.has(PLACE._replace(task="all"), 30)
    assert not Cells(tmp_path / "cells", "others", Cell, ["all", "0,1"]).has(PLACE, 30)
    others = Cells(tmp_path / "cells", "these", Cell, ["all", "0,1"])
    assert others.read(PLACE, 30) == cell
    assert np.array_equal(others.tested(PLACE, 30), np.stack([tested.losses, tested.right]))
    read = others.weights(PLACE, 30)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], value) for name, value in weights.items())


def test_a_cell_without_its_json_is_missing(tmp_path):
    cell, cells = stored(tmp_path)
    cells.write(PLACE, 30, cell, np.ones((2, 40)), {"weight": torch.ones(2)})
    (file,) = (tmp_path / "cells").glob("*.json")
    file.unlink()
    assert len(list((tmp_path / "cells").iterdir())) == 2
    assert not cells.has(PLACE, 30)


def test_the_json_of_a_cell_is_written_last(tmp_path):
    cell, cells = stored(tmp_path)

    class Unwritable:
        def contiguous(self):
            raise OSError("full")

    write = Cells.write.__wrapped__ if hasattr(Cells.write, "__wrapped__") else Cells.write
    with pytest.raises(OSError, match="full"):
        write(cells, PLACE, 30, cell, np.ones((2, 40)), {"weight": Unwritable()})
    assert not cells.has(PLACE, 30)
    assert list(tmp_path.rglob("*.json")) == []


def test_a_diverged_cell_is_there_without_predictions(tmp_path):
    cell, cells = stored(tmp_path, "diverged")
    cells.write(PLACE, 30, cell, None)
    assert cells.has(PLACE, 30)
    assert cells.read(PLACE, 30) == cell
    assert [file.suffix for file in (tmp_path / "cells").iterdir()] == [".json"]
