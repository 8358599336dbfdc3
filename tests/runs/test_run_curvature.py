"""``suffice curvature`` from a model and its samples to its result."""

import contextlib
import json
import math
import re

import numpy as np
import pytest
import torch

from suffice import InputError, Ledger
from suffice.configuration import CurvatureConfig
from suffice.errors import InputWarning
from suffice.results import read_result
from suffice.runs import curvature as run
from suffice.runs.classified import load
from suffice.runs.curvature import measure_curvature

CONFIG = CurvatureConfig(
    model="builtin:tiny-vit", data="builtin:digits", samples=40, method="head", epochs=3, count=3, points=3, draws=2
)
PARTS = ("_spectrum", "_layers", "_density", "_gaps")


def counted(monkeypatch):
    """The names of the parts that are measured from now on."""
    measured = []
    for name in PARTS:
        measure = getattr(run, name)

        def record(*arguments, name=name, measure=measure):
            measured.append(name)
            return measure(*arguments)

        monkeypatch.setattr(run, name, record)
    return measured


def test_a_run_measures_and_its_result_is_read_again(tmp_path):
    result = measure_curvature(CONFIG, tmp_path / "run")
    assert read_result(tmp_path / "run") == result
    assert (result.samples, result.moving_parameters, result.trained) == (40, 650, "head")
    assert [layer.parameters for layer in result.layers] == [650]
    values = [eigenvalue.value for eigenvalue in result.spectrum.eigenvalues]
    assert values == sorted(values, key=abs, reverse=True)
    # a block of a Hessian that is not negative: its largest eigenvalue is at most that of the whole
    assert 0.5 * values[0] < result.layers[0].largest.value <= values[0] * (1 + 1e-6)
    assert result.gaps.sizes == [1, 6, 39]
    # a head's Hessian is not negative
    assert result.spectrum.trace.value >= values[0] > 0


@pytest.mark.deep
def test_finished_parts_are_taken_as_they_are_and_damaged_ones_measured_again(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    expected = measure_curvature(CONFIG, folder)
    measured = counted(monkeypatch)
    assert measure_curvature(CONFIG, folder) == expected
    assert measured == []
    (folder / "curvature" / "layers.json").unlink()
    density = folder / "curvature" / "density.json"
    stored = json.loads(density.read_text())
    stored["content"]["grid"][0] += 1
    density.write_text(json.dumps(stored))
    with pytest.warns(InputWarning, match=r"density\.json is damaged .* computed again"):
        assert measure_curvature(CONFIG, folder) == expected
    assert measured == ["_layers", "_density"]


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    expected = measure_curvature(CONFIG, tmp_path / "whole")

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "_density", stop)
        with pytest.raises(KeyboardInterrupt):
            measure_curvature(CONFIG, tmp_path / "run")
    measured = counted(monkeypatch)
    assert measure_curvature(CONFIG, tmp_path / "run") == expected
    assert measured == ["_density", "_gaps"]


@pytest.mark.deep
def test_the_frozen_part_runs_once_and_changes_nothing(tmp_path, monkeypatch):
    config = CONFIG.model_copy(update={"method": "last_layers(1)", "samples": 12})
    cut = measure_curvature(config, tmp_path / "cut")
    monkeypatch.setattr(run, "split", lambda *arguments: None)
    whole = measure_curvature(config, tmp_path / "whole")
    assert cut.moving_parameters == whole.moving_parameters
    for one, other in zip(cut.spectrum.eigenvalues, whole.spectrum.eigenvalues, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-3)
    assert cut.gaps.hessian == pytest.approx(whole.gaps.hessian, rel=1e-2)


@pytest.mark.deep
def test_layers_are_called_as_in_the_whole_model_also_where_the_frozen_part_is_left_out(tmp_path):
    config = CONFIG.model_copy(update={"method": "last_layers(1)", "samples": 12})
    names = [layer.name for layer in measure_curvature(config, tmp_path / "cut").layers]
    assert names == ["vit.layers.3", "vit.layernorm", "classifier"]


@pytest.fixture
def few_products(monkeypatch):
    for name in ("TRACE_DRAWS", "LAYER_DRAWS", "DENSITY_STEPS"):
        monkeypatch.setattr(run, name, 4)


@pytest.mark.deep
def test_an_adapter_is_trained_and_measured(tmp_path, few_products):
    config = CONFIG.model_copy(update={"method": "lora(2)", "samples": 12, "count": 1, "points": 2})
    result = measure_curvature(config, tmp_path / "run")
    # queries and values of four layers of width 64, and the head
    assert result.moving_parameters == 4 * 2 * 2 * (64 + 64) + 650
    assert [layer.name for layer in result.layers] == [*(f"vit.layers.{i}" for i in range(4)), "classifier"]
    assert sum(layer.parameters for layer in result.layers) == result.moving_parameters
    stored = torch.load(tmp_path / "run" / "fine_tuning.pt", weights_only=True)
    assert sum(value.numel() for value in stored["moving"].values()) == result.moving_parameters
    assert any(bool(value.any()) for name, value in stored["moving"].items() if "lora_B" in name)
    one = load(config.model_copy(update={"lora_targets": ["v_proj"]}))[1].model
    moving = sum(parameter.numel() for parameter in one.parameters() if parameter.requires_grad)
    assert moving == 4 * 2 * (64 + 64) + 650


@pytest.mark.deep
def test_texts_of_different_lengths_are_measured_the_same_from_features_and_whole(
    tmp_path, monkeypatch, tiny_bert, reviews, few_products
):
    values = {"model": str(tiny_bert), "data": str(reviews), "method": "last_layers(1)", "samples": 20, "count": 1}
    config = CONFIG.model_copy(update=values | {"points": 2})
    kept = []
    problem = run._from_features

    def look(*arguments):
        found = problem(*arguments)
        kept.extend(found[0].dataset.features)
        return found

    monkeypatch.setattr(run, "_from_features", look)
    cut = measure_curvature(config, tmp_path / "cut")
    lengths = {len(features) for features in kept}
    assert len(kept) == 20
    assert len(lengths) > 1  # no sample has the padding of another
    monkeypatch.setattr(run, "_from_features", problem)
    monkeypatch.setattr(run, "split", lambda *arguments: None)
    whole = measure_curvature(config, tmp_path / "whole")
    assert [layer.name for layer in cut.layers] == [layer.name for layer in whole.layers]
    assert cut.spectrum.loss == pytest.approx(whole.spectrum.loss, rel=1e-5)
    assert cut.spectrum.eigenvalues[0].value == pytest.approx(whole.spectrum.eigenvalues[0].value, rel=1e-3)
    assert cut.gaps.hessian == pytest.approx(whole.gaps.hessian, rel=2e-2)


def test_a_run_says_what_it_takes_before_and_how_far_it_has_come(tmp_path):
    said, moved = [], {}

    class Listening(type(run.SILENT)):
        def say(self, sentence):
            said.append(sentence)

        @contextlib.contextmanager
        def progress(self, what, total=None):
            steps = moved.setdefault(what, [total])
            yield steps.append

    measure_curvature(CONFIG, tmp_path / "run", watch=Listening())
    assert len(said) == 2
    assert said[0].startswith("builtin:digits: 1,797 images of 10 classes")
    assert re.fullmatch(
        r"650 parameters, 40 samples, 3 eigenpairs: about \d+ s, 0\.\d+ GB; --samples 10 takes about \d+ s\.", said[1]
    )
    assert {"fine-tuning", "frozen part", "layers", "gaps along k"} <= moved.keys()
    for what, (total, *steps) in moved.items():
        assert sum(steps) == total or what == "eigenvalues"  # their number of products is a guess
    assert min(len(moved[what]) for what in ("eigenvalues", "spectral density")) > 40


@pytest.mark.parametrize("directions", ["random", "eigenvectors"])
def test_a_surface_is_measured_for_all_sizes_in_one_pass(tmp_path, directions):
    config = CONFIG.model_copy(update={"surface": directions, "surface_points": 5})
    result = measure_curvature(config, tmp_path / "run")
    assert read_result(tmp_path / "run") == result
    found = result.surface
    assert (found.directions, found.sizes[0], found.sizes[-1]) == (directions, 1, 40)
    assert len(found.sizes) <= 12
    largest = result.spectrum.eigenvalues[0].value
    # along eigenvectors to where a quadratic loss would be that of chance
    extent = 0.5 if directions == "random" else math.sqrt(2 * math.log(10) / largest) / result.center_norm
    assert found.x == found.y == pytest.approx([-extent, -extent / 2, 0, extent / 2, extent], rel=1e-3)
    losses = found.losses()
    assert losses.shape == (len(found.sizes), 5, 5)
    assert losses[-1, 2, 2] == pytest.approx(result.spectrum.loss, rel=1e-6)
    assert found.distance[-1] == found.at_center[-1] == found.chance[-1] == 0
    assert found.at_center == pytest.approx(np.abs(losses - losses[-1])[:, 2, 2], abs=1e-3)
    ledger = Ledger.open(tmp_path / "run" / "curvature" / f"surface_{directions}_5")
    assert ledger.losses.shape == (40, 25)
    if directions == "eigenvectors":
        step = extent / 2 * result.center_norm
        bent = (losses[-1, 2, 1] - 2 * losses[-1, 2, 2] + losses[-1, 2, 3]) / step**2
        assert bent == pytest.approx(largest, rel=0.3)


@pytest.mark.deep
def test_a_surface_is_added_to_a_finished_run_and_kept(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    without = measure_curvature(CONFIG, folder)
    assert without.surface is None
    measured = counted(monkeypatch)
    config = CONFIG.model_copy(update={"surface": "random", "surface_points": 5})
    result = measure_curvature(config, folder)
    assert measured == []
    assert result.gaps == without.gaps
    monkeypatch.setattr(run, "_surface", None)
    assert measure_curvature(config, folder) == result
    assert measure_curvature(CONFIG, folder).surface is None


@pytest.mark.deep
def test_an_interrupted_surface_goes_on(tmp_path, monkeypatch):
    config = CONFIG.model_copy(update={"surface": "random", "surface_points": 5, "batch_size": 8})
    monkeypatch.setattr("suffice.landscape.ledger.SHARD_SAMPLES", 8)
    expected = measure_curvature(config, tmp_path / "whole")
    measure = run.surface

    def stopped(problem, plane, store, batch_size, progress):
        def report(losses):
            progress(losses)
            if (store / "losses.zarr" / "c" / "1").exists():
                raise KeyboardInterrupt

        return measure(problem, plane, store, batch_size, report)

    with monkeypatch.context() as patched:
        patched.setattr(run, "surface", stopped)
        with pytest.raises(KeyboardInterrupt):
            measure_curvature(config, tmp_path / "run")
    measured = counted(monkeypatch)
    assert measure_curvature(config, tmp_path / "run") == expected
    assert measured == []


@pytest.mark.deep
def test_overwriting_measures_everything_again(tmp_path, monkeypatch):
    measure_curvature(CONFIG, tmp_path / "run")
    measured = counted(monkeypatch)
    result = measure_curvature(CONFIG.model_copy(update={"count": 2}), tmp_path / "run", overwrite=True)
    assert tuple(measured) == PARTS
    assert len(result.spectrum.eigenvalues) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 5000}, "samples = 5000: builtin:digits has 1797"),
        ({"parameters": ["nothing"]}, "no parameter matches 'nothing'"),
        ({"classes": ["3", "5"], "method": None}, "has no head for the 2 classes"),
    ],
)
def test_bad_input_is_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        measure_curvature(CONFIG.model_copy(update=change), tmp_path / "run")
