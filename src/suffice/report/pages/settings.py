"""How a run is repeated: its command, the settings that differ from their defaults, and what it ran on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suffice.configuration import (
    NO_FLAGS,
    AnalyzeConfig,
    Config,
    CurvatureConfig,
    CurveConfig,
    ForecastConfig,
    HessianConfig,
    MLPConfig,
    MonitorConfig,
    StudyConfig,
    settings_in,
)
from suffice.configuration.language import LANGUAGE, LanguageForecastConfig
from suffice.errors import InputError
from suffice.regular import LARGEST, read_regular
from suffice.report.answers.commands import differing, in_shell
from suffice.report.pages.page import Block, Bullets, Page, Section, Table, Words
from suffice.results import Result

ASKED: Mapping[str, tuple[str, type[Config]]] = {
    "analyze": ("analyze", AnalyzeConfig),
    "curvature": ("curvature", CurvatureConfig),
    "curve": ("curve", CurveConfig),
    "forecast": ("forecast", ForecastConfig),
    "hessian": ("hessian", HessianConfig),
    "language_study": ("study", StudyConfig),
    "methods": ("forecast", ForecastConfig),
    "mlp": ("analyze", MLPConfig),
    "monitor": ("monitor", MonitorConfig),
    "study": ("study", StudyConfig),
}
"""For each kind of result the command that makes it, and the settings of that command."""


def asked_of(result: Result) -> tuple[str, type[Config]]:
    """The command that makes a result, and the settings of that command."""
    if "prompt_column" in result.configuration:  # of a language model
        if result.command == "curve":
            return "forecast", LanguageForecastConfig
        command, config = ASKED[result.command]
        return command, LANGUAGE[config]
    return ASKED[result.command]


def command_of(result: Result) -> str | None:
    """The command that repeats a run; None where some of its settings are not flags."""
    command, config = asked_of(result)
    if not differing(result.configuration, config).keys() <= config.model_fields.keys() - NO_FLAGS:
        return None
    return in_shell(command, result.configuration, config)


def endings(page: Page, folder: Path | None) -> list[Section]:
    """The last sections of every page: notes on the inputs, and how to repeat the run."""
    noted = [Section(f"Notes on the inputs ({len(page.notes)})", [Bullets(page.notes)])] if page.notes else []
    return noted if page.result is None else [*noted, settings(page.result, folder)]


def settings(result: Result, folder: Path | None) -> Section:
    """The settings that differ from their defaults, the software, and the command."""
    name, config = asked_of(result)
    command, changed = command_of(result), differing(result.configuration, config)
    again = f"`suffice {name} --config config.yaml --out FOLDER`"
    words = f"To repeat this run, with the file in this folder: {again}."
    blocks: list[Block] = [Words(words)]
    if command is not None and changed:
        blocks.append(Words(f"Or: `{command}`"))
    if changed:
        rows = [[key, _shown(value)] for key, value in changed.items()]
        same = len(result.configuration) - len(changed)
        caption = f"The other {same} settings have their defaults; config.yaml has all of them." if same > 0 else ""
        blocks.append(Table("settings", ["setting", "value"], rows, caption))
    contents = [[f"contents of the {what}", held] for what, held in _contents(folder).items()]
    rows = [*map(list, result.versions.items()), *contents]
    if rows:
        blocks.append(Table("versions", ["software", "version"], rows))
    return Section("Settings, versions, and how to repeat it", blocks)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not given"}[value]
    return f"{value:,}" if isinstance(value, int) else str(value)


def _contents(folder: Path | None) -> dict[str, str]:
    """The hashes of what a run was made of, from its config.yaml; none where they are not there."""
    file = None if folder is None else folder / "config.yaml"
    if file is None or not file.exists():
        return {}
    try:
        content = settings_in(read_regular(file, LARGEST), file)
    except (OSError, InputError):
        return {}
    found = content.get("contents", {"data": content.get("fingerprint")})  # as earlier versions wrote it
    return {what: held for what, held in found.items() if isinstance(held, str)} if isinstance(found, dict) else {}
