"""From files to labelled images."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from suffice.data.idx import holds_idx, read_idx, read_idx_images
from suffice.data.images import ImageArray, ImageFolder, LabelledImages
from suffice.errors import InputError

__all__ = ["DIGITS", "ImageArray", "ImageFolder", "LabelledImages", "load_images", "read_idx", "read_idx_images"]

DIGITS = "builtin:digits"
"""Names scikit-learn's 1,797 real handwritten digits, 8 x 8 pixels (E. Alpaydin, C. Kaynak, UCI, 1998)."""


def load_images(source: str) -> LabelledImages:
    """Labelled images from a folder with one sub-folder a class, IDX files, or ``builtin:digits``.

    Raises:
        InputError: nothing usable there.

    Example:
        >>> digits = load_images("builtin:digits")
        >>> len(digits), digits[0].size, int(digits.labels[0])
        (1797, (8, 8), 0)
    """
    if source == DIGITS:
        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        return ImageArray(pixels, digits.target.astype(np.int64), source)
    path = Path(source)
    if not path.exists():
        raise InputError(f"{source}: no such file or folder; data are a folder of images, IDX files, or {DIGITS}")
    return read_idx_images(path) if holds_idx(path) else ImageFolder(path)
