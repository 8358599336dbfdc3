"""IDX files, the format of MNIST and its successors, gzipped or not."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from suffice.data.images import ImageArray
from suffice.errors import InputError

UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file of unsigned bytes.

    The header is two zero bytes, the type, the number of dimensions, and the size of each dimension as a big-endian
    32-bit integer (Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "The IDX file format").

    Raises:
        InputError: a file that cannot be read, is not IDX, or ends early.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise InputError(f"{path}: not an IDX file of unsigned bytes")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise InputError(f"{path}: ends within its header; download it again")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    if len(content) - start != math.prod(shape):
        raise InputError(f"{path}: {len(content)} bytes do not hold an array of shape {shape}; download it again")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


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
    return ImageArray(pixels, numbers.astype(np.int64), source=str(path))


def holds_idx(path: Path) -> bool:
    """Whether a path is an IDX file of images or a folder that has one."""
    return bool(_image_files(path)) if path.is_dir() else "idx3-ubyte" in path.name


def _image_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*images*idx3-ubyte*"))


def _choose(folder: Path) -> Path:
    files = _image_files(folder)
    train = [file for file in files if file.name.startswith("train")]
    if len(files) == 1 or len(train) == 1:
        return (train or files)[0]
    raise InputError(f"{folder}: name one of its files: {', '.join(file.name for file in files)}")
