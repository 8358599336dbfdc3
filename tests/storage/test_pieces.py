"""Pieces on disk are whole and of what is asked for, or computed again."""

import pytest
from pydantic import TypeAdapter

from suffice.errors import InputError, InputWarning
from suffice.storage import Pieces, faults_of_piece, read_sealed, write_sealed

pytestmark = pytest.mark.filterwarnings("default::suffice.errors.InputWarning")  # of damaged pieces

NUMBERS = TypeAdapter(list[float])
FILES = {".npy": b"some numbers", ".safetensors": b"some weights"}


def written(folder):
    pieces = Pieces(folder, "these weights")
    pieces.write("one", [0.1, 2.0], FILES)
    return pieces


def test_what_is_written_is_read(tmp_path):
    pieces = written(tmp_path / "new" / "pieces")
    assert pieces.has("one")
    assert pieces.read("one") == [0.1, 2.0]
    assert {suffix: pieces.file("one", suffix) for suffix in FILES} == FILES
    assert pieces.get("one", NUMBERS, lambda: [9.0]) == [0.1, 2.0]
    assert not pieces.has("two")
    with pytest.raises(FileNotFoundError):
        pieces.file("one", ".pt")


def test_a_piece_of_another_identity_is_none(tmp_path):
    written(tmp_path)
    others = Pieces(tmp_path, "other weights")
    assert not others.has("one")
    assert others.get("one", NUMBERS, lambda: [9.0]) == [9.0]
    assert not Pieces(tmp_path, "these weights").has("one")


def test_a_piece_under_the_name_of_another_is_refused(tmp_path):
    pieces = written(tmp_path)
    pieces.write("two", [0.1, 2.0], FILES)
    assert pieces.has("two")
    for name in ("one.json", "one.npy", "one.safetensors"):
        (tmp_path / name.replace("one", "two")).write_bytes((tmp_path / name).read_bytes())
    assert not pieces_or_warning(pieces, "two.json", "two")
    assert pieces.has("one")


@pytest.mark.parametrize("name", ["one.json", "one.npy", "one.safetensors"])
def test_a_flipped_bit_of_each_byte_and_every_other_length_is_noticed_and_named(tmp_path, name):
    pieces = written(tmp_path)
    file = tmp_path / name
    whole = file.read_bytes()
    flipped = [bytes([*whole[:at], whole[at] ^ (1 << at % 8), *whole[at + 1 :]]) for at in range(len(whole))]
    unseen = []
    for held in [*flipped, b"", whole[:-1], whole + b"0", b"[" * 5000]:
        file.write_bytes(held)
        if pieces_or_warning(pieces, name):
            unseen.append(held)
    assert unseen == []
    file.write_bytes(whole)
    assert pieces.has("one")
    assert faults_of_piece(tmp_path / "one.json") == []


def pieces_or_warning(pieces, name, piece="one"):
    """Whether the piece is taken as it is."""
    with pytest.warns(InputWarning, match=rf"{name.replace('.', '[.]')} .*: it is computed again"):
        return pieces.has(piece)


def test_a_missing_file_is_named(tmp_path):
    pieces = written(tmp_path)
    (tmp_path / "one.npy").unlink()
    with pytest.warns(InputWarning, match=r"one\.npy is missing: it is computed again"):
        assert not pieces.has("one")
    with pytest.raises(InputError, match=r"one\.npy is missing"):
        pieces.read("one")
    assert faults_of_piece(tmp_path / "one.json") == [f"{tmp_path / 'one.npy'} is missing"]


def test_a_piece_of_another_type_is_computed_again(tmp_path):
    written(tmp_path)
    assert Pieces(tmp_path, "these weights").get("one", TypeAdapter(str), lambda: "words") == "words"


@pytest.mark.parametrize("held", [b"", b"weights", bytes(1000)])
def test_a_sealed_file_is_read_whole_or_refused(tmp_path, held):
    file = tmp_path / "weights.pt"
    write_sealed(file, held)
    assert read_sealed(file) == held
    sealed = file.read_bytes()
    for damaged in (b"", sealed[:-1], sealed[1:], bytes([sealed[0] ^ 1, *sealed[1:]])):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"weights\.pt is damaged"):
            read_sealed(file)
