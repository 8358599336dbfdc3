"""Hashes of the files that a model was read from, so that a run notices when one of them changes."""

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from torch import nn

from suffice.digest import digest
from suffice.errors import InputError
from suffice.file_digests import digests_of_files
from suffice.models.imported import is_import_path
from suffice.models.source import adapter_and_base

KINDS = {
    "adapter": r"adapter_.*",
    "code": r".*\.py",
    "weights": r".*\.(safetensors|bin)(\.index\.json)?",
    "tokenizer": r"(tokenizer|vocab|merges|special_tokens|added_tokens|spiece|sentencepiece|chat_template).*|.*\.model",
    "processor": r".*processor.*\.json",
    "configuration": r".*\.json",
}
"""What the files of a model are, by their names; the first that fits counts."""

LEFT_OUT = (
    r"(trainer_state|\w+_results|README|generation_config)\..*|(optimizer|scheduler|scaler|rng_state|training_args).*"
)
"""Files that a training leaves, which no model is read from."""

MODULE = r"\d+_\w+"
"""Sub-folders of sentence-transformers, with one module each."""


def contents_of_model(source: str) -> dict[str, str]:
    """The hash of the weights, the configuration, the tokenizer and so on of a model, as its files are now.

    Args:
        source: as `suffice.models.load_classifier` takes it. Of ``package.module:function``, which has been imported,
            the file with the function counts; see `weights_of_imported`.

    Raises:
        InputError: as `suffice.models.source.locate`; a file that cannot be read.

    Example:
        >>> sorted(contents_of_model("builtin:tiny-vit"))
        ['configuration', 'processor', 'weights']
    """
    if is_import_path(source):
        file = getattr(sys.modules[source.partition(":")[0]], "__file__", None)
        return {"code": digest(digests_of_files([] if file is None else [Path(file)]))}
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for number, place in enumerate(adapter_and_base(source)):
        if place is not None:
            root = Path(place) if Path(place).is_dir() else Path(snapshot_download(place, local_files_only=True))
            files = sorted(_files(root))
            for file, held in zip(files, digests_of_files(files), strict=True):
                found[_kind(file.name)][f"{number}/{file.relative_to(root).as_posix()}"] = held
    return {kind: digest(files) for kind, files in sorted(found.items())}


Read = TypeVar("Read")


def read_unchanged(source: str, read: Callable[[], Read]) -> tuple[Read, dict[str, str]]:
    """A model, and the hashes of the files that it was read from.

    Args:
        source: as of `contents_of_model`.
        read: reads it.

    Raises:
        InputError: a file changed meanwhile.
    """
    before = _known(source)
    model = read()
    after = contents_of_model(source)
    if before is not None and before != after:
        raise InputError(f"{source} changed while it was read: run the same command again")
    return model, after


def weights_of_imported(source: str, model: nn.Module) -> dict[str, str]:
    """The hash of the weights that a function gave; nothing of models that have files of their own."""
    return {"weights": digest(model.state_dict())} if is_import_path(source) else {}


def _known(source: str) -> dict[str, str] | None:
    """None of what is not on this machine or not imported yet: it is read in one go."""
    try:
        return contents_of_model(source)
    except (LocalEntryNotFoundError, KeyError):
        return None


def _files(root: Path) -> Iterator[Path]:
    for path in root.iterdir():
        if path.is_dir() and re.fullmatch(MODULE, path.name):
            yield from (file for file in path.iterdir() if _counts(file))
        elif _counts(path):
            yield path


def _counts(path: Path) -> bool:
    is_left_out = path.name.startswith(".") or re.fullmatch(LEFT_OUT, path.name) is not None
    return path.is_file() and not is_left_out and any(re.fullmatch(kind, path.name) for kind in KINDS.values())


def _kind(name: str) -> str:
    return next(kind for kind, names in KINDS.items() if re.fullmatch(names, name))
