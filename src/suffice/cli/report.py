"""``suffice report RUN``."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from suffice.errors import InputError
from suffice.report import write_report
from suffice.results import Result


def report(run: Annotated[Path, typer.Argument(help="Folder of a run, with its result.json.")]) -> None:
    """Write the report and the figures of a finished run anew, from its result.json.

    [bold]Example[/bold]

        suffice report runs/demo
    """
    file = run / "result.json"
    try:
        result = Result.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give the folder of a finished run") from error
    except ValidationError as error:
        raise InputError(
            f"{file}: not a result of this version of suffice ({error.error_count()} fields differ)"
        ) from error
    write_report(result, run)
    Console().print(f"Report: {run / 'report.html'}", markup=False, soft_wrap=True)
