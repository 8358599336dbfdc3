"""NPZ files of images or texts, and their labels."""

import math
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from suffice.data.collection import Collection
from suffice.data.columns import chosen_split
from suffice.data.images import ImageArray
from suffice.data.labels import classes_of
from suffice.data.reading import Reading
from suffice.data.samples import LabelledSamples
from suffice.data.splits import split_named
from suffice.data.texts import LabelledTexts
from suffice.data.zipped import refuse_bomb, refuse_memory
from suffice.errors import InputError, reason

CONTENTS = ("images", "image", "x", "data", "texts", "text")
LABELS = ("labels", "label", "y", "targets", "target")
"""Names of arrays; one of a split has the split before or behind it, such as ``train_images`` or ``x_train``."""


BROKEN = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    MemoryError,
    SyntaxError,
    RuntimeError,
)
"""A broken or encrypted archive fails by all of these."""

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""How the header of an array is read, by its version; only arrays of records have others."""


def read_arrays(path: Path, reading: Reading) -> Collection:
    """The samples of an NPZ file: arrays ``images`` or ``x``, and ``labels`` or ``y``, also by split.

    Images are (samples, height, width) or (samples, height, width, 1 or 3): bytes, truth values, or numbers from 0 to
    1. An array of texts is (samples,). Labels are (samples,) or (samples, 1): whole numbers or texts. Objects,
    which would have to be unpickled, are refused.

    Raises:
        InputError: a file that cannot be read, or arrays that are missing or of other shapes.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "images.npz"
        >>> np.savez(file, images=np.zeros((4, 8, 8), dtype=np.uint8), labels=np.array([0, 1, 0, 1]))
        >>> samples = read_arrays(file, Reading()).samples
        >>> len(samples), samples.classes, samples[0].size
        (4, ['0', '1'], (8, 8))
    """
    refuse_bomb(path)
    try:
        refuse_memory(path, _declared(path))
        with np.load(path, allow_pickle=False) as stored:
            held = {name: np.asarray(stored[name]) for name in stored.files if _role(name) is not None}
            names = list(stored.files)
    except InputError:
        raise
    except BROKEN as error:
        told = str(error)
        remedy = "; save labels and texts as arrays of texts, not of objects" if "allow_pickle" in told else ""
        raise InputError(f"{path}: not an NPZ of plain arrays ({reason(error)}){remedy}") from error
    pairs = _pairs(path, held, names)
    contents = {split: _pixels_or_texts(path, name, held[name]) for split, (name, _) in pairs.items()}
    labels = {split: _labels(path, name, held[name]) for split, (_, name) in pairs.items()}
    for split, (name, of_labels) in pairs.items():
        if len(contents[split]) != len(labels[split]):
            raise InputError(
                f"{path}: {name} has {len(contents[split]):,} samples, and {of_labels} {len(labels[split]):,}"
            )
    shapes = {array.shape[1:] for array in contents.values()}
    if len(shapes) > 1 or len({array.dtype.kind for array in contents.values()}) > 1:
        raise InputError(f"{path}: the splits have different kinds of samples ({', '.join(map(str, shapes))})")
    joined, words = np.concatenate(list(contents.values())), np.concatenate(list(labels.values()))
    if not len(joined):
        raise InputError(f"{path}: holds no samples")
    distinct, codes = np.unique(words, return_inverse=True)
    codes, classes = codes.astype(np.int64), [str(name) for name in distinct.tolist()]
    if reading.task == "classification":
        codes, classes = classes_of(codes, classes, str(path))
    samples: LabelledSamples
    if joined.dtype.kind == "U":
        samples = LabelledTexts(joined.tolist(), codes, classes, range(1, len(joined) + 1), str(path), unit="text")
    else:
        samples = ImageArray(joined, codes, str(path), classes)
    split_of = None if "" in pairs else np.repeat(list(pairs), [len(array) for array in labels.values()])
    return Collection(str(path), samples, split_of, chosen=chosen_split(reading.split))


def _declared(path: Path) -> int:
    """The bytes that the arrays take that would be read; their headers are all that is unpacked.

    Raises:
        InputError: an array whose header says another size than its entry.
    """
    total = 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name == entry.filename or _role(name) is None:
                continue
            with archive.open(entry) as stream:
                read_header = HEADERS.get(np.lib.format.read_magic(stream))
                if read_header is None:
                    raise ValueError(f"{name} is an array of records")
                shape, _, kind = read_header(stream)
                size, held = math.prod(shape) * kind.itemsize, entry.file_size - stream.tell()
            if size != held and not kind.hasobject:
                raise InputError(
                    f"{path}: the header of {name} promises {size:,} bytes for an array of shape {shape}, and {held:,} "
                    "follow; save it again"
                )
            total += size
    return total


def _role(name: str) -> tuple[str, str] | None:
    """Whether an array holds contents or labels, and of which split ("" for none)."""
    words = [word for word in re.split(r"[_\W]+", name.lower()) if word]
    splits = [split for word in words if (split := split_named(word))]
    others = [word for word in words if split_named(word) is None]
    if len(others) != 1 or len(splits) > 1:
        return None
    split = splits[0] if splits else ""
    return ("contents", split) if others[0] in CONTENTS else ("labels", split) if others[0] in LABELS else None


def _pairs(path: Path, held: dict[str, np.ndarray], names: list[str]) -> dict[str, tuple[str, str]]:
    """For each split, the names of the arrays of contents and labels."""
    found: dict[str, dict[str, str]] = {}
    for name in held:
        role, split = _role(name) or ("", "")
        other = found.setdefault(split, {}).setdefault(role, name)
        if other != name:
            raise InputError(f"{path}: {_named(other)} and {_named(name)} could both hold the {role}; leave one out")
    whole = {split: (of["contents"], of["labels"]) for split, of in found.items() if len(of) == 2}
    if not whole:
        raise InputError(
            f"{path}: has {', '.join(map(_named, names[:10])) or 'nothing'}; it needs images and labels, or x and y, "
            "or these for each split, such as x_train and y_train"
        )
    return {"": whole[""]} if "" in whole else whole


def _pixels_or_texts(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "U" and array.ndim == 1:
        return array
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] != 3) or 0 in array.shape[1:]:
        more = "; channels come last" if array.ndim == 4 else ""
        rows = "; for features see suffice.forecast_head" if array.ndim == 2 else ""
        raise InputError(
            f"{path}: {name} is {array.shape}; images are (samples, height, width) or (samples, height, width, 3), "
            f"and texts (samples,){more}{rows}"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return np.asarray(array * 255, dtype=np.uint8)
    if array.dtype == np.uint16:
        return np.asarray(array // 257, dtype=np.uint8)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: {name} holds {array.dtype}; images are bytes, or numbers from 0 to 1")
    if array.size and not np.isfinite(array).all():
        raise InputError(f"{path}: {name} holds values that are not finite; repair them")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.asarray(np.rint(array * 255), dtype=np.uint8)
    if low >= 0 and high <= 255 and (array == np.rint(array)).all():
        return np.asarray(array, dtype=np.uint8)
    raise InputError(
        f"{path}: {name} has values from {low:.4g} to {high:.4g}; images are bytes from 0 to 255, or "
        "numbers from 0 to 1"
    )


def _labels(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"{path}: {name} is {array.shape}; labels are (samples,), one for each sample")
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuUb":
        raise InputError(f"{path}: {name} holds {array.dtype}; labels are whole numbers or texts")
    return array.astype(np.str_)


def _named(array: str) -> str:
    """The name of an array, on one line whatever is in it."""
    return array if array.isprintable() else repr(array)
