"""``suffice report RUN``."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pydantic
import pydantic_core
import typer
from rich.console import Console

from suffice.errors import InputError
from suffice.report import (
    write_base_report,
    write_forecast_report,
    write_hessian_report,
    write_report,
    write_study_report,
)
from suffice.results import BaseResult, ForecastResult, HessianResult, Result, StudyResult

KINDS: dict[str | None, tuple[type[pydantic.BaseModel], Callable[[Any, Path], None]]] = {
    None: (Result, write_report),
    "hessian": (HessianResult, write_hessian_report),
    "base": (BaseResult, write_base_report),
    "forecast": (ForecastResult, write_forecast_report),
    "study": (StudyResult, write_study_report),
}
"""What a run wrote, and what writes its report, by the command that made it; ``suffice analyze`` names none."""


def report(run: Annotated[Path, typer.Argument(help="Folder of a run, with its result.json.")]) -> None:
    """Write the report and the figures of a finished run anew, from its result.json.

    [bold]Example[/bold]

        suffice report runs/demo
    """
    file = run / "result.json"
    try:
        content = pydantic_core.from_json(file.read_bytes())
        command = content.get("command") if isinstance(content, dict) else None
        kind, write = KINDS.get(command, KINDS[None])
        result = kind.model_validate(content, strict=False)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give the folder of a finished run") from error
    except pydantic.ValidationError as error:
        raise InputError(
            f"{file}: not a result of this version of suffice ({error.error_count()} fields differ)"
        ) from error
    write(result, run)
    Console().print(f"Report: {run / 'report.html'}", markup=False, soft_wrap=True)
