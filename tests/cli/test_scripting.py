"""Commands within scripts: the result as JSON, exit statuses, pipes, signals, completion."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suffice.cli.main import STATUSES, commands
from suffice.results.files import CHECKSUM

pytestmark = pytest.mark.usefixtures("without_figure_files")


def without_checksum(file):
    """What a result file holds, without the hash of it, which standard output has not."""
    content = json.loads(file.read_text())
    assert content.pop(CHECKSUM).startswith("blake2b:")
    return content


def process(*arguments, **options):
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "suffice", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_json_is_the_result_and_nothing_else(scores, tmp_path, suffice):
    done = suffice("curve", scores, "--target", "0.85", "--json", "--out", tmp_path / "run")
    assert done.returncode == 0
    assert json.loads(done.stdout) == without_checksum(tmp_path / "run" / "result.json")
    assert all(words in done.stderr for words in ("samples reach 85% accuracy", "Report: "))
    again = suffice("report", tmp_path / "run", "--json")
    assert again.stdout == done.stdout
    assert again.stderr.startswith("Report: ")


def test_a_comparison_is_for_people(scores, tmp_path, suffice):
    runs = [tmp_path / "a", tmp_path / "b"]
    for run in runs:
        assert suffice("curve", scores, "--out", run, "-q").returncode == 0
    done = suffice("report", *runs, "--out", tmp_path / "both", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "suffice: --json prints the result of one run, and a comparison has none: leave it out, or give one run\n"
    )
    assert not (tmp_path / "both").exists()
    done = suffice("report", *runs, "--out", tmp_path / "both")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"Report: {tmp_path / 'both' / 'report.html'}"
    assert suffice("report", *runs, "--out", tmp_path / "both", "-q") == (0, "", "")


def test_quiet_prints_errors_only(scores, tmp_path, suffice):
    asked = ["curve", scores, "--quiet", "--out", tmp_path / "run"]
    assert suffice(*asked) == (0, "", "")
    assert (tmp_path / "run" / "report.html").exists()
    assert suffice("report", "-q", tmp_path / "run") == (0, "", "")
    done = suffice(*asked, "--json")
    assert (done.returncode, done.stderr, json.loads(done.stdout)["command"]) == (0, "", "curve")
    done = suffice(*asked, "--target", "85")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_verbose_tells_the_steps(scores, tmp_path, suffice):
    done = suffice("curve", scores, "-v", "--out", tmp_path / "run")
    assert done.returncode == 0
    assert [line[11:].split(" ")[0] for line in done.stderr.splitlines()] == [
        "suffice",
        "curve",
        "curve:",
        "report",
        "report:",
    ]
    refused = suffice("curve", scores, "-v", "-q", "--out", tmp_path / "run")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_a_condition_decides_the_exit_status(scores, tmp_path, suffice):
    asked = ["curve", scores, "--out", tmp_path / "run", "--fail-if"]
    done = suffice(*asked, "accuracy<0.99 at 2000", "--json")
    assert (done.returncode, json.loads(done.stdout)["command"]) == (3, "curve")
    assert done.stderr.splitlines()[-1].startswith(
        'suffice: --fail-if "accuracy<0.99 at 2000" holds: the accuracy with '
    )
    done = suffice(*asked, "accuracy<0.6 at 2000", "--quiet")
    assert done == (0, "", "")
    done = suffice(*asked, "accuracy<0.6 at 2000", "--fail-if", "accuracy>0.6 at 2000", "-q")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    done = suffice(*asked, "accuracy<0.6 at 2000")
    assert done.returncode == 0
    assert "does not hold: the accuracy with 2,000 samples is " in done.stderr


def test_a_bad_condition_is_refused_before_anything_is_done(scores, tmp_path, suffice):
    for command in (["curve", scores], ["forecast", "builtin:tiny-vit", "builtin:digits"]):
        done = suffice(*command, "--fail-if", "accuracy<90 at 2000", "--out", tmp_path / "run")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "is it 0.9, in percent?" in done.stderr
        assert not (tmp_path / "run").exists()


def test_a_forecast_is_gated_by_its_curves(tmp_path, suffice):
    asked = ["forecast", "builtin:tiny-vit", "builtin:digits", "--samples", "200", "--l2", "0.01"]
    gates = ["--fail-if", "accuracy<0.3 at 1000", "--fail-if", "probability<0.99 at 201", "--fail-if", "size>100"]
    done = suffice(*asked, "--target-accuracy", "0.75", *gates, "--json", "--out", tmp_path / "run")
    assert done.returncode == 3
    result = json.loads(done.stdout)
    assert result == without_checksum(tmp_path / "run" / "result.json")
    passed, probability, size = done.stderr.splitlines()[-3:]
    assert passed.startswith('--fail-if "accuracy<0.3 at 1000" does not hold')
    assert probability.startswith('suffice: --fail-if "probability<0.99 at 201" holds: the probability to reach 75.0%')
    assert f"holds: {result['answers'][0]['size']:,} samples reach the target; 90% interval" in size


@pytest.mark.parametrize("command", [one.callback.__name__ for one in commands.registered_commands])
def test_exit_statuses_are_in_the_help_of_every_command(command, suffice, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    shown = suffice(command, "--help").stdout
    assert STATUSES in " ".join(shown.split())
    assert all(flag in shown for flag in ("--json", "--quiet", "--verbose"))


@pytest.mark.deep
def test_a_reader_who_has_left_changes_no_exit_status(scores, tmp_path):
    asked = ["curve", scores, "--out", tmp_path / "run", "--fail-if", "accuracy<0.99 at 2000"]
    for flags in ([], ["--json"]):
        running = process(*asked, *flags)
        running.stdout.close()
        said = running.stderr.read()
        assert running.wait() == 3
        assert "Error" not in said
        assert said.splitlines()[-1].startswith("suffice: --fail-if")


@pytest.mark.deep
@pytest.mark.parametrize("request_to_end", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.deep)])
def test_a_request_to_terminate_ends_a_run_as_ctrl_c_does(tmp_path, request_to_end):
    running = process("demo", "--out", tmp_path / "run")
    while not (tmp_path / "run" / "fine_tuning.pt").exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(request_to_end)
    _, said = running.communicate()
    assert running.returncode == 130
    assert said.splitlines()[-1] == "suffice: stopped; finished work is kept, and the same command resumes the run"
    assert "Traceback" not in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_completion_is_printed(shell):
    program = Path(sys.executable).with_name("suffice")
    environment = {**os.environ, "_SUFFICE_COMPLETE": f"source_{shell}"}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_COMPLETE=complete_" in done.stdout


def test_commands_and_flags_are_completed():
    def completed(words):
        environment = {"_SUFFICE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        code = "import sys; sys.argv[0] = 'suffice'; from suffice.cli import app; app()"
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        return done.stdout.split()

    assert completed("suffice cur") == ["curvature", "curve"]
    assert "--target-accuracy" in completed("suffice forecast --target")
