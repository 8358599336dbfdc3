"""Labelled images: folders with one sub-folder per class, and arrays."""

import functools
import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from suffice.data.order import in_order
from suffice.digest import digest
from suffice.errors import InputError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})


class ImageFolder:
    """PNG and JPEG files in one sub-folder a class, in alphabetical order, read when asked for.

    Classes are in the order of the alphabet, or of size where all names are whole numbers.

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

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise InputError(f"{root}: no such folder")
        folders = [folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
        found = {folder.name: _image_files(folder) for folder in folders}
        self.root = root
        self.classes = in_order([name for name, files in found.items() if files])
        if not self.classes:
            raise InputError(f"{root}: no PNG or JPEG files in sub-folders; put those of each class in one sub-folder")
        if len(self.classes) == 1:
            raise InputError(f"{root}: only the class {self.classes[0]!r} has images; at least two classes are needed")
        self.files = [file for name in self.classes for file in found[name]]
        self.labels = np.repeat(np.arange(len(self.classes)), [len(found[name]) for name in self.classes])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Image.Image:
        file = self.files[row]
        try:
            with Image.open(file) as image:
                return _upright_bytes(image)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            # Pillow reports broken files by all of these
            raise InputError(f"{file}: not a readable image ({error}); replace or remove it") from error

    def describe(self, row: int) -> str:
        return str(self.files[row])

    def fingerprint(self) -> str:
        """The hash of all files' names and contents, and of another order of classes than that of the alphabet.

        The files are read at the first call.

        Raises:
            InputError: a file that is missing or cannot be read.
        """
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        contents = {file.relative_to(self.root).as_posix(): _content(file) for file in self.files}
        return digest(contents) if self.classes == sorted(self.classes) else digest(contents, self.classes)


class ImageArray:
    """Greyscale images in one array of bytes.

    Raises:
        InputError: the numbers of images and labels differ, or there are fewer than two classes.
    """

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "samples height width"],
        labels: Int64[np.ndarray, " labels"],
        source: str,
    ) -> None:
        if len(pixels) != len(labels):
            raise InputError(f"{source}: {len(pixels)} images, but {len(labels)} labels")
        if len(np.unique(labels)) < 2:
            raise InputError(f"{source}: only one class; at least two are needed")
        self.source = source
        self.pixels = pixels
        self.labels = labels
        self.classes = [str(label) for label in range(int(labels.max()) + 1)]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Image.Image:
        return Image.fromarray(self.pixels[row])

    def describe(self, row: int) -> str:
        return f"image {row} of {self.source}"

    def fingerprint(self) -> str:
        """The hash of all pixels and labels."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        return digest(self.pixels, self.labels)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, hashlib.blake2b).digest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); replace or remove it") from error


def _upright_bytes(image: Image.Image) -> Image.Image:
    """Rotated by its EXIF orientation; 16-bit grey is scaled to 8 bits, where Pillow's own conversion clips."""
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _image_files(folder: Path) -> list[Path]:
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
    return sorted(file for file in files if file.is_file())
