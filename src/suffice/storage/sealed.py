"""Files of one's own format that end with the hash of what stands before."""

from pathlib import Path

from suffice.digest import digest
from suffice.errors import InputError
from suffice.storage.writing import atomic_write

LENGTH = len(digest())


def write_sealed(file: Path, held: bytes) -> None:
    """Writes bytes and their hash, whole or not at all."""
    with atomic_write(file) as stream:
        stream.write(held + digest(held).encode())


def read_sealed(file: Path) -> bytes:
    """What was written, without the hash.

    Raises:
        InputError: the file is damaged, or cannot be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "weights.pt"
        >>> write_sealed(file, b"weights")
        >>> read_sealed(file)
        b'weights'
    """
    try:
        sealed = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from error
    held, seal = sealed[:-LENGTH], sealed[-LENGTH:]
    if digest(held).encode() != seal:
        raise InputError(f"{file} is damaged (its checksum does not match)")
    return held
