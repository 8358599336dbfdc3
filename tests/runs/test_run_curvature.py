"""``suffice curvature`` from a model and its samples to its result."""

import json

import pytest

from suffice import InputError
from suffice.configuration import CurvatureConfig
from suffice.results import read_result
from suffice.runs import curvature as run
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
    assert result.layers[0].largest.value == pytest.approx(values[0], rel=1e-2)
    assert result.gaps.sizes == [1, 6, 39]
    # a head's Hessian is not negative
    assert result.spectrum.trace.value >= values[0] > 0


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


def test_the_frozen_part_runs_once_and_changes_nothing(tmp_path, monkeypatch):
    config = CONFIG.model_copy(update={"method": "last_layers(1)", "samples": 12})
    cut = measure_curvature(config, tmp_path / "cut")
    monkeypatch.setattr(run, "split", lambda *arguments: None)
    whole = measure_curvature(config, tmp_path / "whole")
    assert cut.moving_parameters == whole.moving_parameters
    for one, other in zip(cut.spectrum.eigenvalues, whole.spectrum.eigenvalues, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-3)
    assert cut.gaps.hessian == pytest.approx(whole.gaps.hessian, rel=1e-2)


def test_a_run_says_what_it_takes_before(tmp_path):
    said = []

    class Listening(type(run.SILENT)):
        def say(self, sentence):
            said.append(sentence)

    measure_curvature(CONFIG, tmp_path / "run", watch=Listening())
    assert len(said) == 1
    assert said[0].startswith("650 parameters, 40 samples: about ")
    assert "GB of graphs" in said[0]


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
