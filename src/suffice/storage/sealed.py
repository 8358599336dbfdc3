"""Files of one's own format that end with the hash of what stands before."""

from pathlib import Path

from suffice.digest import digest
from suffice.errors import InputError
from suffice.storage.places import Place, read_bytes, replace
from suffice.storage.writing import atomic_write

LENGTH = len(digest())


def write_sealed(file: Place, held: bytes) -> None:
    """Writes bytes and their hash, whole or not at all, in the place of what was there."""
    sealed = held + digest(held).encode()
    if not isinstance(file, Path):
        replace(file, sealed)
        return
    with atomic_write(file) as stream:
        stream.write(sealed)


def read_sealed(file: Place) -> bytes:
    """What was written, without the hash.

    Raises:
        StoreError: the store does not answer.
        InputError: the file is damaged, or cannot be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "weights.pt"
        >>> write_sealed(file, b"weights")
        >>> read_sealed(file)
        b'weights'
    """
    try:
        sealed = read_bytes(file)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from error
    held, seal = sealed[:-LENGTH], sealed[-LENGTH:]
    if digest(held).encode() != seal:
        raise InputError(f"{file} is damaged (its checksum does not match)")
    return held
