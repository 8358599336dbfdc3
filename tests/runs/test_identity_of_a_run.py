"""Results in a folder are used again only with the weights and the samples that they were computed from."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import save_checkpoint

from suffice.configuration import ForecastConfig, StudyConfig
from suffice.errors import InputError
from suffice.runs.forecast import forecast
from suffice.runs.study import study


def change(folder):
    """One number of the weights, under the same name."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    next(value for name, value in sorted(weights.items()) if "query" in name).view(-1)[0].add_(1.0)
    save_file(weights, file, {"format": "pt"})


@pytest.mark.parametrize("method", ["full", pytest.param("lora(2)", marks=pytest.mark.deep)])
def test_cells_of_other_weights_are_refused(method, reviews, tmp_path):
    model, out = save_checkpoint("bert", tmp_path / "model"), tmp_path / "run"
    config = StudyConfig(
        model=str(model), data=str(reviews), methods=[method], sizes=[12, 24], seeds=1, steps=2, landscape_seeds=0
    )
    result = study(config, out, workers=1)
    (out / "cells" / f"0-{method}-12-0.json").unlink()
    losses = [cell.test_loss for cell in study(config, out, workers=1).study.cells]
    assert losses == [cell.test_loss for cell in result.study.cells]
    (out / "cells" / f"0-{method}-12-0.json").unlink()
    change(model)
    for _ in range(2):
        with pytest.raises(InputError, match=r"other settings \(contents of the weights: changed\): .*--overwrite"):
            study(config, out, workers=1)
    assert study(config, out, workers=1, overwrite=True).study.cells[0].test_loss != losses[0]


@pytest.mark.parametrize("method", ["full", pytest.param("lora(2)", marks=pytest.mark.deep)])
def test_trainings_and_evidence_of_other_weights_are_refused(method, reviews, tmp_path):
    model, out = save_checkpoint("bert", tmp_path / "model"), tmp_path / "run"
    config = ForecastConfig(model=str(model), data=str(reviews), method=method, steps=2, estimator="symmetric")
    before = forecast(config, out)
    assert forecast(config, out).measured == before.measured
    change(model)
    with pytest.raises(InputError, match=r"other settings \(contents of the weights: changed\)"):
        forecast(config, out)
    assert forecast(config, out, overwrite=True).measured != before.measured


def test_weights_that_change_while_a_study_runs_are_noticed(reviews, tmp_path, monkeypatch):
    model, out = save_checkpoint("bert", tmp_path / "model"), tmp_path / "run"
    config = StudyConfig(model=str(model), data=str(reviews), methods=["full"], sizes=[12], seeds=2, steps=2)
    torch.manual_seed(0)
    from suffice.runs import study as run  # noqa: PLC0415

    train, trained = run.train_cell, []

    def changing(*given):
        trained.append(given)
        if len(trained) == 1:
            change(model)
        return train(*given)

    monkeypatch.setattr(run, "train_cell", changing)
    with pytest.raises(InputError, match="has changed since suffice read it: restore it, or run"):
        study(config, out, workers=1)
    assert len(trained) == 1
    with pytest.raises(InputError, match="contents of the weights: changed"):
        study(config, out, workers=1)
