"""What is kept on disk or in a store: whole files, arrays in checksummed shards, pieces of results, and one writer."""

from suffice.storage.differences import differences
from suffice.storage.locking import LOCK, locked, owner_of, waiting
from suffice.storage.manifest import MANIFEST, faults_of_files, write_manifest
from suffice.storage.pieces import Pieces, faults_of_piece
from suffice.storage.places import (
    Place,
    StoreError,
    count_files,
    exists,
    files_within,
    named,
    names_in,
    place,
    read_bytes,
    read_json,
)
from suffice.storage.sealed import read_sealed, write_sealed
from suffice.storage.shards import METADATA, DamagedArrayError, RowShards
from suffice.storage.writing import PARTIAL, atomic_write, sync_folder

__all__ = [
    "LOCK",
    "MANIFEST",
    "METADATA",
    "PARTIAL",
    "DamagedArrayError",
    "Pieces",
    "Place",
    "RowShards",
    "StoreError",
    "atomic_write",
    "count_files",
    "differences",
    "exists",
    "faults_of_files",
    "faults_of_piece",
    "files_within",
    "locked",
    "named",
    "names_in",
    "owner_of",
    "place",
    "read_bytes",
    "read_json",
    "read_sealed",
    "sync_folder",
    "waiting",
    "write_manifest",
    "write_sealed",
]
