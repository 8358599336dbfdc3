"""Hashes of files are taken from the cache only where the file cannot have changed."""

import hashlib
import os
import time

import pytest

from suffice import file_digests
from suffice.errors import InputError
from suffice.file_digests import YOUNG, digest_of_bytes, digests_of_files


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """An old file, and the files that were read."""
    monkeypatch.setenv("SUFFICE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(file_digests, "YOUNG", 0)
    file, read = tmp_path / "data" / "one.bin", []
    file.parent.mkdir()
    file.write_bytes(b"one")
    time.sleep(0.02)
    original = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda stream, kind: read.append(stream.name) or original(stream, kind))
    return file, read


def test_a_file_that_has_not_changed_is_hashed_once(hashed):
    file, read = hashed
    expected = [digest_of_bytes(b"one")]
    assert [digests_of_files([file]) for _ in range(3)] == [expected] * 3
    assert read == [str(file)]


def test_a_change_of_equal_size_and_time_is_noticed(hashed):
    file, _ = hashed
    digests_of_files([file])
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests_of_files([file]) == [digest_of_bytes(b"two")]


def test_another_file_in_its_place_is_noticed(hashed):
    file, _ = hashed
    digests_of_files([file])
    before, other = file.stat(), file.with_name("other.bin")
    other.write_bytes(b"two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert digests_of_files([file]) == [digest_of_bytes(b"two")]


def test_a_file_as_young_as_the_cache_is_hashed_again(hashed, monkeypatch):
    file, read = hashed
    monkeypatch.setattr(file_digests, "YOUNG", YOUNG)
    assert digests_of_files([file]) == digests_of_files([file])
    assert len(read) == 2
    assert YOUNG >= 1_000_000_000


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b'{"checksum": "", "files": {}}', b"\xff"])
def test_a_damaged_cache_is_none(hashed, content):
    file, read = hashed
    digests_of_files([file])
    (cache,) = (file.parents[1] / "cache").rglob("*.sealed")
    whole = cache.read_bytes()
    for damaged in (content, whole.replace(digest_of_bytes(b"one").encode(), digest_of_bytes(b"two").encode())):
        cache.write_bytes(damaged)
        assert digests_of_files([file]) == [digest_of_bytes(b"one")]
    assert len(read) == 3


def test_a_cache_that_cannot_be_written_is_none(hashed, monkeypatch):
    file, _ = hashed
    monkeypatch.setenv("SUFFICE_CACHE", str(file))
    assert digests_of_files([file]) == [digest_of_bytes(b"one")]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="none.bin: cannot be read"):
        digests_of_files([tmp_path / "none.bin"])
    assert digests_of_files([]) == []
