"""Settings from a file and flags: checked, and refused with one line that says what to do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from suffice.configuration.base import Config
from suffice.configuration.data import CheckConfig
from suffice.configuration.forecast import ForecastConfig
from suffice.configuration.hessian import HessianConfig
from suffice.configuration.measured import AnalyzeConfig, CurvatureConfig
from suffice.configuration.mlp import MLP, MLPConfig
from suffice.configuration.printable import printable, shown
from suffice.configuration.scores import CurveConfig, MonitorConfig
from suffice.configuration.stored import read_settings
from suffice.configuration.study import StudyConfig
from suffice.errors import InputError, nearest

COMMANDS: Mapping[type[Config], str] = {
    AnalyzeConfig: "suffice analyze",
    CurvatureConfig: "suffice curvature",
    MLPConfig: "suffice analyze",
    HessianConfig: "suffice hessian",
    StudyConfig: "suffice study",
    ForecastConfig: "suffice forecast",
    CurveConfig: "suffice curve",
    MonitorConfig: "suffice monitor",
    CheckConfig: "suffice check",
}
"""The command that each configuration is for."""

SHOWN = 3
"""Unknown keys of another command's configuration that a message names, or problems of one of this command."""

_SEPARATOR = re.compile("[\x85\u2028\u2029]")
"""Line breaks to YAML, which would not read back what it has written."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Stand for bytes that are not UTF-8, in names of files and in flags."""

Kind = TypeVar("Kind", bound=Config)


def read_configuration(kind: type[Kind], values: dict[str, Any], file: Path | None = None) -> Kind:
    """The configuration in a YAML file, overridden by values; checked.

    Raises:
        InputError: a file that cannot be read, or whose keys are those of another command; an unknown key (suggests the
        nearest); a value of the wrong type or range.
    """
    stored = {} if file is None else read_settings(file)
    where = "" if file is None else f"{file}: "
    _check_values(where, stored | values)
    try:
        return kind.model_validate(kind.renamed(stored) | kind.renamed(values), strict=False)
    except ValidationError as error:
        told = _of_another_command(kind, stored, file) or _problems(kind, error)
        raise InputError(where + told) from error


def read_analysis(values: dict[str, Any], file: Path | None = None) -> "AnalyzeConfig | MLPConfig":
    """As `read_configuration`; the model ``builtin:mlp`` has a configuration of its own kind."""
    stored = {} if file is None else read_settings(file)
    if (stored | values).get("model") == MLP:
        return read_configuration(MLPConfig, values, file)
    return read_configuration(AnalyzeConfig, values, file)


def _check_values(where: str, values: Mapping[str, Any]) -> None:
    """Refuses numbers and characters at which what comes later stumbles.

    Raises:
        InputError: names the key.
    """
    for key, value in values.items():
        inner = [value]
        while inner:
            part = inner.pop()
            if isinstance(part, Mapping):
                inner += [*part, *part.values()]
            elif isinstance(part, list | tuple | set):
                inner += part
            elif isinstance(part, int) and part.bit_length() > 63:
                raise InputError(f"{where}{shown(key)} = {shown(part)}: too large, the largest is 2^63 - 1")
            elif isinstance(part, str) and "\0" in part:
                raise InputError(f"{where}{shown(key)} = {shown(part)}: has a NUL character, which no name has")
            elif isinstance(part, str) and not part.isascii() and _SEPARATOR.search(part):
                raise InputError(f"{where}{shown(key)} = {shown(part)}: has a line separator; rename it")
            elif isinstance(part, str) and not part.isascii() and _SURROGATE.search(part):
                raise InputError(f"{where}{shown(key)} = {shown(part)}: is not UTF-8; rename it")


def _problems(kind: type[Config], error: ValidationError) -> str:
    """What is wrong with a configuration, the first few things."""
    problems = error.errors(include_url=False, include_context=False)
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "; ".join(_plain(kind, problem) for problem in problems[:SHOWN]) + more


def _plain(kind: type[Config], problem: Any) -> str:
    key = str(problem["loc"][0]) if problem["loc"] else "configuration"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {shown(key)}{nearest(key[:80], list(kind.model_fields))}"
    if problem["type"] == "missing":
        return f"{key} is missing: {kind.model_fields[key].description}"
    said = printable(problem["msg"])
    return f"{key} = {shown(problem['input'])}: {said[0].lower()}{said[1:]}"


def _of_another_command(kind: type[Config], stored: Mapping[str, Any], file: Path | None) -> str:
    """What to say of a file with keys that this command does not have and another one has; empty for other files."""
    unknown = kind.renamed(stored).keys() - kind.model_fields.keys()
    own = kind.COMMAND or COMMANDS[kind]
    others = dict.fromkeys(
        command
        for other, command in COMMANDS.items()
        if command != own and other.renamed(stored).keys() <= other.model_fields.keys()
    )
    if not unknown or not others:
        return ""
    first = ", ".join(shown(key) for key in sorted(unknown)[:SHOWN])
    more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    return (
        f"this is a configuration of {' or '.join(others)}, not of {own} (unknown "
        f"key{'s' if len(unknown) > 1 else ''} {first}{more}): run {next(iter(others))} --config {file}"
    )
