"""A run writes within its own folder, whatever links somebody put there."""

import pytest
from test_run_curve import curve_at, table


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.txt").write_text("mine")
    return folder


def untouched(folder):
    return {file.name: file.read_text() for file in folder.iterdir()} == {"precious.txt": "mine"}


@pytest.mark.parametrize("name", ["figures", "cells", "features", "curvature"])
def test_overwriting_a_run_does_not_follow_a_link_to_a_folder(tmp_path, outside, name):
    source = table(tmp_path)
    curve_at(tmp_path, source, target=0.85)
    (tmp_path / "run" / name).symlink_to(outside, target_is_directory=True)
    curve_at(tmp_path, table(tmp_path, sizes=[100, 200, 400, 900]), overwrite=True, target=0.85)
    assert untouched(outside)
    assert not (tmp_path / "run" / name).is_symlink()


@pytest.mark.parametrize("name", ["result.json", "config.yaml"])
def test_a_run_replaces_a_link_in_the_place_of_its_file(tmp_path, outside, name):
    source = table(tmp_path)
    curve_at(tmp_path, source, target=0.85)
    file = tmp_path / "run" / name
    content = file.read_text()
    (outside / "precious.txt").write_text(content)
    file.unlink()
    file.symlink_to(outside / "precious.txt")
    curve_at(tmp_path, source, target=0.8)
    assert (outside / "precious.txt").read_text() == content
