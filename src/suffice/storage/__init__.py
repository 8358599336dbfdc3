"""What is kept on disk: whole files, arrays in checksummed shards, pieces of results, and folders with one writer."""

from suffice.storage.differences import differences
from suffice.storage.locking import LOCK, locked, owner_of, waiting
from suffice.storage.pieces import Pieces
from suffice.storage.shards import METADATA, RowShards
from suffice.storage.writing import PARTIAL, atomic_write, sync_folder

__all__ = [
    "LOCK",
    "METADATA",
    "PARTIAL",
    "Pieces",
    "RowShards",
    "atomic_write",
    "differences",
    "locked",
    "owner_of",
    "sync_folder",
    "waiting",
]
