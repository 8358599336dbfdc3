"""Files with a list of their hashes: what is wrong with them is said, and no other file is read."""

import json
import os

import pytest

from suffice.digest import digest
from suffice.storage.manifest import MANIFEST, faults_of_files, write_manifest


@pytest.fixture
def page(tmp_path):
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    files = [folder / "report.md", folder / "figures" / "curve.png"]
    for file in files:
        file.write_text("90%")
    write_manifest(folder, files)
    return folder


def listed(folder, name):
    hashes = {name: digest(b"")}
    (folder / MANIFEST).write_text(json.dumps({"files": hashes, "checksum": digest(hashes)}))


def test_whole_files_have_no_faults_and_others_are_named(page):
    assert faults_of_files(page) == []
    (page / "report.md").write_text("99%")
    (page / "figures" / "curve.png").unlink()
    missing, damaged = faults_of_files(page)
    assert missing == f"{page / 'figures' / 'curve.png'} is missing"
    assert damaged == f"{page / 'report.md'} is damaged, or was edited (its checksum does not match)"


@pytest.mark.parametrize("content", [b"", b"[" * 10**5, b"[]", b'{"files": {}}', b'{"files": 3, "checksum": ""}'])
def test_a_damaged_list_is_said(page, content):
    (page / MANIFEST).write_bytes(content)
    assert faults_of_files(page) == [f"{page / MANIFEST} is damaged (its checksum does not match)"]


def test_no_file_outside_is_read(page, tmp_path):
    (tmp_path / "secret").write_text("mine")
    (page / "link").symlink_to(tmp_path / "secret")
    for name in (str(tmp_path / "secret"), "../secret", "link"):
        listed(page, name)
        assert faults_of_files(page) == [f"{page / MANIFEST} lists {name!r}, which is not in the folder"]


def test_what_is_no_file_is_missing_and_not_waited_for(page):
    os.mkfifo(page / "fifo")
    for name in ("fifo", "figures", "a\0b"):
        listed(page, name)
        assert faults_of_files(page) == [f"{page / name} is missing"]
