"""``suffice forecast`` in several processes: the bits of one, whatever is killed on the way."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from suffice.configuration import ForecastConfig, read_configuration
from suffice.errors import InputError, InputWarning
from suffice.runs import evidence
from suffice.runs.forecast import forecast
from suffice.runs.methods import forecast_methods

SMALL = {
    "model": "builtin:tiny-vit",
    "data": "builtin:digits",
    "samples": 120,
    "method": "last_layers(1)",
    "steps": 60,
    "train_batch_size": 16,
    "sizes": [240],
}


def config_of(**values):
    return read_configuration(ForecastConfig, SMALL | values)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    result = forecast(config_of(), folder)
    torch.set_num_threads(before)
    return folder, result


def stored(folder):
    """Weights of trainings, frozen features and the evidence, which take no times."""
    return {
        path.relative_to(folder): path.read_bytes()
        for part in ("trainings", "features", "evidence")
        for path in (folder / part).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def kill_a_worker_after(folder, count, killed):
    """Kills one of this process's workers as soon as so many trainings are stored."""

    def watch():
        end = time.monotonic() + 180
        while time.monotonic() < end:
            if len(list(folder.glob("trainings/*.json"))) >= count and multiprocessing.active_children():
                victim = multiprocessing.active_children()[0]
                os.kill(victim.pid, signal.SIGKILL)
                killed.append(victim.pid)
                return
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.deep
def test_two_workers_store_the_bits_of_one_process_also_where_one_is_killed(alone, tmp_path):
    folder, result = alone
    killed = []
    thread = kill_a_worker_after(tmp_path / "run", 2, killed)
    with pytest.warns(InputWarning, match="begun again"):
        found = forecast(config_of(), tmp_path / "run", workers=2)
    thread.join()
    assert len(killed) == 1
    assert found.model_dump_json() == result.model_dump_json()
    assert len([name for name in stored(folder) if name.suffix == ".safetensors"]) == 8
    assert any("features" in name.parts for name in stored(folder))
    assert stored(tmp_path / "run") == stored(folder)
    assert multiprocessing.active_children() == []


@pytest.mark.deep
def test_a_run_of_two_workers_that_is_killed_goes_on_in_one_process(alone, tmp_path, monkeypatch):
    folder, result = alone
    run = tmp_path / "run"
    program = (
        "from suffice.configuration import ForecastConfig; from suffice.runs.forecast import forecast\n"
        f"if __name__ == '__main__': forecast(ForecastConfig(**{SMALL!r}), __import__('pathlib').Path({str(run)!r}), "
        "workers=2)"
    )
    file = tmp_path / "program.py"
    file.write_text(program)
    with subprocess.Popen([sys.executable, str(file)]) as process:
        end = time.monotonic() + 180
        while len(list(run.glob("trainings/*.json"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        process.kill()
    trained, kept = [], evidence.fine_tune
    monkeypatch.setattr(evidence, "fine_tune", lambda *given, **more: trained.append(given) or kept(*given, **more))
    assert forecast(config_of(), run).model_dump_json() == result.model_dump_json()
    assert 0 < len(trained) <= 5
    assert stored(run) == stored(folder)


@pytest.mark.deep
def test_methods_share_the_workers(alone, tmp_path):
    config = config_of(method="head,last_layers(1)", samples=100, steps=5, target_accuracy=0.8)
    one, two = (forecast_methods(config, tmp_path / str(count), workers=count) for count in (1, 2))
    assert two.model_dump_json() == one.model_dump_json()


def test_workers_are_a_positive_number(tmp_path):
    with pytest.raises(InputError, match="workers = 0: must be at least 1"):
        forecast(config_of(), tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


def test_a_recording_takes_no_workers(tmp_path, suffice):
    done = suffice("forecast", "--from", "absent.json", "--workers", "2", "--out", tmp_path / "run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--from trains nothing: leave out --workers and --engine" in done.stderr
