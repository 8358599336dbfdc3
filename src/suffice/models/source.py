"""Where a model is: embedded, in a folder, or on the hub, which is asked once and not waited for."""

import difflib
import functools
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils._validators import validate_repo_id
from peft import PeftConfig
from transformers.utils.hub import cached_file

from suffice.errors import InputError, nearest

BUILT_IN = "builtin:"
"""Begins the names of embedded models."""

TINY_VIT = "builtin:tiny-vit"
"""Names the embedded Vision Transformer: 205,066 parameters, pretrained on Fashion-MNIST at 28 x 28 pixels."""

TINY_LM = "builtin:tiny-lm"
"""Names the embedded language model: 697,216 parameters, pretrained on plays and arithmetic."""

MLP = "builtin:mlp"
"""Names the networks of the MLP experiment, which ``suffice analyze`` makes itself."""

EMBEDDED = {TINY_VIT: "tiny_vit", TINY_LM: "tiny_lm"}
"""Folders of the package that hold checkpoints."""

ADAPTER = "adapter_config.json"
"""PEFT's file that describes an adapter."""

PATIENCE = 5.0
"""Seconds that the hub may take to say whether it has a model."""


def locate(source: str) -> str:
    """The folder of a model, or its name on the hub if the hub has it and can be reached.

    The hub is asked once, without retries. Where it cannot be reached, a copy that was downloaded before is taken.

    Args:
        source: a folder, a name on the hub, ``builtin:tiny-vit`` or ``builtin:tiny-lm``.

    Raises:
        InputError: no such folder, built-in model or model on the hub; several adapters in one folder; or a model that
            neither the hub nor an earlier download gives.

    Example:
        >>> locate("builtin:tinyvit")
        Traceback (most recent call last):
        suffice.errors.InputError: builtin:tinyvit: no such built-in model; did you mean "builtin:tiny-vit"?
    """
    if source in EMBEDDED:
        return str(files("suffice.models") / EMBEDDED[source])
    if source.startswith(BUILT_IN):
        known = {name.removeprefix(BUILT_IN): name for name in (*EMBEDDED, MLP)}
        likely = _close(source.removeprefix(BUILT_IN), known)
        every = f"; there are {', '.join(EMBEDDED)} and, for suffice analyze, {MLP}"
        raise InputError(f"{source}: no such built-in model{likely or every}")
    folder = Path(source).expanduser()
    if source and folder.is_dir():
        _check_adapters(folder)
        return str(folder)
    if folder.is_file():
        raise InputError(
            f"{source}: a file, and a model is a folder with config.json and weights: give {folder.parent}"
        )
    return _on_the_hub(source, _likely(source, folder))


def adapter_and_base(source: str) -> tuple[str | None, str]:
    """Where the adapter of PEFT is, if the source is one, and where the model without it.

    Raises:
        InputError: as `locate`, or the model that the adapter is for is missing.
    """
    place = locate(source)
    if cached_file(place, ADAPTER, _raise_exceptions_for_missing_entries=False) is None:
        return None, place
    base = PeftConfig.from_pretrained(place).base_model_name_or_path
    if not base:
        raise InputError(
            f"{source}: its {ADAPTER} names no base_model_name_or_path: write the folder of the model there"
        )
    try:
        return place, locate(base)
    except InputError as error:
        raise InputError(
            f"{source}: the model that this adapter is for is missing ({error}); write its folder into "
            f"base_model_name_or_path of {ADAPTER}"
        ) from error


@functools.cache
def _on_the_hub(source: str, likely: str) -> str:
    try:
        validate_repo_id(source)
    except HFValidationError:
        raise InputError(f"{source}: no such folder{likely or _advice()}") from None
    if source.startswith((".", "~")):  # valid names on the hub, but meant as folders
        raise InputError(f"{source}: no such folder{likely or _advice()}")
    try:
        HfApi().model_info(source, timeout=PATIENCE)
    except GatedRepoError:
        raise InputError(f"{source}: the hub gives it to those only who accepted its terms: do, and log in") from None
    except RepositoryNotFoundError:
        raise InputError(f"{source}: no such folder, and no such model on the hub{likely or _advice()}") from None
    except HfHubHTTPError as error:
        return _downloaded(source, f"the hub answers {error.response.status_code}", likely)
    except Exception:  # whichever HTTP library the hub's client uses, or no network, or offline mode
        return _downloaded(source, "the hub cannot be reached", likely)
    return source


def _downloaded(source: str, reason: str, likely: str) -> str:
    try:
        return str(snapshot_download(source, local_files_only=True))
    except LocalEntryNotFoundError:
        raise InputError(
            f"{source}: no such folder, and {reason} to ask for a model of this name{likely or _advice()}"
        ) from None


def _likely(source: str, folder: Path) -> str:
    """The embedded model, or a folder beside the one that is meant, whose name is most like what was given."""
    beside = folder.parent
    folders = {path.name: str(path) for path in beside.iterdir() if path.is_dir()} if beside.is_dir() else {}
    return _close(folder.name, folders) or nearest(source, [TINY_VIT])


def _close(name: str, known: Mapping[str, str]) -> str:
    """A question that offers what has the known name most like this one, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{known[close[0]]}"?' if close else ""


def _advice() -> str:
    return f": give a local folder with config.json and weights, or {TINY_VIT}"


def _check_adapters(folder: Path) -> None:
    """Refuses a folder of several adapters, of which none has been chosen."""
    if (folder / "config.json").exists() or (folder / ADAPTER).exists():
        return
    adapters = sorted(file.parent.name for file in folder.glob(f"*/{ADAPTER}"))
    if adapters:
        raise InputError(f"{folder}: holds the adapters {', '.join(adapters)}: give {folder / adapters[0]}, or another")
