"""IDX files, the format of MNIST and its successors, gzipped or not."""

import gzip
import math
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from suffice.data.images import ImageArray
from suffice.data.zipped import refuse_growth, refuse_memory
from suffice.errors import InputError

UNSIGNED_BYTE = 0x08

MOST_DIMENSIONS = 32
"""Of an array; images have 3."""

CHUNK = 2**20
"""Bytes that are read at a time."""


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file of unsigned bytes.

    The header is two zero bytes, the type, the number of dimensions, and the size of each dimension as a big-endian
    32-bit integer (Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "The IDX file format"). No more is
    read than the header says, and no more memory taken than the file holds, whatever a gzip file would decompress to.
    An array that is more than 200 times as large as a gzip file, or that does not fit into memory, is not read at all.

    Raises:
        InputError: a file that cannot be read, is not IDX, is a bomb, ends early, or goes on after the array.
    """
    try:
        with _opened(path) as stream:
            shape = _read_shape(path, stream)
            size = math.prod(shape)
            if path.suffix == ".gz":
                refuse_growth(path, size)
                refuse_memory(path, size)
            content = _read(stream, size)
            is_whole = len(content) == size and not stream.read(1)  # at the end gzip compares its checksum
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not is_whole:
        held = f"only {len(content):,}" if len(content) < size else "more"
        raise InputError(
            f"{path}: the header promises {size:,} bytes for an array of shape {shape}, and {held} follow; download it "
            "again"
        )
    try:
        return np.frombuffer(content, dtype=np.uint8).reshape(shape)
    except ValueError as error:
        raise InputError(f"{path}: no array can have the shape {shape} of its header ({error})") from error


def _opened(path: Path) -> BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _read_shape(path: Path, stream: BufferedIOBase) -> tuple[int, ...]:
    """The size of each dimension, from the header at which the stream stands."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != UNSIGNED_BYTE:
        raise InputError(f"{path}: not an IDX file of unsigned bytes")
    if start[3] > MOST_DIMENSIONS:
        raise InputError(f"{path}: has {start[3]} dimensions, and images have 3; it is damaged, download it again")
    sizes = stream.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise InputError(f"{path}: ends within its header; download it again")
    return tuple(int(size) for size in np.frombuffer(sizes, dtype=">u4"))


def _read(stream: BufferedIOBase, size: int) -> bytearray:
    """So many bytes, or all that there are."""
    content = bytearray()
    while chunk := stream.read(min(CHUNK, size - len(content))):
        content += chunk
    return content


def read_idx_images(path: Path) -> ImageArray:
    """Labelled images from an ``*images-idx3-ubyte`` file, or from a folder with one such file or one ``train-`` file.

    The labels are in the same folder; in the name of their file, "labels" replaces "images" and "idx1" replaces "idx3".

    Raises:
        InputError: no such file, several files, no labels, or a broken file.
    """
    images = _choose(path) if path.is_dir() else path
    labels = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1"))
    if labels == images or not labels.exists():
        raise InputError(f"{images}: its labels are expected in {labels.name} beside it")
    pixels = read_idx(images)
    if pixels.ndim != 3:
        raise InputError(f"{images}: images have 3 dimensions (samples, height, width), not {pixels.ndim}")
    numbers = read_idx(labels)
    if numbers.ndim != 1:
        raise InputError(f"{labels}: labels have 1 dimension, not {numbers.ndim}")
    return ImageArray(pixels, numbers.astype(np.int64), source=str(path), notes=_others(path, images))


def holds_idx(path: Path) -> bool:
    """Whether a path is an IDX file of images or a folder that has one."""
    return bool(_image_files(path)) if path.is_dir() else "idx3-ubyte" in path.name


def _image_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*images*idx3-ubyte*"))


def _others(path: Path, chosen: Path) -> list[str]:
    """What to say of further images in the folder."""
    others = [file.name for file in _image_files(path) if file != chosen] if path.is_dir() else []
    return [f"{chosen.name} is read, not {', '.join(others)}, which can be given as --test."] if others else []


def _choose(folder: Path) -> Path:
    files = _image_files(folder)
    train = [file for file in files if file.name.startswith("train")]
    if len(files) == 1 or len(train) == 1:
        return (train or files)[0]
    raise InputError(f"{folder}: name one of its files: {', '.join(file.name for file in files)}")
