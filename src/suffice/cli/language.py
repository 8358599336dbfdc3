"""Whether a command is about a language model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suffice.configuration import Config, read_settings
from suffice.configuration.language import OF_LABELS, refuse_flags_of_classifiers, said_to_be_of_language


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
    model, data, *how = (_word(given.get(name)) for name in ("model", "data", "split", "delimiter", "encoding"))
    if said or data is None or given.keys() & OF_LABELS:
        return bool(said)
    from suffice.runs.texts import is_of_language as told_by_files

    found = told_by_files(model, data, *how)
    if found and said is False:
        refuse_flags_of_classifiers(kind, given, f"{data} is for a language model")
    return found


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None
