"""Files that would fill the memory are refused in one line before they are unpacked."""

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pytest
from inputs import arrays, image, images, put, write_workbook
from PIL import Image
from pyarrow import parquet

from suffice import InputError
from suffice.configuration import AnalyzeConfig, HessianConfig, read_configuration
from suffice.data import Reading, load_collection, load_samples, read_idx
from suffice.data.images import LARGEST
from suffice.runs.summary import summary_of, tell
from suffice.runs.watch import SILENT

MOST_MEMORY = 30e6
"""Bytes that a refusal may take, far less than what any of these files promises."""

SIDE = 20_000
"""Of an image of 400 million pixels."""


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def vast_png(side=SIDE):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def vast_tiff():
    """Little-endian, one strip of one byte that is said to hold all."""
    tags = ((256, 4, SIDE), (257, 4, SIDE), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 1))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 12) + b"0000" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)


def vast_webp():
    """The largest that the format knows, 16,383 x 16,383."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64)).save(buffer, "WEBP")
    content = bytearray(buffer.getvalue())
    start = content.index(b"\x9d\x01\x2a") + 3
    content[start : start + 4] = struct.pack("<HH", 16_383, 16_383)
    return bytes(content)


def vast_bmp():
    return (
        b"BM"
        + struct.pack("<IHHI", 58, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0)
    )


def vast_gif():
    return b"GIF89a" + struct.pack("<HHBBB", SIDE, SIDE, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, SIDE, SIDE, 0)


def with_image(folder, suffix, content):
    images(folder)
    put(folder, f"cat/vast.{suffix}", content)
    return folder


def gzipped(folder, content, promised):
    """A gzipped IDX file whose header promises so many images of 1,000 x 1,000."""
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", promised, 1000, 1000)
    put(folder, "labels-idx1-ubyte.gz", gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + b"\0\1"))
    return put(folder, "images-idx3-ubyte.gz", gzip.compress(header + content))


def promising_npz(folder, shape):
    """An NPZ whose header says another shape than there are bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(folder / "t.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + b"0" * 60)
        archive.writestr("labels.npy", b"")
    return folder / "t.npz"


def vast_npz(folder):
    """One that holds what it promises, by the size that the archive gives: the bytes are never looked at."""
    header = io.BytesIO()
    size = 1 << 20
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (size, size, 4)})
    content = header.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("images.npy", content)
        archive.filelist[0].file_size = len(content) + 4 * size**2
        archive.filelist[0].compress_size = len(content)
    return put(folder, "t.npz", buffer.getvalue())


def endless_parquet(folder):
    """Two million equal rows in a few kilobytes."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2_000_000, dtype=np.int32)), pa.array(["x"]))
    parquet.write_table(pa.table({"text": column, "label": column}), folder / "t.parquet")
    return folder / "t.parquet"


def repeating_parquet(folder, of=lambda texts: texts):
    """A text of 5 MB, in each of 200,000 rows: 1 TB."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, dtype=np.int32)), pa.array(["x" * 5_000_000]))
    labels = pa.DictionaryArray.from_arrays(pa.array(np.arange(200_000, dtype=np.int32) % 2), pa.array(["a", "b"]))
    parquet.write_table(pa.table({"text": of(texts), "label": labels}), folder / "t.parquet")
    return folder / "t.parquet"


def long_list(texts):
    """All of them in the first row; the others are empty."""
    ends = np.full(len(texts) + 1, len(texts), dtype=np.int32)
    ends[0] = 0
    return pa.ListArray.from_arrays(pa.array(ends), texts)


def laughing_workbook(folder):
    """Entities of XML that stand for 10^9 words, ten levels deep."""
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    sheet = (
        f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><worksheet '
        'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" '
        't="inlineStr"><is><t>&a9;</t></is></c></row></sheetData></worksheet>'
    )
    whole = write_workbook(folder, [("text", "label")], name="whole.xlsx")
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(folder / "t.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, sheet if name.endswith("sheet1.xml") else old.read(name))
    return folder / "t.xlsx"


BOMBS = {
    "PNG": (
        lambda f: with_image(f, "png", vast_png()),
        "vast.png: not a readable image.*decompression bomb.*replace or remove it",
    ),
    "TIFF": (
        lambda f: with_image(f, "tif", vast_tiff()),
        "vast.tif: not a readable image.*decompression bomb.*replace or remove it",
    ),
    "WebP": (lambda f: with_image(f, "webp", vast_webp()), "vast.webp: not a readable image.*replace or remove it"),
    "BMP": (
        lambda f: with_image(f, "bmp", vast_bmp()),
        "vast.bmp: not a readable image.*decompression bomb.*replace or remove it",
    ),
    "GIF": (
        lambda f: with_image(f, "gif", vast_gif()),
        "vast.gif: not a readable image",
    ),
    "gzipped IDX": (lambda f: gzipped(f, bytes(1 << 24), 2000), "would unpack to 2.0 GB from 0.0 MB.*you trust"),
    "an NPZ that promises": (lambda f: promising_npz(f, (10**6, 10**3, 10**3)), "promises 1,000,000,000,000 bytes"),
    "a vast NPZ": (vast_npz, "t.npz: would unpack to 4398.0 GB from 0.0 MB"),
    "an endless Parquet": (endless_parquet, "2,000,000 rows in [0-9,]+ bytes, which no real data have"),
    "one long text in many rows of a Parquet": (
        repeating_parquet,
        "t.parquet: would unpack to [0-9]+.0 GB from 0.2 MB",
    ),
    "one long text in many lists of a Parquet": (
        lambda f: repeating_parquet(f, long_list),
        "t.parquet: would unpack to 1000.0 GB from 0.2 MB",
    ),
    "entities in a workbook": (laughing_workbook, "t.xlsx: "),
    "JSON lines nested deep": (lambda f: put(f, "t.jsonl", '{"a":' * 50_000), "line 1: not JSON"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_in_one_line_before_it_is_unpacked(tmp_path, kind):
    write, message = BOMBS[kind]
    source = str(write(tmp_path))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message) as refusal:
            tell(summary_of(load_collection(source, Reading())), SILENT)
        # the reader of XML stops at 8 MB of what entities stand for, of which Python makes ten times as much
        assert tracemalloc.get_traced_memory()[1] < (100e6 if kind == "entities in a workbook" else MOST_MEMORY)
    finally:
        tracemalloc.stop()
    assert len(str(refusal.value).splitlines()) == 1


def test_an_image_that_is_slightly_too_large_is_refused_and_a_large_one_is_read(tmp_path):
    """9,450 x 9,450 are more than are read, and fewer than Pillow warns of."""
    folder = with_image(tmp_path / "vast", "png", vast_png(9450))
    assert LARGEST < 9450**2 < Image.MAX_IMAGE_PIXELS
    with pytest.raises(InputError, match="9,450 x 9,450 pixels, and at most 89,000,000 are read"):
        tell(summary_of(load_collection(str(folder), Reading())), SILENT)
    images(tmp_path / "large")
    image(tmp_path / "large", "cat/large.png", mode="L", size=(1000, 1000))
    samples = load_samples(str(tmp_path / "large"))
    assert max(samples[row].size for row in range(len(samples))) == (1000, 1000)


def test_arrays_beyond_the_free_memory_are_refused(tmp_path, monkeypatch):
    file = arrays(tmp_path, x=np.zeros((4, 30, 30), dtype=np.uint8), y=np.arange(4) % 2)
    assert len(load_samples(str(file))) == 4
    monkeypatch.setattr("suffice.data.zipped.psutil.virtual_memory", type("Free", (), {"available": 3000}))
    with pytest.raises(InputError, match=r"images\.npz: its arrays take 0\.0 GB, .*; give fewer samples"):
        load_samples(str(file))


def test_an_encrypted_archive_is_refused_in_one_line(tmp_path):
    file = arrays(tmp_path, x=np.zeros((4, 3, 3), dtype=np.uint8), y=np.arange(4) % 2)
    content = bytearray(file.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(mark, start + 1)
    file.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        load_samples(str(file))


@pytest.mark.parametrize("sizes", [(1,) * 200, (0, *(2**32 - 1,) * 3)], ids=["200 dimensions", "of no samples"])
def test_an_idx_of_impossible_dimensions_is_refused_in_one_line(tmp_path, sizes):
    header = bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)
    file = put(tmp_path, "images-idx3-ubyte", header + (b"0" if all(sizes) else b""))
    with pytest.raises(InputError, match="dimensions|shape"):
        read_idx(file)


@pytest.mark.parametrize(
    ("kind", "key", "value", "most"),
    [
        (AnalyzeConfig, "image_size", 4097, 4096),
        (AnalyzeConfig, "points", 10**12, 100_000),
        (HessianConfig, "hidden_width", 10**9, 100_000),
    ],
)
def test_numbers_that_take_all_memory_are_refused_with_the_largest_one(kind, key, value, most):
    given = {"model": "m", "data": "d"} if kind is AnalyzeConfig else {"data": "d"}
    assert getattr(read_configuration(kind, given | {key: most}), key) == most
    with pytest.raises(InputError, match=f"{key} = {value}: input should be less than or equal to {most}"):
        read_configuration(kind, given | {key: value})
