"""The commands as a person calls them."""

import errno
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from suffice.cli import main
from suffice.cli.answer import print_answer
from suffice.configuration import NO_FLAGS, WRITTEN, AnalyzeConfig, ForecastConfig, HessianConfig, StudyConfig


def suffice(*arguments):
    return subprocess.run([sys.executable, "-m", "suffice", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def analyze_help():
    return suffice("analyze", "--help").stdout


def test_every_key_of_the_configuration_is_a_flag_with_its_explanation(analyze_help):
    flags = [name for name in AnalyzeConfig.model_fields if name not in {"model", "data", *WRITTEN}]
    assert [name for name in flags if f"--{name.replace('_', '-')}" not in analyze_help] == []
    assert "suffice analyze ./my-classifier" in analyze_help


def test_bad_input_ends_in_one_line_and_status_2(tmp_path):
    done = suffice("analyze", "builtin:tiny-vit", "no/such/folder", "--out", str(tmp_path / "run"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("suffice: no/such/folder: no such file or folder")
    assert done.stderr.count("\n") == 1


def test_a_hessian_is_measured_reported_and_refused_with_other_settings(tmp_path):
    run = str(tmp_path / "run")
    small = ["--samples", "6", "--patch-size", "2", "--hidden-width", "3", "--epochs", "1", "--moments", "2"]
    done = suffice("hessian", *small, "--key-width", "4", "--out", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Hessian of 145 parameters, 6 samples" in done.stdout
    (tmp_path / "run" / "report.html").unlink()
    assert suffice("report", run).returncode == 0
    assert (tmp_path / "run" / "report.html").exists()
    other = suffice("hessian", *small, "--key-width", "2", "--out", run)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "another key_width" in other.stderr


def test_every_key_of_the_hessian_is_a_flag():
    shown = suffice("hessian", "--help").stdout
    flags = [name for name in HessianConfig.model_fields if name not in {"data", *WRITTEN}]
    assert [name for name in flags if f"--{name.replace('_', '-')}" not in shown] == []


def test_every_key_of_the_study_is_a_flag():
    shown = suffice("study", "--help").stdout
    flags = [name for name in StudyConfig.model_fields if name not in {"model", "data", *NO_FLAGS}]
    assert [name for name in [*flags, "workers", "out"] if f"--{name.replace('_', '-')}" not in shown] == []


def test_a_study_shows_its_curves_and_refuses_bad_sizes(tmp_path):
    data = ["study", "builtin:tiny-vit", "builtin:digits", "--samples", "120", "--out", str(tmp_path / "run")]
    small = ["--sizes", "30,60", "--seeds", "1", "--steps", "2", "--probes", "1", "--workers", "1"]
    done = suffice(*data, *small, "--class-subsets", "0,1,2,3,4", "--class-subsets", "5,6,7,8,9")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(word in done.stdout for word in ("head", "30", "60", "Note: ", str(tmp_path / "run")))
    for sizes, said in (("30,9000", "size 9,000: there are 84"), ("30,many", "sizes = ")):
        bad = suffice(*data, "--sizes", sizes)
        assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
        assert said in bad.stderr


def test_every_key_of_the_forecast_is_a_flag():
    shown = suffice("forecast", "--help").stdout
    flags = [name for name in ForecastConfig.model_fields if name not in {"model", "data", *WRITTEN}]
    assert [name for name in [*flags, "out"] if f"--{name.replace('_', '-')}" not in shown] == []


def test_a_forecast_answers_and_its_report_can_be_written_anew(tmp_path):
    run = str(tmp_path / "run")
    asked = ["forecast", "builtin:tiny-vit", "builtin:digits", "--samples", "200", "--l2", "0.01", "--out", run]
    done = suffice(*asked, "--target-accuracy", "0.8", "--sizes", "400,1000")
    assert (done.returncode, done.stderr) == (0, "")
    shown = " ".join(done.stdout.split())  # lines are broken to the width of the terminal
    assert all(word in shown for word in ("1,000", "should bring the accuracy from", run))
    (tmp_path / "run" / "report.html").unlink()
    assert suffice("report", run).returncode == 0
    assert (tmp_path / "run" / "report.html").exists()
    bad = suffice(*asked, "--target-accuracy", "80")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    assert "target_accuracy" in bad.stderr


def test_interruption_is_said_in_one_line(tmp_path):
    command = [sys.executable, "-m", "suffice", "demo", "--out", str(tmp_path / "run")]
    # a shell that runs the tests in the background has them, and what they begin, ignore Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    while not (tmp_path / "run" / "fine_tuning.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said.count("\n")) == (130, 1)
    assert "the same command goes on from there" in said


def test_usage_errors_are_one_line():
    done = suffice("analyze", "--probes", "many")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--probes" in done.stderr


def test_full_disk_is_said_in_one_line(monkeypatch, capsys):
    def full(**_):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            # as torch.save does
            raise RuntimeError("unexpected pos 582784 vs 582672")  # noqa: B904

    monkeypatch.setattr(main, "commands", full)
    with pytest.raises(SystemExit) as stop:
        main.app()
    assert stop.value.code == 2
    assert "disk is full; what was finished is kept" in capsys.readouterr().err


def test_errors_of_the_program_itself_are_not_hidden(monkeypatch):
    def broken(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(main, "commands", broken)
    with pytest.raises(ZeroDivisionError):
        main.app()


def test_answer_states_every_size_and_where_the_report_is(small_run):
    folder, result = small_run
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115
    print_answer(result, folder, console)
    text = console.export_text()
    assert result.sufficient_sizes[0].explanation in text
    assert all(f"{answer.size:,}" in text for answer in result.sufficient_sizes)
    assert str(folder / "report.html") in text


def test_report_is_written_anew_from_the_result(small_run, tmp_path):
    folder, _ = small_run
    (tmp_path / "result.json").write_bytes((folder / "result.json").read_bytes())
    assert suffice("report", str(tmp_path)).returncode == 0
    assert (tmp_path / "report.html").read_bytes() == (folder / "report.html").read_bytes()
    (tmp_path / "result.json").write_text('{"schema_version": 99}')
    done = suffice("report", str(tmp_path))
    assert done.returncode == 2
    assert "not a result of this version" in done.stderr


def test_the_base_experiment_is_analyzed_reported_and_refuses_keys_of_other_models(tmp_path):
    run, file = str(tmp_path / "run"), tmp_path / "config.yaml"
    file.write_text("model: builtin:mlp\ntargets: [linear]\nwidths: [2]\ndepths: [1]\nsamples: 60\nradii: [0.1]\n")
    done = suffice("analyze", "--config", str(file), "--epochs", "1", "--out", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mean over networks: 1" in done.stdout
    written = (tmp_path / "run" / "report.html").read_bytes()
    (tmp_path / "run" / "report.html").unlink()
    assert suffice("report", run).returncode == 0
    assert (tmp_path / "run" / "report.html").read_bytes() == written
    other = suffice("analyze", "--config", str(file), "--radius", "0.2", "--out", run)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "unknown key 'radius'; did you mean \"radii\"?" in other.stderr
