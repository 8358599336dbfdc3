"""What is imported before it is needed: nothing heavy, by the package or by the command line's help."""

import ast
import subprocess
import sys

import pytest

import suffice

HEAVY = ("torch", "ray", "scipy", "matplotlib", "pandas", "plotly", "transformers", "peft", "sklearn", "zarr")
COMMANDS = (
    "demo",
    "check",
    "analyze",
    "curvature",
    "hessian",
    "study",
    "forecast",
    "curve",
    "monitor",
    "report",
    "status",
)


def imported(code):
    """The heavy packages that are there after some code, in a process of its own."""
    code += f"\nimport sys; print('heavy:', sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.strip().rpartition("heavy: ")[2]


@pytest.mark.parametrize("module", ["", ".errors", ".configuration", ".cli", ".results", ".runs.watch"])
def test_modules_that_are_light(module):
    assert imported(f"import suffice{module}") == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)])
def test_help_is_light(arguments):
    code = f"from suffice.cli.main import commands; commands({arguments}, standalone_mode=False)"
    assert imported(code) == "[]"


def test_a_curve_through_scores_needs_no_torch(tmp_path):
    (tmp_path / "scores.csv").write_text("size,score\n100,0.7\n200,0.76\n400,0.8\n800,0.83\n")
    arguments = ["curve", str(tmp_path / "scores.csv"), "--target", "0.85", "--out", str(tmp_path / "run")]
    heavy = imported(f"from suffice.cli.main import commands; commands({arguments}, standalone_mode=False)")
    assert (tmp_path / "run" / "report.html").exists()
    assert not {"torch", "transformers", "peft"} & set(ast.literal_eval(heavy))


def test_every_command_is_looked_at_here():
    from suffice.cli.main import commands  # noqa: PLC0415

    assert {command.callback.__name__ for command in commands.registered_commands} == set(COMMANDS)


def test_public_names_are_listed_and_there():
    names = dir(suffice)
    assert {"Problem", "Probes", "record", "Ledger", "Convergence", "SufficientSize", "LearningCurve"} <= set(names)
    assert {"forecast", "forecast_head", "study", "InputError", "closed_form", "curvature", "results"} <= set(names)
    assert all(getattr(suffice, name) is not None for name in names)
    assert names == sorted(suffice.__all__)


def test_submodules_are_attributes_in_a_fresh_process():
    code = "import suffice; print(suffice.closed_form.hessian, suffice.results.Band, suffice.curvature.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "suffice.curvature" in done.stdout


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        suffice.no_such_name  # noqa: B018
