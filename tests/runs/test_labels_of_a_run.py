"""Labels of a checkpoint and classes of the data, as each command takes them."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from tiny_checkpoints import save_checkpoint
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from suffice.configuration import AnalyzeConfig, ForecastConfig, StudyConfig, read_configuration
from suffice.data import load_samples
from suffice.errors import InputError
from suffice.runs.analyze import analyze
from suffice.runs.forecast import forecast
from suffice.runs.study import study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save(tmp_path_factory.mktemp("checkpoint"), ["POSITIVE", "NEGATIVE"]))


def save(folder, names, **settings):
    labels = dict(enumerate(names))
    return save_checkpoint("bert", folder, id2label=labels, label2id={v: k for k, v in labels.items()}, **settings)


def analyzed(folder, reviews, out, **values):
    given = {"model": folder, "data": str(reviews), "held_out": 0, "probes": 1, "batch_size": 60}
    return analyze(read_configuration(AnalyzeConfig, given | values), out)


def loss_of(folder, samples, labels):
    """The mean loss by the library, one text at a time, where the classes have these labels."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        losses = [
            float(model(**tokenizer(samples[row], return_tensors="pt"), labels=torch.tensor([labels[label]])).loss)
            for row, label in enumerate(samples.labels.tolist())
        ]
    return np.mean(losses)


def test_a_map_decides_the_loss_and_is_part_of_the_configuration(folder, reviews, tmp_path):
    with pytest.raises(InputError, match="no label 'bad'.*--label-map CLASS=LABEL"):
        analyzed(folder, reviews, tmp_path / "refused")
    result = analyzed(folder, reviews, tmp_path / "run", label_map={"good": "positive", "bad": 1})
    samples = load_samples(str(reviews))
    expected = {labels: loss_of(folder, samples, labels) for labels in ((1, 0), (0, 1))}
    assert result.problem.loss_at_center == pytest.approx(expected[1, 0], rel=1e-5)
    assert result.problem.loss_at_center != pytest.approx(expected[0, 1], rel=1e-2)
    assert not any("matched in order" in note for note in result.problem.notes)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["label_map"] == ["good=positive", "bad=1"]
    with pytest.raises(InputError, match="label_map"):
        analyzed(folder, reviews, tmp_path / "run", label_map={"good": 1, "bad": 0})


@pytest.mark.deep
def test_the_flag_may_be_given_several_times(folder, reviews, tmp_path):
    maps = ["--label-map", "good=POSITIVE", "--label-map", "bad=0", "--out", str(tmp_path / "run")]
    call = [sys.executable, "-m", "suffice", "analyze", folder, str(reviews), *maps]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the classes 'good' and 'bad' cannot both have the label 'POSITIVE'" in done.stderr


def test_a_head_of_another_loss_is_refused_as_it_is_and_replaced_for_training(reviews, tmp_path):
    source = str(save(tmp_path / "model", ["POSITIVE", "NEGATIVE"], problem_type="multi_label_classification"))
    with pytest.raises(InputError, match="its head is one for multi label classification"):
        analyzed(source, reviews, tmp_path / "run")
    result = analyzed(source, reviews, tmp_path / "trained", fine_tune="head", epochs=1)
    assert result.problem.moving_parameters == 2 * (16 + 1)
    assert any("training starts from a new one" in note for note in result.problem.notes)


def test_a_study_takes_the_map_for_each_of_its_tasks(tmp_path):
    source = str(save(tmp_path / "model", ["NEGATIVE", "NEUTRAL", "POSITIVE"]))
    rows = [f"{'very ' * (row % 5)}{('bad', 'dull', 'good')[row % 3]} film,{'bcd'[row % 3]}" for row in range(60)]
    (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    given = {
        "model": source, "data": str(tmp_path / "data.csv"), "sizes": [12], "seeds": 1, "steps": 2, "probes": 1,
        "class_subsets": ["b,d"], "label_map": ["b=negative", "c=1", "d=positive"],
    }  # fmt: skip
    result = study(read_configuration(StudyConfig, given), tmp_path / "run", workers=1)
    assert len(result.study.cells) == 2
    # the head is kept, so it has all three outputs for the two classes of the subset as well
    assert {cell.moving_parameters for cell in result.study.cells} == {3 * 17}
    assert not any("starts from a new one" in note for note in result.notes)


def test_a_forecast_of_a_model_as_it_was_trained_needs_its_labels(folder, reviews, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "\n".join(f"very very {w} film,{w}" for w in ("good", "bad") * 5) + "\n")
    given = {"model": folder, "data": str(reviews), "test": str(other), "trained": True, "method": "full"}
    with pytest.raises(InputError, match="no label 'bad'.*--label-map CLASS=LABEL"):
        forecast(read_configuration(ForecastConfig, given), tmp_path / "refused")


@pytest.mark.parametrize("value", [["a=b", "c=1"], {"a": "b", "c": 1}])
def test_a_file_has_a_mapping_or_a_list(value, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": "m", "data": "d", "label_map": value}))
    config = read_configuration(AnalyzeConfig, {}, tmp_path / "config.yaml")
    assert config.label_map == ["a=b", "c=1"]
