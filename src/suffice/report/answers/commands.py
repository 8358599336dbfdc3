"""Commands in the words of a shell."""

import shlex
from collections.abc import Mapping
from typing import Any

from suffice.configuration import Config

POSITIONAL = ("model", "data", "scores")


def differing(settings: Mapping[str, Any], config: type[Config]) -> dict[str, Any]:
    """The settings that differ from the defaults of a command, with those that have none."""
    fields = config.model_fields
    return {
        name: value
        for name, value in settings.items()
        if name not in fields
        or fields[name].is_required()
        or value != fields[name].get_default(call_default_factory=True)
    }


def in_shell(command: str, settings: Mapping[str, Any], config: type[Config]) -> str:
    """A command with its settings, of which those that are its defaults are left out.

    Args:
        command: of suffice.
        settings: by name; all of them flags of the command.
        config: the settings of the command.

    Example:
        >>> from suffice.configuration import ForecastConfig
        >>> asked = {"model": "minilm", "data": "my texts.csv", "label_column": "rating", "samples": None}
        >>> in_shell("forecast", asked, ForecastConfig)
        "suffice forecast minilm 'my texts.csv' --label-column rating"
    """
    changed, words = differing(settings, config), ["suffice", command]
    for name in POSITIONAL:
        if name in config.model_fields:
            words += _listed(changed.pop(name, settings.get(name)))
    for name, value in changed.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, list) and value and isinstance(value[0], str):
            words += [word for item in value for word in (flag, item)]
        else:
            words += [flag, ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return shlex.join(words)


def _listed(value: Any) -> list[str]:
    return [] if value is None else list(map(str, value)) if isinstance(value, list) else [str(value)]
