"""A run writes within its own folder, whatever links somebody put there."""

import pytest
from test_run_curve import curve_at, table

from suffice.errors import InputError


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious.txt").write_text("mine")
    return folder


def untouched(folder):
    return {file.name: file.read_text() for file in folder.iterdir()} == {"precious.txt": "mine"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["figures", "cells", "ledger/losses.zarr", ".replacement"])
def test_a_link_to_a_folder_is_refused_and_not_followed(tmp_path, outside, name, overwrite):
    source = table(tmp_path)
    curve_at(tmp_path, source, target=0.85)
    link = tmp_path / "run" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside, target_is_directory=True)
    with pytest.raises(InputError, match=rf"{name} is a link, .*: put in its place what it links to"):
        curve_at(tmp_path, source, overwrite=overwrite, target=0.85)
    assert untouched(outside)


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
