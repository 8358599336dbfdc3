import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import LocalStore

from suffice import InputError, storage
from suffice.digest import digest
from suffice.errors import InputWarning
from suffice.storage import LOCK, RowShards, atomic_write, differences, locked, locking, owner_of, waiting

pytestmark = pytest.mark.filterwarnings("default::suffice.errors.InputWarning")  # of damaged shards

IDENTITY = {"what": "a test", "numbers": [0.1, 2.0], "nested": {"seed": 0}}
SHAPE = (7, 2)
VALUES = np.arange(14.0).reshape(SHAPE)


def shards_in(path, identity=IDENTITY, shape=SHAPE, shard_rows=3, dtype="float64"):
    return RowShards.resume(path, shape, shard_rows, identity, dtype)


@pytest.fixture(params=["memory", "disk"])
def shards(request, tmp_path):
    return shards_in(None if request.param == "memory" else tmp_path / "array")


@given(rows=st.integers(1, 40), shard_rows=st.integers(1, 50))
def test_shards_cut_the_rows_into_pieces_without_gaps(rows, shard_rows):
    pieces = RowShards.resume(None, (rows, 1), shard_rows, {}).shards()
    assert [row for piece in pieces for row in range(piece.start, piece.stop)] == list(range(rows))
    assert all(piece.stop - piece.start == shard_rows for piece in pieces[:-1])


def test_what_is_written_is_read_and_no_longer_missing(shards):
    assert shards.missing() == shards.shards() == [slice(0, 3), slice(3, 6), slice(6, 7)]
    shards.write(slice(3, 6), VALUES[3:6])
    assert shards.missing() == [slice(0, 3), slice(6, 7)]
    assert np.array_equal(shards.read(slice(3, 6)), VALUES[3:6])
    for unread in (slice(0, 3), slice(2, 4), slice(None)):
        with pytest.raises(InputError, match="is missing"):
            shards.read(unread)
    for rows in shards.missing():
        shards.write(rows, VALUES[rows])
    assert shards.missing() == []
    assert np.array_equal(shards.read(), VALUES)


@given(seed=st.integers(0, 2**32))
def test_values_keep_their_bits(seed):
    values = np.random.default_rng(seed).normal(size=SHAPE) * 10.0 ** np.random.default_rng(seed).integers(-300, 300)
    shards = shards_in(None)
    for rows in shards.shards():
        shards.write(rows, values[rows])
    assert shards.read().tobytes() == values.tobytes()


def test_an_array_on_disk_is_continued(tmp_path):
    shards_in(tmp_path / "array").write(slice(0, 3), VALUES[:3])
    again = shards_in(tmp_path / "array")
    assert again.missing() == [slice(3, 6), slice(6, 7)]
    again.write(slice(6, 7), VALUES[6:])
    again.write(slice(3, 6), VALUES[3:6])
    opened = RowShards.open(tmp_path / "array")
    assert np.array_equal(opened.read(), VALUES)
    assert opened.shards() == again.shards()
    assert opened.missing() == []
    assert opened.identity == IDENTITY


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"identity": IDENTITY | {"what": "another"}}, "what"),
        ({"identity": IDENTITY | {"nested": {"seed": 1}}}, "nested"),
        ({"identity": IDENTITY | {"new": 1}}, "new"),
        ({"shape": (8, 2)}, r"shape: \[7, 2\], now \[8, 2\]"),
        ({"shape": (7, 3)}, "shape"),
        ({"shard_rows": 2}, "shard_rows: 3, now 2"),
        ({"dtype": "float32"}, "dtype: float64, now float32"),
        ({"identity": {key: value for key, value in IDENTITY.items() if key != "what"}}, "what: a test, now not set"),
        ({"identity": IDENTITY | {"what": digest("another")}}, "what: changed"),
    ],
)
def test_an_array_of_another_identity_is_refused_and_kept(tmp_path, arguments, named):
    shards_in(tmp_path / "array").write(slice(0, 3), VALUES[:3])
    with pytest.raises(InputError, match=named) as refusal:
        shards_in(tmp_path / "array", **arguments)
    assert "\n" not in str(refusal.value)
    assert np.array_equal(shards_in(tmp_path / "array").read(slice(0, 3)), VALUES[:3])


def test_a_folder_without_an_array_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match="no stored array"):
        RowShards.open(tmp_path)


def test_the_file_of_a_shard_that_was_not_finished_does_not_count(tmp_path):
    def shard_files():
        return {file for file in tmp_path.rglob("*") if file.is_file() and file.name != "zarr.json"}

    shards = shards_in(tmp_path)
    shards.write(slice(0, 3), VALUES[:3])
    before = shard_files()
    shards.write(slice(3, 6), VALUES[3:6])
    [second] = shard_files() - before
    half = second.read_bytes()[:20]
    second.unlink()
    second.with_name(f"{second.name}.0123456789abcdef.partial").write_bytes(half)  # as zarr names what it is writing
    again = shards_in(tmp_path)
    assert again.missing() == [slice(3, 6), slice(6, 7)]
    assert np.array_equal(again.read(slice(0, 3)), VALUES[:3])


# damage


def filled(path, values=VALUES, **arguments):
    shards = shards_in(path, shape=values.shape, **arguments)
    for rows in shards.missing():
        shards.write(rows, values[rows])
    return shards


def chunk(path, number):
    return path / "c" / str(number) / "0"


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_of_a_shard_is_noticed(tmp_path):
    shards = filled(tmp_path, VALUES[:3])
    file = chunk(tmp_path, 0)
    content = file.read_bytes()
    assert len(content) == 3 * 2 * 8 + 4  # the values and their checksum
    for bit in range(8 * len(content)):
        file.write_bytes(flipped(content, bit))
        assert shards.missing() == [slice(0, 3)], bit
    file.write_bytes(content)
    assert shards.missing() == []


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 48, 51, 53, 104])
def test_a_shard_of_another_length_is_noticed(tmp_path, length):
    shards = filled(tmp_path)
    content = chunk(tmp_path, 1).read_bytes()
    for replaced in ((content * 2)[:length], bytes(length)):
        chunk(tmp_path, 1).write_bytes(replaced)
        assert shards.missing() == [slice(3, 6)]
        assert np.array_equal(shards.read(slice(0, 3)), VALUES[:3])


def damage_bit(file):
    file.write_bytes(flipped(file.read_bytes(), 37))


def empty(file):
    file.write_bytes(b"")


def delete(file):
    file.unlink()


def delete_folder(file):
    shutil.rmtree(file.parent)


DAMAGES = {"flipped bit": damage_bit, "empty": empty, "deleted": delete, "deleted folder": delete_folder}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_shard_is_refused_by_name_and_written_again(tmp_path, damage, number):
    filled(tmp_path)
    damage(chunk(tmp_path, number))
    shards = shards_in(tmp_path)
    rows = shards.shards()[number]
    for read in (rows, slice(None)):
        with pytest.raises(InputError, match="is missing|is damaged") as refusal:
            shards.read(read)
        assert str(chunk(tmp_path, number)) in str(refusal.value)
        assert "repeat the run" in str(refusal.value)
        assert "\n" not in str(refusal.value)
    assert shards.missing() == [rows]
    shards.write(rows, VALUES[rows])
    assert RowShards.open(tmp_path).missing() == []
    assert RowShards.open(tmp_path).read().tobytes() == VALUES.tobytes()


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.deep)])  # each byte, and each bit
def test_a_flipped_bit_of_the_metadata_is_refused_or_changes_nothing(tmp_path, step):
    filled(tmp_path, VALUES[:3])
    file = tmp_path / "zarr.json"
    content = file.read_bytes()
    refusals = []
    for bit in range(0, 8 * len(content), step):
        file.write_bytes(flipped(content, bit))
        try:
            shards = RowShards.open(tmp_path)
        except InputError as error:
            refusals.append(str(error))
        else:
            assert shards.identity == IDENTITY
            assert np.array_equal(shards.read(), VALUES[:3])
    assert all(str(file) in refusal and "\n" not in refusal for refusal in refusals)
    assert len(refusals) > 7 * len(b"".join(content.split())) / step


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 10**5, b'{"attributes": {"checksum": ""}}'])
def test_an_array_whose_metadata_are_damaged_is_named_and_begun_anew(tmp_path, content):
    filled(tmp_path)
    (tmp_path / "zarr.json").write_bytes(content)
    with pytest.raises(InputError, match=r"zarr\.json is damaged .*begins the array anew$") as refusal:
        RowShards.open(tmp_path)
    assert "\n" not in str(refusal.value)
    with pytest.warns(InputWarning, match=r"zarr\.json is damaged") as told:
        shards = shards_in(tmp_path)
    assert told[0].message.event == "damaged"
    assert shards.missing() == shards.shards()
    assert shards_in(tmp_path).missing() == shards.shards()


@pytest.mark.parametrize("content", [b"{}", b'{"attributes": {}}', b'{"attributes": 1}'])
def test_metadata_that_another_version_may_have_written_are_refused_by_name(tmp_path, content):
    filled(tmp_path)
    (tmp_path / "zarr.json").write_bytes(content)
    for use in (RowShards.open, shards_in):
        with pytest.raises(InputError, match=r"zarr\.json is damaged.* remove .* to compute it again") as refusal:
            use(tmp_path)
        assert "\n" not in str(refusal.value)


def test_an_array_without_checksums_is_never_read(tmp_path):
    """As earlier versions stored it."""
    array = zarr.create_array(
        LocalStore(tmp_path),
        shape=SHAPE,
        chunks=(3, 2),
        dtype="float64",
        fill_value=np.nan,
        compressors=None,
        attributes=IDENTITY,
    )
    array[:] = VALUES
    for use in (RowShards.open, shards_in):
        with pytest.raises(InputError, match="another version of suffice: remove"):
            use(tmp_path)


def test_shards_whose_metadata_are_gone_are_not_taken_for_those_of_another_array(tmp_path):
    filled(tmp_path)
    (tmp_path / "zarr.json").unlink()
    shards = shards_in(tmp_path, identity=IDENTITY | {"what": "another"})
    shards.write(slice(0, 3), VALUES[:3])
    assert RowShards.open(tmp_path).missing() == [slice(3, 6), slice(6, 7)]


def test_a_value_that_stands_for_a_missing_shard_cannot_be_stored(shards):
    values = VALUES[:3].copy()
    values[1, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        shards.write(slice(0, 3), values)
    assert shards.missing() == shards.shards()


def test_a_shard_that_cannot_be_written_is_named(tmp_path):
    shards = shards_in(tmp_path)
    chunk(tmp_path, 1).mkdir(parents=True)
    with pytest.raises(InputError, match=r"c/1/0 cannot be written") as refusal:
        shards.write(slice(3, 6), VALUES[3:6])
    assert "\n" not in str(refusal.value)


@given(data=st.data())
def test_whatever_happens_to_files_the_missing_shards_are_those_that_are_not_whole(tmp_path_factory, data):
    rows, columns = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    dtype = data.draw(st.sampled_from(["float64", "float32"]))
    values = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(rows, columns)).astype(dtype)
    path = tmp_path_factory.mktemp("shards") / "array"
    arguments = {"shape": (rows, columns), "shard_rows": data.draw(st.integers(1, 13)), "dtype": dtype}
    shards = shards_in(path, **arguments)
    whole = dict.fromkeys(range(len(shards.shards())), False)
    for _ in range(data.draw(st.integers(0, 12))):
        number = data.draw(st.sampled_from(list(whole)))
        file, part = chunk(path, number), shards.shards()[number]
        happens = data.draw(st.sampled_from(["write", "write", "open", *DAMAGES]))
        if happens == "write":
            shards.write(part, values[part])
            whole[number] = True
        elif happens == "open":
            shards = shards_in(path, **arguments)
        elif file.exists() and whole[number]:
            DAMAGES[happens](file)
            whole[number] = False
        assert shards.missing() == [part for number, part in enumerate(shards.shards()) if not whole[number]]
    for part in shards.missing():
        shards.write(part, values[part])
    assert RowShards.open(path).read().tobytes() == values.tobytes()


# what differs


@given(values=st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), st.integers(), st.text(max_size=5))))
def test_nothing_differs_from_itself(values):
    assert differences(values, dict(reversed(values.items()))) == []


@pytest.mark.parametrize(
    ("stored", "now", "words"),
    [
        ({"samples": 300}, {"samples": 500}, ["samples: 300, now 500"]),
        ({"samples": None}, {"samples": 500}, ["samples: not set, now 500"]),
        ({}, {"sizes": [1, 2]}, ["sizes: not set, now [1, 2]"]),
        ({"old": True}, {}, ["old: True, now not set"]),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 3, "d": 2}}}, ["a.b.c: 1, now 3"]),
        ({"weights": digest(1)}, {"weights": digest(2)}, ["weights: changed"]),
        ({"weights": digest(1)}, {}, ["weights: changed"]),
        ({"distance": [0.1] * 99}, {"distance": [0.2] * 99}, ["distance: changed"]),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ["b: 1, now 2", "a: 1, now 2"]),
    ],
)
def test_what_differs_is_said_in_words(stored, now, words):
    assert differences(stored, now) == words


# folders with one writer


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(storage.locking, "GRACE", 0.01)


@pytest.mark.usefixtures("_impatient")
def test_a_folder_is_locked_once_and_free_again(tmp_path):
    folder = tmp_path / "new" / "run"
    with locked(folder):
        with pytest.raises(InputError) as refusal, locked(folder):
            pass
        assert f"{folder} is in use by process {os.getpid()} on {socket.gethostname()} since 20" in str(refusal.value)
        assert "wait for it with --wait, or give another folder" in str(refusal.value)
        assert "\n" not in str(refusal.value)
        with locked(tmp_path / "another"):
            pass
    with pytest.raises(KeyboardInterrupt), locked(folder):
        raise KeyboardInterrupt
    with locked(folder):
        pass
    assert [file.name for file in folder.iterdir()] == [LOCK]


@pytest.mark.usefixtures("_impatient")
def test_another_thread_is_refused(tmp_path):
    refusals = []

    def try_it():
        try:
            with locked(tmp_path):
                pass
        except InputError as error:
            refusals.append(str(error))

    with locked(tmp_path):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert len(refusals) == 1
    assert "in use" in refusals[0]


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("owner", [None, b"", b"{", b"[]", b"{}", b"\xff"])
def test_an_owner_that_is_not_known_is_another_process(tmp_path, owner):
    with locked(tmp_path):
        if owner is None:
            (tmp_path / locking.OWNER).unlink()
        else:
            (tmp_path / locking.OWNER).write_bytes(owner)
        with pytest.raises(InputError, match="is in use by another process: wait"), locked(tmp_path):
            pass


def test_what_a_killed_worker_left_is_removed_when_its_run_ends(tmp_path):
    partial = tmp_path / "cells" / f".1.json-0123{storage.PARTIAL}"
    partial.parent.mkdir()

    def leave(error):
        partial.write_bytes(b"")
        if error:
            raise ZeroDivisionError

    with locked(tmp_path):
        leave(error=False)
    assert not partial.exists()
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        leave(error=True)
    assert not partial.exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written to") as refusal, locked(tmp_path / "file" / "run"):
        pass
    assert "\n" not in str(refusal.value)


def test_what_killed_processes_left_is_removed_but_not_from_other_locked_folders(tmp_path):
    names = [f".result.json-0123{storage.PARTIAL}", "0.0123456789abcdef0123456789abcdef.partial"]
    ours, others = tmp_path / "ledger" / "c", tmp_path / "nested" / "run"
    with locked(others):
        for folder in (tmp_path, ours, others):
            folder.mkdir(parents=True, exist_ok=True)
            for name in [*names, "0", "download.partial"]:
                (folder / name).write_bytes(b"")
        with locked(tmp_path):
            pass
        for folder in (tmp_path, ours):
            assert {file.name for file in folder.iterdir() if file.is_file()} - {LOCK} == {"0", "download.partial"}
        assert {file.name for file in others.iterdir()} == {*names, "0", "download.partial", LOCK, locking.OWNER}


RACE = """
import sys, time
from pathlib import Path
from suffice.errors import InputError
from suffice.storage import locked
folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with locked(folder):
        print("locked", flush=True)
        time.sleep(60)
except InputError as error:
    print(error, flush=True)
"""


def begin(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_of_two_processes_one_gets_the_folder_and_a_killed_one_is_no_obstacle(tmp_path):
    racers = [begin(RACE, tmp_path / "run") for _ in range(2)]
    try:
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        said = {racer.pid: racer.stdout.readline().strip() for racer in racers}
        [winner] = [racer for racer in racers if said[racer.pid] == "locked"]
        [loser] = [racer for racer in racers if racer is not winner]
        assert f"in use by process {winner.pid} on" in said[loser.pid]
        winner.kill()
        winner.wait()
        with locked(tmp_path / "run"):
            owner = json.loads((tmp_path / "run" / locking.OWNER).read_bytes())
        assert owner["process"] == os.getpid()
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


WRITER = """
import sys
from pathlib import Path
import numpy as np
from suffice.storage import RowShards, atomic_write, locked
folder = Path(sys.argv[1])
with locked(folder):
    shards = RowShards.resume(folder / "array", (64, 40000), 1, {})
    print("ready", flush=True)
    for rows in shards.missing():
        shards.write(rows, np.full((1, 40000), rows.start + 0.5))
        with atomic_write(folder / "last") as file:
            file.write(str(rows.start).encode() * 1000)
"""


@pytest.mark.parametrize(
    "pause", [0.05, *(pytest.param(seconds, marks=pytest.mark.deep) for seconds in (0.01, 0.1, 0.15, 0.2))]
)
def test_a_process_killed_while_it_writes_leaves_whole_shards_and_files(tmp_path, pause):
    writer = begin(WRITER, tmp_path)
    assert writer.stdout.readline() == "ready\n"
    time.sleep(pause)
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    with locked(tmp_path):
        shards = RowShards.open(tmp_path / "array")
        missing = shards.missing()
        for rows in shards.shards():
            if rows not in missing:
                assert (shards.read(rows) == rows.start + 0.5).all()
        last = (tmp_path / "last").read_bytes() if (tmp_path / "last").exists() else b""
        assert last == last[: len(last) // 1000] * 1000
        assert not [file for file in tmp_path.rglob("*partial") if file.is_file()]


# files that are replaced whole


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_writer_that_raises_leaves_the_old_file_and_nothing_else(tmp_path, error, old):
    file = tmp_path / "file"
    if old is not None:
        file.write_bytes(old)

    def write():
        with atomic_write(file) as handle:
            handle.write(b"new")
            raise error

    with pytest.raises(error):
        write()
    assert (file.read_bytes() if file.exists() else None) == old
    assert list(tmp_path.iterdir()) == ([] if old is None else [file])


def test_the_new_file_appears_at_the_end_and_whole(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with atomic_write(file) as handle:
        handle.write(b"new")
        handle.flush()
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_new_file_has_the_permissions_of_any_new_file(tmp_path, umask, monkeypatch):
    before = os.umask(umask)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("the umask is the whole process's"))
            (tmp_path / "plain").write_bytes(b"")
            with atomic_write(tmp_path / "atomic") as handle:
                handle.write(b"")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1] == 0o666 & ~umask


def test_a_file_is_on_disk_before_its_rename_and_the_rename_before_the_end(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(os.readlink(f"/proc/self/fd/{handle}")))
    rename = Path.replace

    def replace(old, new):
        done.append("rename")
        return rename(old, new)

    monkeypatch.setattr(Path, "replace", replace)
    with atomic_write(tmp_path / "file") as handle:
        handle.write(b"content")
        partial = handle.name
    assert done == [str(partial), "rename", str(tmp_path)]


def test_a_folder_in_use_is_waited_for_where_that_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.locking, "GRACE", 0.01)
    begun, end = threading.Event(), threading.Event()

    def hold():
        with locked(tmp_path):
            begun.set()
            end.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    assert "process" in owner_of(tmp_path)
    threading.Timer(0.2, end.set).start()
    with (
        pytest.warns(InputWarning, match=r"is in use by process .*: waiting until it ends"),
        waiting(),
        locked(tmp_path),
    ):
        assert end.is_set()
    holder.join()
    assert owner_of(tmp_path) is None
