"""What a release is made of agrees: one version, and files that are there."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import yaml

import suffice
from suffice.cli.main import INTERRUPTED, STATUSES

ROOT = Path(__file__).parents[1]


def test_the_version_stands_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "suffice.__version__"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert suffice.__version__ == citation["version"] == importlib.metadata.version("suffice")
    assert citation["license"] == project["project"]["license"]


def test_what_the_source_distribution_includes_is_there():
    names = re.findall(r"^include (.*)$", (ROOT / "MANIFEST.in").read_text(), re.MULTILINE)
    assert names
    assert [name for line in names for name in line.split() if not (ROOT / name).is_file()] == []


def test_the_container_has_the_torch_of_the_constraints():
    torch = re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert torch is not None
    assert torch.group() in (ROOT / "Containerfile").read_text()
    assert torch.group() in (ROOT / "Makefile").read_text()


def test_paths_in_the_guide_for_contributors_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:src|tests|docs|scripts|\.ci)/[\w./]*)`", text) + re.findall(r"python (\S+\.py)", text)
    assert len(paths) > 8
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_page_about_scripts_has_the_exit_statuses():
    page = (ROOT / "docs" / "command_line.md").read_text()
    documented = {int(status) for status in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert documented == {int(status) for status in re.findall(r"(?<![-\d])\d+", STATUSES)} | {INTERRUPTED}
