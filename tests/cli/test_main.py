"""The commands as a person calls them."""

import errno
import io
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from rich.console import Console

from suffice.cli import main
from suffice.cli.answer import print_answer
from suffice.configuration import (
    NO_FLAGS,
    WRITTEN,
    AnalyzeConfig,
    CurvatureConfig,
    CurveConfig,
    ForecastConfig,
    HessianConfig,
    MonitorConfig,
    StudyConfig,
)

SHARED_OUT = {"workers", "engine", "address", "gpus_per_task"}
KEYS = {
    "analyze": set(AnalyzeConfig.model_fields) - {"model", "data", *WRITTEN}
    | {"fine_tune", *SHARED_OUT, "out", "config"},
    "curvature": set(CurvatureConfig.model_fields) - {"model", "data", *WRITTEN} | {"out", "config"},
    "hessian": set(HessianConfig.model_fields) - WRITTEN | {"out", "config"},
    "study": set(StudyConfig.model_fields) - {"model", "data", *NO_FLAGS} | {*SHARED_OUT, "out", "config"},
    "forecast": set(ForecastConfig.model_fields) - {"model", "data", *WRITTEN} | {*SHARED_OUT, "out", "config"},
    "curve": set(CurveConfig.model_fields) - {"scores", *WRITTEN} | {"out", "config"},
    "monitor": set(MonitorConfig.model_fields) - {"scores", *WRITTEN} | {"out", "config", "report_every"},
}


@pytest.mark.parametrize("command", KEYS)
def test_every_key_is_a_flag_and_there_are_examples(command, suffice, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = suffice(command, "--help").stdout
    flags = {f"--{name.replace('_', '-')}" for name in KEYS[command] - {"data"}}
    assert {flag for flag in flags if not re.search(rf"{flag}\b", shown)} == set()
    assert "Example" in shown
    assert f"suffice {command}" in shown


@pytest.mark.parametrize("command", ["demo", "report"])
def test_commands_without_keys_have_an_example(command, suffice):
    assert f"suffice {command} " in suffice(command, "--help").stdout


def test_without_a_command_the_help_lists_all(suffice):
    assert suffice().stdout == suffice("--help").stdout
    assert all(command in suffice().stdout for command in [*KEYS, "demo", "report"])


def test_bad_input_ends_in_one_line_and_status_2(tmp_path, suffice):
    done = suffice("analyze", "builtin:tiny-vit", "no/such/folder", "--out", str(tmp_path / "run"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("suffice: no/such/folder: no such file or folder")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("flags", [("--fine-tune", "head", "--method", "full"), ("--method=full", "--fine-tune=head")])
def test_a_flag_given_under_both_its_names_is_refused(tmp_path, suffice, flags):
    done = suffice("analyze", "builtin:tiny-vit", "builtin:digits", *flags, "--out", tmp_path / "run")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "method = 'full' and fine_tune = 'head': these are two names of one setting; give one of them" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.deep
@pytest.mark.usefixtures("without_figure_files")
def test_a_hessian_is_measured_reported_and_refused_with_other_settings(tmp_path, suffice):
    run = str(tmp_path / "run")
    small = ["--samples", "6", "--patch-size", "2", "--hidden-width", "3", "--epochs", "1", "--moments", "2"]
    done = suffice("hessian", *small, "--key-width", "4", "--out", run)
    assert done.returncode == 0
    assert done.stdout.startswith("After training, ")
    assert "145 parameters, 6 samples" in (tmp_path / "run" / "report.md").read_text()
    (tmp_path / "run" / "report.html").unlink()
    assert suffice("report", run).returncode == 0
    assert (tmp_path / "run" / "report.html").exists()
    other = suffice("hessian", *small, "--key-width", "2", "--out", run)
    of_data, refused = other.stderr.splitlines()
    assert (other.returncode, "1,797 images of 10 classes" in of_data) == (2, True)
    assert "other settings (key_width: 4, now 2)" in refused


@pytest.mark.usefixtures("without_figure_files")
def test_a_study_shows_its_curves_and_refuses_bad_sizes(tmp_path, suffice):
    data = ["study", "builtin:tiny-vit", "builtin:digits", "--samples", "120", "--out", str(tmp_path / "run")]
    small = ["--sizes", "30,60", "--seeds", "1", "--steps", "2", "--probes", "1", "--workers", "1"]
    done = suffice(*data, *small, "--class-subsets", "0,1,2,3,4", "--class-subsets", "5,6,7,8,9")
    assert done.returncode == 0
    assert "trainings" in done.stderr
    assert all(word in done.stdout for word in ("head", "30", "60", "Note: ", str(tmp_path / "run")))
    for sizes, said in (("30,9000", "size 9,000: there are 84"), ("30,many", "sizes = ")):
        bad = suffice(*data, "--sizes", sizes)
        assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
        assert said in bad.stderr


@pytest.mark.usefixtures("without_figure_files")
def test_a_forecast_answers_and_its_report_can_be_written_anew(tmp_path, suffice):
    run = str(tmp_path / "run")
    asked = ["forecast", "builtin:tiny-vit", "builtin:digits", "--samples", "200", "--l2", "0.01", "--out", run]
    done = suffice(*asked, "--target-accuracy", "0.75", "--sizes", "400,1000")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert done.stderr.startswith("builtin:digits: 1,797 images of 10 classes")
    shown = " ".join(done.stdout.split())  # lines are broken to the width of the terminal
    assert all(word in shown for word in ("1,000", "samples reach 75% accuracy", "Confidence:", run))
    (tmp_path / "run" / "report.html").unlink()
    assert suffice("report", run).returncode == 0
    assert (tmp_path / "run" / "report.html").exists()
    bad = suffice(*asked, "--target-accuracy", "80")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    assert "target_accuracy" in bad.stderr


@pytest.mark.usefixtures("without_figure_files")
def test_a_curve_answers_from_tables_and_folders_and_is_replayed_by_its_configuration(tmp_path, suffice):
    (tmp_path / "scores.csv").write_text("size,f1\n100,0.70\n200,0.76\n400,0.80\n")
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "metrics.csv").write_text("step,f1\n9,0.83\n")
    run, large = tmp_path / "run", tmp_path / "large"
    asked = ["curve", tmp_path / "scores.csv", large, "--score-column", "f1", "--size-of", f"{large}=800"]
    done = suffice(*asked, "--target", "0.85", "--assurance", "0.6", "--sizes", "1000,3000", "--out", run)
    assert (done.returncode, done.stderr) == (0, "")
    shown = " ".join(done.stdout.split())  # lines are broken to the width of the terminal
    assert "samples reach 85% accuracy with probability 60%: " in shown
    assert all(word in shown for word in ("1,000", "3,000", "P(85%)", "Train ", str(run)))
    written = (run / "result.json").read_bytes()
    (run / "report.html").unlink()
    assert suffice("report", run).returncode == 0
    assert (run / "report.html").exists()
    assert suffice("curve", "--config", run / "config.yaml", "--out", tmp_path / "again").returncode == 0
    assert (tmp_path / "again" / "result.json").read_bytes() == written
    bad = suffice(*asked, "--target", "85", "--out", run)
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)
    assert "is it 0.85, in percent?" in bad.stderr


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
    assert process.returncode == 130
    assert said.splitlines()[-1] == "suffice: stopped; finished work is kept, and the same command resumes the run"
    assert "Traceback" not in said


def test_usage_errors_are_one_line(suffice):
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
    assert "disk is full; finished work is kept" in capsys.readouterr().err


def test_a_lost_gpu_is_said_in_one_line(monkeypatch, capsys):
    def lost(**_):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(main, "commands", lost)
    with pytest.raises(SystemExit) as stop:
        main.app()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "the GPU is lost (AcceleratorError: CUDA error: unspecified launch failure); finished work is kept" in said
    assert said.count("\n") == 1


def test_errors_of_the_program_itself_are_not_hidden(monkeypatch):
    def broken(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(main, "commands", broken)
    with pytest.raises(ZeroDivisionError):
        main.app()


def test_answer_states_every_size(small_run):
    _, result = small_run
    console = Console(record=True, width=200, file=io.StringIO())
    print_answer(result, console)
    text = console.export_text()
    assert f"The loss measured on your {result.problem.samples:,} samples is within" in text
    assert all(f"{answer.size:,}" in text for answer in result.sufficient_sizes)


def test_report_is_written_anew_from_the_result(small_run, small_report, tmp_path, suffice):
    folder, _ = small_run
    (tmp_path / "result.json").write_bytes((folder / "result.json").read_bytes())
    assert suffice("report", tmp_path).returncode == 0
    assert (tmp_path / "report.html").read_bytes() == (small_report / "report.html").read_bytes()
    (tmp_path / "result.json").write_text('{"schema_version": 99}')
    done = suffice("report", str(tmp_path))
    assert done.returncode == 2
    assert "not a result of this version" in done.stderr


@pytest.mark.deep
@pytest.mark.usefixtures("without_figure_files")
def test_the_mlp_experiment_is_analyzed_reported_and_refuses_keys_of_other_models(tmp_path, suffice):
    run, file = str(tmp_path / "run"), tmp_path / "config.yaml"
    file.write_text("model: builtin:mlp\ntargets: [linear]\nwidths: [2]\ndepths: [1]\nsamples: 60\nradii: [0.1]\n")
    done = suffice("analyze", "--config", str(file), "--epochs", "1", "--out", run)
    assert done.returncode == 0
    assert "mean over networks: 1" in done.stdout
    written = (tmp_path / "run" / "report.html").read_bytes()
    (tmp_path / "run" / "report.html").unlink()
    assert suffice("report", run).returncode == 0
    assert (tmp_path / "run" / "report.html").read_bytes() == written
    other = suffice("analyze", "--config", str(file), "--radius", "0.2", "--out", run)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "unknown key 'radius'; did you mean \"radii\"?" in other.stderr
