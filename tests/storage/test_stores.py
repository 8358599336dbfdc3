"""What is kept in an object store is put once, whole or found damaged, and has one writer, as in a local folder."""

import itertools
import json
import os
import socket
import sys
import threading
import time
import warnings

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from object_stores import read_only_server, s3_at, s3_server
from pydantic import TypeAdapter
from zarr.storage import FsspecStore

from suffice.errors import InputError, InputWarning
from suffice.storage import (
    Pieces,
    RowShards,
    StoreError,
    faults_of_piece,
    leases,
    locked,
    owner_of,
    place,
    read_bytes,
    read_sealed,
    waiting,
    write_sealed,
)
from suffice.storage.locking import OWNER
from suffice.storage.places import create, exists, names_in, put, remove, replace

pytestmark = pytest.mark.filterwarnings("default::suffice.errors.InputWarning")

NUMBERS = TypeAdapter(list[float])
SHAPE, ROWS = (7, 2), 3
COUNTER = itertools.count()


@pytest.fixture(scope="module")
def s3():
    with s3_server() as endpoint, s3_at(endpoint):
        yield endpoint


@pytest.fixture(params=["memory", "s3"])
def store(request):
    """A place that is not used yet, in each kind of store."""
    if request.param == "s3":
        request.getfixturevalue("s3")
    return place(f"{request.param}://bucket/test-{next(COUNTER)}")


@pytest.fixture
def quick(monkeypatch):
    """Signs of life come more often, and a lease runs out sooner."""
    monkeypatch.setattr(leases, "BEAT", 0.1)
    monkeypatch.setattr(leases, "LEASE", 1.5)


def filled(store):
    shards = RowShards.resume(store / "array", SHAPE, ROWS, {"weights": "these"})
    for rows in shards.shards():
        shards.write(rows, np.arange(14.0).reshape(SHAPE)[rows])
    return shards


def test_an_object_is_put_once_and_another_is_replaced_with_a_word(store, monkeypatch):
    file = store / "one"
    put(file, b"losses")
    with pytest.raises(FileExistsError):
        create(file, b"others")
    with monkeypatch.context() as patch:
        patch.setattr("suffice.storage.places.replace", lambda *_: pytest.fail("an equal object was written again"))
        put(file, b"losses")
    with pytest.warns(
        InputWarning, match=rf"{file} was damaged, or written by another kind of machine: it is replaced"
    ):
        put(file, b"others")
    assert read_bytes(file) == b"others"
    assert exists(file)
    assert not exists(store / "two")
    assert names_in(store) == ["one"]
    assert names_in(store / "none") == []


def test_shards_are_resumed_and_any_zarr_reads_them(store):
    first = RowShards.resume(store / "array", SHAPE, ROWS, {"weights": "these"})
    assert first.missing() == first.shards()
    first.write(slice(3, 6), np.ones((3, 2)))
    again = RowShards.resume(store / "array", SHAPE, ROWS, {"weights": "these"})
    assert again.missing() == [slice(0, 3), slice(6, 7)]
    assert again.written() == 1
    with pytest.raises(InputError, match=rf"{store}/array/c/0/0 is missing"):
        again.read()
    with pytest.raises(InputError, match="weights: these, now others"):
        RowShards.resume(store / "array", SHAPE, ROWS, {"weights": "others"})
    values = filled(store).read()
    assert np.array_equal(values, np.arange(14.0).reshape(SHAPE))
    if store.protocol == "s3":
        plain = zarr.open_array(FsspecStore.from_url(str(store / "array"), read_only=True), mode="r")
        assert np.array_equal(np.asarray(plain[:]), values)


def test_objects_are_those_of_a_local_folder_bit_by_bit(store, tmp_path):
    filled(store)
    filled(tmp_path)
    local = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(local) == 4
    assert {name: read_bytes(store / name) for name in local} == local


DAMAGE = st.sampled_from(["flipped", "short", "empty", "gone", "whole"])


@settings(max_examples=20, deadline=None)
@given(damage=st.lists(DAMAGE, min_size=3, max_size=3), at=st.integers(0, 10**6))
def test_whatever_happens_to_objects_those_that_are_not_whole_are_named_and_computed_again(damage, at):
    store = place(f"memory://damage/{next(COUNTER)}")
    filled(store)
    for number, what in enumerate(damage):
        file = store / "array" / "c" / str(number) / "0"
        held = read_bytes(file)
        byte = at % len(held)
        if what == "gone":
            file.fs.rm(file.path)
        elif what != "whole":
            flipped = held[:byte] + bytes([held[byte] ^ (1 << at % 8)]) + held[byte + 1 :]
            replace(file, {"flipped": flipped, "short": held[:byte], "empty": b""}[what])
    shards = RowShards.resume(store / "array", SHAPE, ROWS, {"weights": "these"})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        missing = [rows.start // ROWS for rows in shards.missing()]
        filled(store)
    assert missing == [number for number, what in enumerate(damage) if what != "whole"]
    for number, what in enumerate(damage):
        named = any(f"{store}/array/c/{number}/0 " in str(warning.message) for warning in told)
        assert named == (what in ("flipped", "short", "empty"))
    assert np.array_equal(shards.read(), np.arange(14.0).reshape(SHAPE))


@pytest.mark.parametrize("held", [b"", b"{", b"[" * 10**5, b'{"attributes": {"checksum": ""}}'])
def test_an_array_whose_metadata_are_damaged_is_named_and_begun_anew(store, held):
    filled(store)
    replace(store / "array" / "zarr.json", held)
    with pytest.warns(InputWarning, match=r"zarr\.json is damaged"):
        shards = RowShards.resume(store / "array", SHAPE, ROWS, {"weights": "these"})
    assert shards.missing() == shards.shards()
    assert np.array_equal(filled(store).read(), np.arange(14.0).reshape(SHAPE))


def test_pieces_are_found_damaged_and_computed_again(store):
    pieces = Pieces(store / "pieces", "these weights")
    pieces.write("one", [0.1], {".npy": b"numbers"})
    assert pieces.has("one")
    assert pieces.file("one", ".npy") == b"numbers"
    assert not Pieces(store / "pieces", "other weights").has("one")
    replace(store / "pieces" / "one.npy", b"nombers")
    assert faults_of_piece(store / "pieces" / "one.json") == [
        f"{store}/pieces/one.npy is damaged (its checksum does not match)"
    ]
    with pytest.warns(InputWarning, match=r"one.npy is damaged .*: it is computed again"):
        assert pieces.get("one", NUMBERS, lambda: [0.2]) == [0.2]


def test_of_two_runs_at_once_the_first_piece_stays(store):
    for seconds in (1.0, 2.0):
        Pieces(store, "these weights").write("cell", {"seconds": seconds})
    assert Pieces(store, "these weights").read("cell") == {"seconds": 1.0}


def test_a_checkpoint_is_replaced_and_its_damage_is_found(store):
    for held in (b"first epoch", b"second epoch"):
        write_sealed(store / "fine_tuning.pt", held)
    assert read_sealed(store / "fine_tuning.pt") == b"second epoch"
    replace(store / "fine_tuning.pt", b"0" + read_bytes(store / "fine_tuning.pt")[1:])
    with pytest.raises(InputError, match=r"fine_tuning.pt is damaged"):
        read_sealed(store / "fine_tuning.pt")


def sign(host="elsewhere", process=1, beat=0):
    return json.dumps({"process": process, "host": host, "since": "noon", "beat": beat}).encode()


def test_a_place_has_one_writer_at_a_time_who_gives_it_back(store, quick):
    with locked(store):
        assert str(os.getpid()) in owner_of(store)
        with (
            pytest.raises(InputError, match=rf"in use by process {os.getpid()} on .*: wait for it with --wait") as told,
            locked(store),
        ):
            pytest.fail("two have it")
        assert "\n" not in str(told.value)
        time.sleep(2 * leases.LEASE)  # a living owner keeps it
        with pytest.raises(InputError, match="in use"), locked(store):
            pytest.fail("two have it")
    assert owner_of(store) is None
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with locked(store):
            pass
    assert time.monotonic() - began < leases.LEASE
    assert len(names_in(store / leases.LEASES)) == 1


def test_one_who_waits_gets_it_when_the_other_ends(store, quick):
    got = threading.Event()

    def second():
        with waiting(), locked(store):
            got.set()

    with locked(store):
        thread = threading.Thread(target=second, daemon=True)
        thread.start()
        assert not got.wait(1.0)
    assert got.wait(5.0)
    thread.join(10)


def test_an_owner_of_another_host_that_gives_no_sign_of_life_is_taken_over(store, quick):
    create(store / leases.LEASES / "00000007.json", sign())
    assert owner_of(store) == "process 1 on elsewhere since noon"
    began = time.monotonic()
    with pytest.warns(InputWarning, match="in use by process 1 on elsewhere .* gone: it is taken over"), locked(store):
        assert names_in(store / leases.LEASES) == ["00000008.json"]
    assert time.monotonic() - began >= leases.LEASE


def test_an_owner_of_another_host_that_is_silent_for_long_is_not_told_of(store, monkeypatch):
    create(store / leases.LEASES / "00000007.json", sign())
    assert "elsewhere" in owner_of(store)
    monkeypatch.setattr(leases, "SILENCE", -1.0)
    assert owner_of(store) is None
    assert names_in(store / leases.LEASES) == ["00000007.json"]


def test_a_dead_owner_of_this_host_is_taken_over_at_once(store):
    create(store / leases.LEASES / "00000001.json", sign(socket.gethostname(), 2**22 + 1))
    assert owner_of(store) is None
    began = time.monotonic()
    with pytest.warns(InputWarning, match="taken over"), locked(store):
        pass
    assert time.monotonic() - began < leases.BEAT


def test_an_owner_of_another_host_that_lives_is_told_from_a_dead_one(store, quick):
    file, is_over = store / leases.LEASES / "00000001.json", threading.Event()
    create(file, sign())

    def live():
        for beat in itertools.count(1):
            if is_over.wait(leases.BEAT):
                break
            replace(file, sign(beat=beat))

    thread = threading.Thread(target=live)
    thread.start()
    try:
        with pytest.raises(InputError, match="in use by process 1 on elsewhere"), locked(store):
            pytest.fail("two have it")
    finally:
        is_over.set()
        thread.join(10)


HERE = socket.gethostname()
HOSTILE = [
    b"{",
    b"null",
    b'{"process": "x"}',
    *(
        f'{{"process": {process}, "host": "{HERE}", "since": "noon"}}'.encode()
        for process in ("null", '"abc"', "1e400", "-1", "1" * 23, "true", "[1]")
    ),
    f'{{"process": 1, "host": ["{HERE}"], "since": null}}'.encode(),
    b"[" * 100_000,
    b"\xff\xfe",
]
"""What may stand where an owner has written of itself."""


@pytest.mark.parametrize("held", HOSTILE)
def test_who_wrote_no_such_thing_is_another_process(held, tmp_path):
    store = place(f"memory://hostile-lease/{next(COUNTER)}")
    create(store / leases.LEASES / "00000001.json", held)
    create(store / leases.LEASES / f"{'9' * 5000}.json", b"{}")
    assert owner_of(store) == "another process"
    with locked(tmp_path):
        (tmp_path / OWNER).write_bytes(held)
        assert owner_of(tmp_path) == "another process"


@pytest.mark.parametrize("held", HOSTILE[:4])
def test_a_damaged_lease_runs_out(quick, held):
    store = place(f"memory://damaged-lease/{next(COUNTER)}")
    create(store / leases.LEASES / "00000001.json", held)
    with pytest.warns(InputWarning, match="in use by another process, which is gone"), locked(store):
        pass


@settings(max_examples=5, deadline=None)
@given(pauses=st.lists(st.floats(0, 0.01), min_size=4, max_size=4))
def test_of_many_at_once_one_has_it_at_a_time(pauses):
    store = place(f"memory://many/{next(COUNTER)}")
    inside, most, failures = [], [], []

    def one(pause):
        try:
            time.sleep(pause)
            with waiting(), locked(store):
                inside.append(pause)
                most.append(len(inside))
                time.sleep(0.02)
                inside.pop()
        except BaseException as error:
            failures.append(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "BEAT", 0.02)
        patch.setattr(leases, "LEASE", 30.0)
        threads = [threading.Thread(target=one, args=(pause,), daemon=True) for pause in pauses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert failures == []
    assert most == [1] * 4


class Forgetful(MemoryFileSystem):
    """A store that overwrites where it is asked to create."""

    protocol = "forgetful"
    store: dict = {}  # noqa: RUF012
    pseudo_dirs: list = [""]  # noqa: RUF012

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        super().pipe_file(path, value, mode="overwrite", **kwargs)


@pytest.mark.parametrize("sign", ["run[1]", "run*"])
def test_signs_of_patterns_in_a_name_stand_for_themselves(store, sign):
    beside, at = filled(store / "run1"), store / sign
    assert beside.missing() == []
    put(store / "run1" / "one", b"losses")
    put(at / "one", b"others")
    for _ in range(2):
        with locked(at):
            RowShards.resume(at / "array", SHAPE, ROWS, {"weights": "these"})
            assert names_in(at) == [leases.LEASES, "array", "one"]
    assert names_in(at / leases.LEASES) == ["00000002.json"]
    assert beside.missing() == []
    remove(at)
    assert names_in(at) == []
    assert names_in(store / "run1") == ["array", "one"]
    assert beside.missing() == []


def test_a_store_without_conditional_put_is_said_once_to_have_no_lock():
    fsspec.register_implementation("forgetful", Forgetful, clobber=True)
    store = place("forgetful://bucket/store")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            with locked(store), locked(store / "ledger"):
                assert np.array_equal(filled(store).read(), np.arange(14.0).reshape(SHAPE))
    said = [str(warning.message) for warning in told if "no conditional put" in str(warning.message)]
    assert len(said) == 1
    assert names_in(store / leases.LEASES) == []


def test_bad_urls_are_one_line_that_says_what_to_do(monkeypatch):
    for url, what in (
        ("s4://bucket/x", r'no protocol "s4" is known: give a folder, s3://BUCKET/FOLDER'),
        ("s3://", "names no bucket"),
        ("S3:/bucket/x", "write the URL of a store as s3://bucket/x"),
        ("file:/tmp/x", "write the URL of a store as file:///tmp/x"),
        ("file://", "names no folder: give its path, or file:///FOLDER"),
        ("File://localhost/", "names no folder"),
        ("MEMORY://", "names no bucket"),
        ("s3:/bucket/x", "write the URL of a store as s3://bucket/x"),
        ("http://127.0.0.1:9/x", "nothing can be written there"),
        ("reference://x/y", "nothing can be written there"),
        ("simplecache::s3://bucket/x", "nothing can be written there"),
        ("ftp://127.0.0.1:9/x", "does not answer"),
        ("s3://bucket/x?versionId=1", r'what follows "\?" for the version of an object'),
        ("gs://bucket/x#1", r'what follows "#" for the version of an object'),
        ("s3://me:secret@bucket/x", "give credentials by the environment"),
    ):
        with pytest.raises(InputError, match=what) as told:
            place(url)
        assert "\n" not in str(told.value)
        assert "secret" not in str(told.value)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(InputError, match=r"pip install 'suffice\[s3\]'"):
        place("s3://bucket/x")


def refused(what):
    with pytest.raises(StoreError, match=what) as told, locked(place("s3://bucket/x")):
        pytest.fail("it is there")
    assert "\n" not in str(told.value)


def test_a_bucket_that_is_not_there_is_said(s3):
    with pytest.raises(StoreError, match="there is no such bucket"), locked(place("s3://no-such-bucket/x")):
        pytest.fail("it is there")


def test_a_store_that_is_read_only_is_said():
    with read_only_server() as endpoint, s3_at(endpoint):
        refused(r"may not be read or written \(.*: give credentials that may, or another store")


def test_missing_credentials_are_said():
    with s3_at("http://127.0.0.1:9") as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        refused("needs credentials .*AWS_ACCESS_KEY_ID")


def test_an_endpoint_that_does_not_answer_is_said_soon():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with s3_at(f"http://127.0.0.1:{closed.getsockname()[1]}"):
            refused("does not answer .*AWS_ENDPOINT_URL")
        assert time.monotonic() - began < 30


def test_an_endpoint_that_takes_requests_and_is_mute_is_said(monkeypatch):
    monkeypatch.setattr("suffice.storage.places.PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute, s3_at(f"http://127.0.0.1:{mute.getsockname()[1]}"):
        refused("does not answer .*Timeout")


def test_a_store_that_fails_is_no_damaged_one():
    """What cannot be read is not computed again."""
    with s3_at("http://127.0.0.1:9"):
        store = place("s3://bucket/x")
        for look in (
            lambda: Pieces(store, "these").has("one"),
            lambda: faults_of_piece(store / "one.json"),
            lambda: RowShards.open(store),
            lambda: read_sealed(store / "fine_tuning.pt"),
        ):
            with pytest.raises(StoreError, match="does not answer"):
                look()
