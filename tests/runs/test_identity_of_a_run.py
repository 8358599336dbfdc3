"""Results in a folder are used again only with the weights and the samples that they were computed from."""

import shutil

import pytest
import torch
from tiny_checkpoints import save_checkpoint
from transformers import AutoModelForSequenceClassification

from suffice.configuration import ForecastConfig, StudyConfig
from suffice.errors import InputError
from suffice.runs.forecast import forecast
from suffice.runs.study import study
from suffice.storage import IDENTITY


def change(folder):
    """Another base model under the same name."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.base_model.parameters():
            parameter.add_(torch.randn_like(parameter))
    model.save_pretrained(folder)


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
        with pytest.raises(InputError, match=r"cells was computed with other settings \(weights: changed.*--overwrite"):
            study(config, out, workers=1)
    assert study(config, out, workers=1, overwrite=True).study.cells[0].test_loss != losses[0]


@pytest.mark.parametrize("method", ["full", pytest.param("lora(2)", marks=pytest.mark.deep)])
def test_trainings_and_pilot_of_other_weights_are_refused(method, reviews, tmp_path):
    model, out = save_checkpoint("bert", tmp_path / "model"), tmp_path / "run"
    config = ForecastConfig(model=str(model), data=str(reviews), method=method, steps=2, estimator="symmetric")
    before = forecast(config, out)
    assert forecast(config, out).measured == before.measured
    change(model)
    with pytest.raises(InputError, match=r"evidence.npz was computed with other settings \(weights: changed"):
        forecast(config, out)
    (out / "evidence.npz").unlink()
    with pytest.raises(InputError, match=r"trainings was computed with other settings \(weights: changed"):
        forecast(config, out)
    shutil.rmtree(out / "trainings")
    assert forecast(config, out).measured != before.measured


def test_cells_of_an_earlier_version_are_refused(reviews, tmp_path):
    model, out = save_checkpoint("bert", tmp_path / "model"), tmp_path / "run"
    config = StudyConfig(model=str(model), data=str(reviews), methods=["full"], sizes=[12], seeds=1, steps=2)
    study(config, out, workers=1)
    (out / "cells" / IDENTITY).unlink()
    with pytest.raises(InputError, match="does not say from which weights and samples .* --overwrite"):
        study(config, out, workers=1)
