"""``suffice study`` from end to end: the same numbers however it was run, and bad input in one line."""

import csv
import io
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, BertConfig, ViTConfig, ViTForImageClassification

import suffice
from suffice.configuration import StudyConfig, read_configuration
from suffice.errors import InputError
from suffice.results import Cell, read_result
from suffice.runs import study as run
from suffice.runs.cells import table_of, with_six_digits
from suffice.runs.folder import TABLES
from suffice.runs.study import study
from suffice.storage import faults_of_files

SMALL = {
    "model": "builtin:tiny-vit",
    "data": "builtin:digits",
    "samples": 150,
    "methods": ["head", "lora(2)"],
    "sizes": [30, 60, 100],
    "landscape_sizes": [60],
    "seeds": 2,
    "steps": 4,
    "probes": 2,
    "tolerances": [0.05],
    "class_subsets": ["0,1,2"],
    "batch_size": 64,
}
ONE = {"seeds": 1, "methods": ["head"], "class_subsets": [], "landscape_sizes": None}


def config_of(**values):
    return read_configuration(StudyConfig, SMALL | values)


@pytest.fixture(scope="module")
def small_study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "run"
    return folder, study(config_of(), folder, workers=1)


def without_seconds(result):
    """All of a result but how long it took."""
    content = json.loads(result.model_dump_json())
    for cell in content["study"]["cells"]:
        del cell["seconds"]
    for check in content["study"]["check"]:
        del check["seconds_saved"]
    return content


def times(folder):
    return {
        file: file.stat().st_mtime_ns
        for part in ("cells", "surfaces", "features")
        for file in (folder / part).rglob("*")
        if file.is_file()
    }


def test_there_is_a_cell_for_each_task_method_size_and_seed(small_study):
    _, result = small_study
    cells = result.study.cells
    sizes = {"all": [30, 60, 100], "0,1,2": [30]}
    assert [(cell.task, cell.method, cell.seed, cell.size) for cell in cells] == [
        (task, method, seed, size)
        for task, of_task in sizes.items()
        for method in ("head", "lora(2)")
        for seed in (0, 1)
        for size in of_task
    ]
    assert {cell.status for cell in cells} == {"finished"}
    moving = {(cell.task, cell.method): cell.moving_parameters for cell in cells}
    assert moving["all", "head"] == 10 * 65
    assert moving["0,1,2", "head"] == 3 * 65
    assert moving["all", "lora(2)"] - moving["all", "head"] == moving["0,1,2", "lora(2)"] - moving["0,1,2", "head"] > 0


def test_a_result_of_six_digits_repeats_its_settings_as_they_were_given(small_study):
    _, result = small_study
    rate = 10**-3.5
    given = result.model_copy(update={"configuration": result.configuration | {"learning_rate": rate}})
    assert float(f"{rate:.6g}") != rate
    assert with_six_digits(given).configuration == given.configuration


def test_curves_are_the_means_of_the_cells(small_study):
    _, result = small_study
    assert list(result.study.curves) == ["head", "lora(2)"]
    assert list(result.study.subset_curves) == ["0,1,2"]
    for task, curves in {"all": result.study.curves, **result.study.subset_curves}.items():
        for method, curve in curves.items():
            for place, size in enumerate(curve.sizes):
                losses = [
                    cell.test_loss
                    for cell in result.study.cells
                    if (cell.task, cell.method, cell.size) == (task, method, size)
                ]
                assert len(losses) == 2
                # numbers have six digits
                assert curve.loss.mean[place] == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_surface_is_that_of_the_weights_of_the_cells(small_study):
    _, result = small_study
    cells = {(cell.task, cell.method, cell.seed, cell.size): cell for cell in result.study.cells}
    assert len(result.study.retrained) == 8
    for surface in result.study.retrained:
        assert surface.sizes == ([60, 100] if surface.task == "all" else [30])
        assert surface.samples == surface.sizes[-1]
        for place, size in enumerate(surface.sizes):
            cell = cells[surface.task, surface.method, surface.seed, size]
            assert surface.own[place] == pytest.approx(cell.train_loss, rel=1e-5)
            assert surface.validation[place] == pytest.approx(cell.validation_loss, rel=1e-5)


def test_checks_are_of_tasks_with_several_sizes(small_study):
    _, result = small_study
    checks = result.study.check
    assert {check.task for check in checks} == {"all"}
    assert len(checks) == 2 * 2 * 2 * 2  # methods, seeds, criteria, quantities
    assert len(result.study.agreement) == 4


def test_the_parts_are_counted(small_study):
    _, result = small_study
    assert (result.pool, result.validation_samples, result.test_samples, result.classes) == (105, 15, 30, 10)
    assert any("head is one for other classes" in note for note in result.notes)


def test_what_is_stored_is_the_result(small_study):
    folder, result = small_study
    stored = read_result(folder)
    assert stored.model_dump_json() == result.model_dump_json()


def test_a_table_of_all_trainings_reads_back(small_study):
    folder, result = small_study
    with (folder / "cells.csv").open(newline="") as file:
        rows = [{name: text or None for name, text in row.items()} for row in csv.DictReader(file)]
    assert [Cell.model_validate(row) for row in rows] == result.study.cells
    assert (folder / TABLES).exists()
    assert faults_of_files(folder, TABLES) == []


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_names_in_the_table_are_no_formulas_of_a_spreadsheet(begins):
    about = {"method": "head", "size": 9, "seed": 0, "status": "finished", "moving_parameters": 1, "test_loss": -0.5}
    table = table_of([Cell(task=f"{begins}1+HYPERLINK(1)", **about)])
    (row,) = csv.DictReader(io.StringIO(table, newline=""))
    assert row["task"] == f"'{begins}1+HYPERLINK(1)"
    assert row["test_loss"] == "-0.5"


@pytest.mark.deep
def test_results_do_not_depend_on_the_number_of_workers(small_study, tmp_path):
    _, result = small_study
    assert without_seconds(study(config_of(), tmp_path / "run", workers=2)) == without_seconds(result)


def test_a_second_run_runs_nothing_again(small_study, monkeypatch):
    folder, result = small_study
    before = times(folder)
    assert len(before) > 40

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(run, "_do", never)
    config = read_configuration(StudyConfig, {}, folder / "config.yaml")
    assert config.asked() == config_of().asked()
    again = study(config, folder, workers=1)
    assert again.model_dump_json() == result.model_dump_json()
    assert times(folder) == before


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seeds": 3}, "seeds: 2, now 3"),
        ({"sizes": [30, 60]}, r"sizes: \[30, 60, 100\], now \[30, 60\]"),
        ({"methods": ["head"], "steps": 5}, r"steps: 4, now 5; methods: \[.*\], now \[head\]"),
        ({"tolerances": [0.1]}, "tolerances: "),
        ({"samples": 151}, "samples: 150, now 151"),
        ({"weight_decay": 0.5}, "weight_decay: 0.01, now 0.5"),
    ],
)
def test_another_configuration_is_refused(small_study, values, said):
    folder, _ = small_study
    before = times(folder)
    with pytest.raises(InputError, match=said):
        study(config_of(**values), folder, workers=1)
    assert times(folder) == before


def test_a_run_that_is_replaced_leaves_nothing_of_the_old(tmp_path):
    replaced = config_of(**ONE | {"sizes": [30]})
    fresh = study(replaced, tmp_path / "fresh", workers=1)
    study(config_of(**ONE | {"sizes": [60], "seed": 5}), tmp_path / "run", workers=1)
    again = study(replaced, tmp_path / "run", workers=1, overwrite=True)
    assert without_seconds(again) == without_seconds(fresh)
    assert {file.name for file in (tmp_path / "run" / "cells").iterdir()} == {
        file.name for file in (tmp_path / "fresh" / "cells").iterdir()
    }


@pytest.mark.deep
def test_a_run_that_is_killed_goes_on_to_the_same_result(small_study, tmp_path):
    _, expected = small_study
    folder, file = tmp_path / "run", tmp_path / "asked.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    command = [sys.executable, "-m", "suffice", "study", "--config", str(file), "--out", str(folder), "--workers", "1"]
    draw = np.random.default_rng(0)
    # among the trainings, and among the surfaces
    for what, count in (("cells/*-*.json", int(draw.integers(1, 12))), ("surfaces/*.json", int(draw.integers(1, 7)))):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(folder.glob(what))) < count:
            assert process.poll() is None
            time.sleep(0.002)
        time.sleep(draw.random() / 20)
        process.kill()
        process.wait()
    assert not (folder / "result.json").exists()
    before = times(folder)
    found = study(config_of(), folder, workers=1)
    assert without_seconds(found) == without_seconds(expected)
    after = times(folder)
    kept = [path for path in before if path.match("cells/*-*.json")]
    assert len(kept) == 16
    assert all(after[path] == before[path] for path in kept)
    assert list(folder.rglob("*.suffice-partial")) == []


def test_a_head_is_trained_from_features_in_this_process_too(tmp_path):
    values = ONE | {"sizes": [60], "steps": 30}
    result = study(config_of(**values), tmp_path / "run", workers=1)
    features = tmp_path / "run" / "features" / "head"
    assert features.is_dir()
    (cell,) = result.study.cells
    weights = load_file(next((tmp_path / "run" / "cells").glob("*.safetensors")))
    assert {value.shape for value in weights.values()} == {torch.Size([10, 64]), torch.Size([10])}
    assert set(weights) == {"weight", "bias"}
    assert cell.distance > 0


@pytest.mark.deep
def test_patience_ends_with_the_best_weights_and_says_nothing(tmp_path, recwarn):
    values = ONE | {"methods": ["head", "lora(2)"], "sizes": [30], "learning_rate": 0.3, "steps": 25}
    patient = study(config_of(**values, patience=25), tmp_path / "patient", workers=1)
    stubborn = study(config_of(**values), tmp_path / "stubborn", workers=1)
    for first, second in zip(patient.study.cells, stubborn.study.cells, strict=True):
        assert first.validation_loss <= second.validation_loss
    assert [str(warning.message) for warning in recwarn if "training mode" in str(warning.message)] == []


def test_diverged_trainings_are_recorded_and_not_averaged(tmp_path):
    values = ONE | {"sizes": [30, 60], "learning_rate": 1e30, "seeds": 2}
    result = study(config_of(**values), tmp_path / "run", workers=1)
    assert [cell.status for cell in result.study.cells] == ["diverged"] * 4
    assert result.study.curves["head"].sizes == []
    assert (result.study.retrained, result.study.check, result.study.agreement) == ([], [], [])
    assert any("4 of 4 trainings diverged and are left out of all averages" in note for note in result.notes)
    assert read_result(tmp_path / "run").notes == result.notes


def test_a_model_that_cannot_be_cut_is_run_whole_and_the_result_says_so(tmp_path, monkeypatch):
    cut = study(config_of(**ONE), tmp_path / "cut", workers=1)
    monkeypatch.setattr("suffice.training.learner.split", lambda *_: None)
    whole = study(config_of(**ONE), tmp_path / "whole", workers=1)
    note = "The frozen part could not be run apart, and was run at every step: head."
    assert note in whole.notes
    assert note not in cut.notes
    losses = [[cell.test_loss for cell in result.study.cells] for result in (whole, cut)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)  # run whole, the frozen part has its dropout


@pytest.fixture(scope="module")
def bert(tmp_path_factory, save_tokenizer):
    folder = tmp_path_factory.mktemp("models") / "bert"
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=20, num_labels=2
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


def test_the_surface_is_measured_for_as_many_seeds_as_asked(tmp_path):
    values = ONE | {"methods": ["head", "last_layers(1)"], "seeds": 2, "sizes": [30, 60], "landscape_seeds": 1}
    config = config_of(**values, by_method={"head": {"landscape_seeds": 0, "steps": 2}})
    result = study(config, tmp_path / "run", workers=1)
    assert [(surface.method, surface.seed) for surface in result.study.retrained] == [("last_layers(1)", 0)]
    assert len(result.study.cells) == 8
    replayed = read_configuration(StudyConfig, {}, tmp_path / "run" / "config.yaml")
    assert replayed.asked() == config.asked()


def test_the_public_function_gives_the_curves(tmp_path):
    asked = SMALL | ONE | {"sizes": [30, 60]}
    curves = suffice.study(asked, str(tmp_path / "run"), workers=1)
    result = read_result(tmp_path / "run")
    assert list(curves) == ["head"]
    assert curves["head"].sizes == [30, 60]
    assert np.array_equal(curves["head"].loss.mean, result.study.curves["head"].loss.mean)
    before = times(tmp_path / "run")
    again = suffice.study(config_of(**ONE | {"sizes": [30, 60]}), tmp_path / "run", workers=1)
    assert np.array_equal(again["head"].accuracy.mean, curves["head"].accuracy.mean)
    assert times(tmp_path / "run") == before
    with pytest.raises(InputError, match=r"unknown key 'size'; did you mean"):
        suffice.study(asked | {"size": 3}, tmp_path / "other")


@pytest.mark.deep
def test_texts_are_studied_by_all_methods(bert, reviews, tmp_path):
    values = {"model": bert, "data": str(reviews), "samples": None, "sizes": [10, 40], "class_subsets": []}
    methods = ["head", "last_layers(1)", "lora(2)", "full"]
    config = config_of(
        **values, methods="head, last_layers(1), lora(2),full", seeds=1, landscape_sizes=None, metrics="f1,auroc"
    )
    result = study(config, tmp_path / "run", workers=1)
    cells = result.study.cells
    assert list(result.study.curves) == methods
    assert {cell.status for cell in cells} == {"finished"}
    moving = [cell.moving_parameters for cell in cells if cell.size == 40]
    assert moving[0] < moving[1] < moving[3]
    assert moving[0] < moving[2] < moving[3]
    assert all(0 <= cell.test_f1 <= 1 and 0 <= cell.test_auroc <= 1 for cell in cells)
    assert [surface.sizes for surface in result.study.retrained] == [[10, 40]] * 4
    assert {folder.name for folder in (tmp_path / "run" / "features").iterdir()} == {"head", "last_layers(1)"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sizes": [50, 5000]}, "size 5,000: there are 105 samples to train on"),
        ({"sizes": [4, 50]}, "the smallest workable size is"),
        ({"sizes": [100], "class_subsets": ["0,1"]}, "with the classes 0,1"),
        ({"methods": ["lora(2)"], "lora_targets": ["q_porj"]}, "there are"),
        ({"methods": ["last_layers(99)"]}, "last_layers(99): this model has"),
        ({"methods": ["most"]}, "'most' is not a way to fine-tune"),
        ({"landscape_sizes": [55]}, "landscape_sizes [55]: not among the sizes [30, 60, 100]"),
        ({"surface": True, "landscape_sizes": [60]}, "a plane goes through the weights of 3 sizes"),
        ({"device": "abacus"}, "give auto, cpu or cuda"),
        ({"model": "./no/such/folder"}, "no such folder"),
        ({"data": "no/such/folder"}, "no such file or folder"),
        ({"test": "no/such/folder"}, "no such file or folder"),
    ],
)
def test_bad_input_is_one_line_before_any_work(values, said, tmp_path):
    with pytest.raises(InputError) as refusal:
        study(config_of(**ONE | values), tmp_path / "run", workers=1)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_fewer_than_one_worker_is_refused(tmp_path):
    with pytest.raises(InputError, match="workers = 0: must be at least 1"):
        study(config_of(), tmp_path / "run", workers=0)


@pytest.mark.parametrize("method", ["lora (2)", "last_layers( 1 )", "all"])
def test_a_method_may_be_written_in_other_ways(method, tmp_path):
    values = ONE | {"methods": [method], "sizes": [30], "steps": 1}
    result = study(config_of(**values), tmp_path / "run", workers=1)
    assert [cell.status for cell in result.study.cells] == ["finished"]


def test_a_checkpoint_whose_keys_do_not_load_lists_them(tmp_path):
    config = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=16, num_labels=10)
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    file = tmp_path / "vit" / "model.safetensors"
    weights = load_file(file)
    renamed = next(name for name in weights if "mlp" in name or "intermediate" in name)
    weights["stray.weight"] = weights.pop(renamed)
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(InputError, match="the checkpoint lacks 1 weights of the model: vit") as refusal:
        study(config_of(**ONE | {"model": str(tmp_path / "vit")}), tmp_path / "run", workers=1)
    assert "\n" not in str(refusal.value)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run of suffice"):
        study(config_of(**ONE), tmp_path, workers=1, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.deep
def test_a_surface_between_minima_is_measured_for_the_first_seed_and_kept(tmp_path, monkeypatch):
    config = config_of(**ONE | {"seeds": 2, "surface": True, "surface_points": 5})
    result = study(config, tmp_path / "run", workers=1)
    first, second = result.study.retrained
    assert (first.seed, second.seed) == (0, 1)
    assert list(first.surface.minima) == [30, 60]
    assert first.surface.sizes[-1] == 100
    assert second.surface is None
    monkeypatch.setattr(run, "measure_retrained", None)
    assert without_seconds(study(config, tmp_path / "run", workers=1)) == without_seconds(result)
