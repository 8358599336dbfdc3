import os
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice import InputError
from suffice.storage import RowShards, atomic_write

IDENTITY = {"what": "a test", "numbers": [0.1, 2.0], "nested": {"seed": 0}}
SHAPE = (7, 2)
VALUES = np.arange(14.0).reshape(SHAPE)


def shards_in(path, identity=IDENTITY, shape=SHAPE, shard_rows=3):
    return RowShards.resume(path, shape, shard_rows, identity)


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
    assert np.isnan(shards.read(slice(0, 3))).all()
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
        ({"shape": (8, 2)}, "shape"),
        ({"shape": (7, 3)}, "shape"),
        ({"shard_rows": 2}, "shape"),
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


def test_the_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_write(tmp_path / "atomic") as handle:
        handle.write(b"")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("plain", "atomic")]
    assert modes[0] == modes[1]
