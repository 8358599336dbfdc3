"""What is read as a file of a folder is a file, whatever somebody has put in its place."""

import os
import socket

import pytest

from suffice.digest import digest
from suffice.errors import InputError
from suffice.regular import check_kinds, read_regular


def test_a_file_and_a_link_to_one_are_read_and_a_long_one_is_not(tmp_path):
    file = tmp_path / "one"
    file.write_bytes(b"losses")
    (tmp_path / "link").symlink_to(file)
    assert read_regular(file) == read_regular(tmp_path / "link", 6) == b"losses"
    with pytest.raises(OSError, match="longer than 5 bytes"):
        read_regular(file, 5)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "endless").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        for name in ("pipe", "folder", "endless", "socket"):
            with pytest.raises(OSError, match=r"regular file|[Dd]irectory|device"):
                read_regular(tmp_path / name)
            with pytest.raises(InputError, match=f"{name} is no file, .*: move it away"):
                check_kinds(tmp_path, [name], [])
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before


def test_values_that_are_nested_too_deep_are_refused():
    value = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(InputError, match="nested too deep"):
        digest(value)
