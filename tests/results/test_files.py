"""``result.json`` is read as the type that its command gives, also where an earlier version wrote it."""

import json
from pathlib import Path

import pytest

from suffice import InputError
from suffice.results import (
    AnalysisResult,
    ForecastResult,
    HessianResult,
    LanguageStudyResult,
    MLPResult,
    StudyResult,
    heat_map_file,
    read_result,
    result_as_json,
)

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
COMMITTED = {
    "mlp": MLPResult,
    "lm-gsm8k": LanguageStudyResult,
    "text-movie": StudyResult,
    "vit-block": HessianResult,
    "vit-digits": StudyResult,
    "vit-fashion": StudyResult,
    "vit-fashion-classes": StudyResult,
}


def write(folder, content):
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def forecast(schema_version, answers):
    band = {"mean": [0.5], "low": [0.4], "high": [0.6]}
    return {
        "schema_version": schema_version,
        "command": "forecast",
        "model": "m",
        "data": "d",
        "classes": ["a", "b"],
        "samples": 300,
        "forecast": {"sizes": [300], "loss": band, "accuracy": band, "status": "extrapolated"},
        "measured": [],
        "gains": [],
        "answers": answers,
        "notes": [],
        "confidence": 0.9,
        "configuration": {},
        "versions": {},
    }


def answer(criterion, size, high):
    return {
        "criterion": criterion,
        "tolerance": 0.8,
        "relative": False,
        "size": size,
        "low": None if size is None else 310,
        "high": high,
        "status": "cannot_tell" if size is None else "extrapolated",
        "explanation": "Whatever it says: no bound.",
    }


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_results_are_read_as_the_type_of_their_command(name):
    assert type(read_result(EXPERIMENTS / name)) is COMMITTED[name]


def test_the_mlp_experiment_of_earlier_versions_is_read(tmp_path):
    content = json.loads((EXPERIMENTS / "mlp" / "result.json").read_text())
    assert content["command"] == "mlp"
    assert read_result(write(tmp_path, content | {"command": "base"})) == read_result(EXPERIMENTS / "mlp")


def test_an_analysis_of_earlier_versions_names_no_command(small_run, tmp_path):
    folder, result = small_run
    content = json.loads((folder / "result.json").read_text())
    assert content.pop("command") == "analyze"
    content.pop("checksum")  # nor had they one
    read = read_result(write(tmp_path, content))
    assert type(read) is AnalysisResult
    assert read == result


def test_numbers_that_stood_for_no_upper_end_in_version_1_are_none(tmp_path):
    answers = [
        answer("target_accuracy", 900, 300_000),
        answer("target_loss", 400_000, 400_000),  # the size, where that is more than 1,000 times the samples
        answer("target_accuracy", 900, 2000),
        answer("cost_per_sample", 900, 300_000),
        answer("target_loss", None, None),
    ]
    read = read_result(write(tmp_path, forecast(1, answers)))
    assert type(read) is ForecastResult
    assert [one.high for one in read.answers] == [None, None, 2000, 300_000, None]
    assert read.schema_version == 3
    newer = read_result(write(tmp_path, forecast(2, answers)))
    assert newer.answers[0].high == 300_000


def test_a_forecast_without_an_upper_end_is_null_in_json(tmp_path):
    read = read_result(write(tmp_path, forecast(2, [answer("target_accuracy", 900, None)])))
    assert json.loads(read.model_dump_json())["answers"][0]["high"] is None
    assert ForecastResult.model_validate_json(read.model_dump_json()).answers == read.answers


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"schema_version": 99}', "not a result of this version of suffice"),
        ('{"command": "oracle"}', "not a result of this version of suffice"),
        ('{"command": "forecast", "schema_version": 1, "answers": 3}', "not a result of this version of suffice"),
        ("[1, 2]", "not a result of this version of suffice"),
        ("{", r"result\.json is damaged: run the same command again"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(content, said, tmp_path):
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(InputError, match=said) as error:
        read_result(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("indent", [None, 1, 2])
def test_an_edited_result_is_refused(indent, tmp_path):
    result = read_result(write(tmp_path, forecast(2, [answer("target_accuracy", 900, 1234)])))
    text, file = result_as_json(result, indent), tmp_path / "result.json"
    plain = result.model_dump_json(indent=indent)
    assert text.startswith(plain.rstrip("}\n"))
    assert json.loads(text).keys() == json.loads(plain).keys() | {"checksum"}
    file.write_text(text)
    assert read_result(tmp_path) == result
    file.write_text(text.replace("1234", "1235"))
    with pytest.raises(InputError, match=r"result\.json is damaged, or was edited"):
        read_result(tmp_path)
    file.write_text(plain)  # as earlier versions wrote it
    assert read_result(tmp_path) == result


def test_heat_maps_have_a_file_for_each_epoch(tmp_path):
    assert heat_map_file(tmp_path, 3) == tmp_path / "moments" / "epoch_3.npy"
