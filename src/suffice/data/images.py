"""Labelled images: files, folders with one sub-folder per class, and arrays."""

import functools
import hashlib
import io
import os
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from suffice.data.collection import Collection, Skipped
from suffice.data.order import in_order
from suffice.data.samples import Header
from suffice.data.splits import split_named
from suffice.digest import digest
from suffice.errors import InputError
from suffice.file_digests import digest_of_bytes, digests_of_files

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""What Pillow may take a file for; of a GIF and of a TIFF with pages, the first image counts."""

LARGEST = 89_000_000
"""Pixels of an image, such as 9,400 x 9,400; Pillow itself refuses only twice as many."""

OF_ARCHIVES = frozenset({"__MACOSX"})
"""Folders that archivers leave behind."""

BROKEN = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    OverflowError,
    MemoryError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    NotImplementedError,
    ZeroDivisionError,
    RuntimeError,
    struct.error,
)
"""Pillow reports broken files by all of these."""


class ImageFiles:
    """Image files, read when asked for: upright, in 8-bit grey or RGB.

    Args:
        files: one per sample.
        labels: indices into ``classes``.
        classes: the name of each class.
        root: the folder from which names count.
        groups: the group of each sample, see `suffice.data.groups_of`.

    Raises:
        InputError: when an image is used, a file that is missing or broken.
    """

    def __init__(
        self,
        files: Sequence[Path],
        labels: Int64[np.ndarray, " samples"],
        classes: Sequence[str],
        root: Path,
        groups: Int64[np.ndarray, " samples"] | None = None,
    ) -> None:
        self.files = files
        self.labels = labels
        self.classes = list(classes)
        self.root = root
        self.groups = groups

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Image.Image:
        name = shown(self.files[row])
        if "_contents" not in vars(self):
            return read_image(self.files[row], name)
        held = _held(self.files[row])
        if digest_of_bytes(held) != self._contents[row]:
            raise InputError(f"{name} has changed since suffice read it: restore it, or run the same command again")
        return read_image(held, name)

    def header(self, row: int) -> Header:
        """Mode and size of an image, without decoding it.

        Raises:
            InputError: a file that is missing or no image.
        """
        return read_header(self.files[row], shown(self.files[row]))

    def describe(self, row: int) -> str:
        return shown(self.files[row])

    def contents(self) -> Sequence[str]:
        """The hash of each file; the files are read at the first call, unless they are known not to have changed.

        Raises:
            InputError: a file that is missing or cannot be read.
        """
        return self._contents

    @functools.cached_property
    def _contents(self) -> list[str]:
        return digests_of_files(self.files)

    def fingerprint(self) -> str:
        """The hash of all files' names and contents, and of another order of classes than that of the alphabet.

        Raises:
            InputError: a file that is missing or cannot be read.
        """
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        names = (os.path.relpath(file, self.root).replace(os.sep, "/") for file in self.files)
        contents = dict(zip(names, self.contents(), strict=True))
        return self._identity(contents)

    def _identity(self, contents: dict[str, str]) -> str:
        held = [contents, self.labels, self.classes]
        return digest(*held) if self.groups is None else digest(*held, self.groups)


TABLES = {".jsonl", ".csv", ".tsv", ".parquet"}
"""Files that hold samples themselves, and are named by their own path."""


class ImageFolder(ImageFiles):
    """Images in one sub-folder a class, in alphabetical order: PNG, JPEG, WebP, BMP, TIFF, and the first image of GIF.

    Classes are in the order of the alphabet, or of size where all names are whole numbers. Where the sub-folders are
    called train, val or test, the classes are in these; see `read_folder`.

    Raises:
        InputError: no such folder, no images, or fewer than two classes; when an image is used, a file that is missing
        or broken.

    Example:
        >>> import pathlib, tempfile
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (root / name).mkdir()
        ...     Image.new("L", (4, 4)).save(root / name / "1.png")
        >>> images = ImageFolder(root)
        >>> images.classes, images.labels.tolist(), images[0].size
        (['cat', 'dog'], [0, 1], (4, 4))
    """

    def __init__(self, root: Path, exclude: Sequence[str] = ()) -> None:
        if not root.is_dir():
            raise InputError(f"{root}: no such folder")
        found, self.skipped = _found(root, exclude)
        counts: dict[str, int] = defaultdict(int)
        for file in found:
            counts[file.label] += 1
        classes = in_order(list(counts))
        if not classes:
            tables = [file for file in root.rglob("*") if file.suffix in TABLES]
            tables.sort(key=lambda file: ("train" not in file.name, file))
            if tables:
                raise InputError(
                    f"{root}: holds tables and no images in sub-folders: name a table, such as {tables[0]}, and one to "
                    "test on with --test"
                )
            raise InputError(
                f"{root}: no images in sub-folders ({', '.join(sorted(SUFFIXES))}); put those of each class in one "
                f"sub-folder{_first(self.skipped)}"
            )
        if len(classes) == 1:
            raise InputError(f"{root}: only the class {classes[0]!r} has images; at least two classes are needed")
        numbers = {name: number for number, name in enumerate(classes)}
        found.sort(key=lambda file: (numbers[file.label], file.split or "", file.path))
        labels = np.array([numbers[file.label] for file in found], dtype=np.int64)
        super().__init__([file.path for file in found], labels, classes, root)
        splits = [file.split for file in found]
        self.split_of = None if splits[0] is None else np.array(splits)

    def _identity(self, contents: dict[str, str]) -> str:
        """The names of files tell their classes."""
        return digest(contents) if self.classes == sorted(self.classes) else digest(contents, self.classes)


class ImageArray:
    """Images in one array of bytes.

    Args:
        pixels: grey, or with 3 channels last.
        labels: indices into ``classes``.
        source: the name of the file.
        classes: the names; by default the numbers up to the largest label.
        notes: what there is to say of the source.

    Raises:
        InputError: the numbers of images and labels differ, or there are fewer than two classes.
    """

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "samples height width *channels"],
        labels: Int64[np.ndarray, " labels"],
        source: str,
        classes: Sequence[str] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        if len(pixels) != len(labels):
            raise InputError(f"{source}: {len(pixels)} images, but {len(labels)} labels")
        if len(np.unique(labels)) < 2:
            raise InputError(f"{source}: only one class; at least two are needed")
        self.source = source
        self.pixels = pixels
        self.notes = notes
        self.labels = labels
        self.classes = [str(label) for label in range(int(labels.max()) + 1)] if classes is None else list(classes)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Image.Image:
        return Image.fromarray(self.pixels[row])

    def header(self, row: int) -> Header:
        """Mode and size of an image."""
        height, width = self.pixels.shape[1:3]
        return Header("L" if self.pixels.ndim == 3 else "RGB", width, height)

    def describe(self, row: int) -> str:
        return f"image {row} of {self.source}"

    def contents(self) -> Sequence[bytes]:
        """The hash of each image."""
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self.pixels]

    def fingerprint(self) -> str:
        """The hash of all pixels and labels."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        return digest(self.pixels, self.labels)


def read_folder(root: Path, exclude: Sequence[str] = (), split: str | None = None) -> Collection:
    """The images of a folder with one sub-folder for each class, or for each split and in it each class.

    Args:
        root: the folder.
        exclude: globs of files and folders to leave out, by their names or their paths from the folder on.
        split: the split to use; by default that to train on.

    Raises:
        InputError: as `ImageFolder`; no such split.
    """
    images = ImageFolder(root, exclude)
    return Collection(str(root), images, images.split_of, images.skipped, chosen=split)


def read_image(source: Path | bytes, name: str) -> Image.Image:
    """An image from a file or its bytes: upright by its EXIF orientation, in 8-bit grey or RGB.

    Args:
        source: the file, or what it holds.
        name: what to call it in messages.

    Raises:
        InputError: it is missing, broken, or says that it has more than 89 million pixels.
    """
    try:
        with Image.open(_stream(source), formats=FORMATS) as image:
            _refuse_vast(image)
            return _upright_bytes(image)
    except BROKEN as error:
        raise InputError(f"{name}: not a readable image ({_said(error)}); replace or remove it") from error


def read_header(source: Path | bytes, name: str) -> Header:
    """Mode and size of an image, without decoding it; errors are as those of `read_image`."""
    try:
        with Image.open(_stream(source), formats=FORMATS) as image:
            _refuse_vast(image)
            return Header(image.mode, *image.size)
    except BROKEN as error:
        raise InputError(f"{name}: not a readable image ({_said(error)}); replace or remove it") from error


def shown(path: Path) -> str:
    """The name of a file, with escapes for bytes that are not UTF-8.

    Example:
        >>> shown(Path(os.fsdecode(b"caf\\xe9.png")))
        'caf\\\\xe9.png'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class _File(NamedTuple):
    path: Path
    label: str
    split: str | None


def _found(root: Path, exclude: Sequence[str]) -> tuple[list[_File], list[Skipped]]:
    """Image files below a folder, and all other files."""
    skipped: list[Skipped] = []
    images: list[tuple[Path, tuple[str, ...]]] = []
    for path in _files(root, skipped):
        relative = path.relative_to(root)
        name, folders = shown(relative), relative.parts[:-1]
        if any(part.startswith(".") or part in OF_ARCHIVES for part in relative.parts):
            skipped.append(Skipped(name, "hidden"))
        elif _is_excluded(name, exclude):
            skipped.append(Skipped(name, "left out by --exclude"))
        elif path.suffix.lower() not in SUFFIXES:
            skipped.append(Skipped(name, f"no image ({path.suffix.lower() or 'no suffix'})"))
        elif not folders:
            skipped.append(Skipped(name, "in no sub-folder of a class"))
        else:
            images.append((path, folders))
    return _classified(root, images, skipped), skipped


def _classified(root: Path, images: Sequence[tuple[Path, tuple[str, ...]]], skipped: list[Skipped]) -> list[_File]:
    """The class of each image, and its split where the outer folders are splits."""
    outer = {folders[0] for _, folders in images}
    holds_folders = {folders[0] for _, folders in images if len(folders) > 1}
    splits = {name for name in outer if split_named(name) is not None}
    # a folder with a split's name that holds images itself, beside folders of classes, could be either
    if splits and not splits & holds_folders and outer - splits:
        name = min(splits)
        raise InputError(
            f"{root / name}: is this a split or a class? As a split it needs a sub-folder for each class, as a class "
            "another name"
        )
    found = []
    for path, folders in images:
        split = split_named(folders[0])
        if not splits:
            found.append(_File(path, _class_name(root, folders[0]), None))
        elif split is None:
            skipped.append(Skipped(shown(path.relative_to(root)), f"beside the split {min(splits)}, in none"))
        elif len(folders) == 1:
            skipped.append(Skipped(shown(path.relative_to(root)), "in no sub-folder of a class"))
        else:
            found.append(_File(path, _class_name(root, folders[1]), split))
    return found


def _class_name(root: Path, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{root}: the name of the folder {shown(Path(name))!r} is not UTF-8; rename it") from error
    return name


def _files(folder: Path, skipped: list[Skipped], above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All files below a folder, through links but never in a circle."""
    real = os.path.realpath(folder)
    if real in above:
        skipped.append(Skipped(shown(folder), "a link to a folder that it is in"))
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{shown(folder)}: cannot be read ({error.strerror}); allow it, or leave it out") from error
    for entry in entries:
        path = folder / entry.name
        try:
            if entry.is_dir():
                yield from _files(path, skipped, (*above, real))
            elif entry.is_file():
                yield path
            else:
                skipped.append(Skipped(shown(path), "a link to nothing, or no file"))
        except OSError as error:  # a link to itself
            skipped.append(Skipped(shown(path), f"cannot be followed ({error.strerror})"))


def _is_excluded(name: str, patterns: Sequence[str]) -> bool:
    parts = name.split("/")
    names = {name, parts[-1], *parts[:-1]}
    return any(fnmatch(part, pattern) for pattern in patterns for part in names)


def _first(skipped: Sequence[Skipped]) -> str:
    return f"; {len(skipped):,} files are none, such as {skipped[0].name} ({skipped[0].reason})" if skipped else ""


def _held(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{shown(file)}: cannot be read ({error.strerror}); replace or remove it") from error


def _stream(source: Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _said(error: BaseException) -> str:
    return " ".join(str(error).encode("utf-8", "backslashreplace").decode().split())[:200] or type(error).__name__


def _refuse_vast(image: Image.Image) -> None:
    """Before its pixels are decoded.

    Raises:
        Image.DecompressionBombError: more pixels than are read.
    """
    width, height = image.size
    if width * height > LARGEST:
        raise Image.DecompressionBombError(
            f"{width:,} x {height:,} pixels, and at most {LARGEST:,} are read: a decompression bomb, or make it smaller"
        )


def _upright_bytes(image: Image.Image) -> Image.Image:
    """Rotated by its EXIF orientation; 16-bit grey is scaled to 8 bits, where Pillow's own conversion clips."""
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown scale: save it with 8 or 16 bits")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")
