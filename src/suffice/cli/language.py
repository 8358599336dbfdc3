"""Whether a command is about a language model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suffice.configuration import Config, read_settings
from suffice.language_configuration import said_to_be_of_language


def is_of_language(kind: type[Config], flags: Mapping[str, Any], file: Path | None) -> bool:
    """Whether the settings are those of a language model; where they do not say so, the model and the data decide.

    Args:
        kind: of the settings for a classifier.
        flags: that were given.
        file: with settings, which the flags override.

    Raises:
        InputError: a file that cannot be read, or flags that do not go together.
    """
    given = {**({} if file is None else read_settings(file)), **flags}
    said = said_to_be_of_language(kind, given)
    if said is not None:
        return said
    model, data, split = (given.get(name) for name in ("model", "data", "split"))
    if not isinstance(model, str) or not isinstance(data, str):
        return False
    from suffice.runs.texts import is_of_language as told_by_files

    return told_by_files(model, data, split if isinstance(split, str) else None)
