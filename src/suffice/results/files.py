"""The files of a run that hold its result, and how they are read, whichever command wrote them."""

import json
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from suffice.digest import digest
from suffice.errors import InputError
from suffice.regular import LARGEST, json_in, read_regular
from suffice.results.analysis import AnalysisResult
from suffice.results.curvature import CurvatureResult
from suffice.results.curve import CurveResult
from suffice.results.forecast import ForecastResult
from suffice.results.hessian import HessianResult
from suffice.results.language_study import LanguageStudyResult
from suffice.results.methods import MethodsResult
from suffice.results.mlp import MLPResult
from suffice.results.monitor import MonitorResult
from suffice.results.study import StudyResult

RESULT = "result.json"
"""The file of a run's folder that holds its result."""

CHECKSUM = "checksum"
"""The key of ``result.json`` with the hash of all else in it; earlier versions wrote none."""

ANEW = "run the same command again, which computes only what is missing"

Result: TypeAlias = (
    AnalysisResult
    | CurvatureResult
    | CurveResult
    | ForecastResult
    | HessianResult
    | LanguageStudyResult
    | MethodsResult
    | MLPResult
    | MonitorResult
    | StudyResult
)
"""What a run can answer, one type for each kind of run."""


def _command(content: Any) -> str:
    """The command that wrote a result; earlier versions wrote none for analyze, and base for the MLP experiment."""
    command = content.get("command", "analyze") if isinstance(content, dict) else "analyze"
    return "mlp" if command == "base" else str(command)


_READER: TypeAdapter[Result] = TypeAdapter(
    Annotated[
        Annotated[AnalysisResult, Tag("analyze")]
        | Annotated[CurvatureResult, Tag("curvature")]
        | Annotated[CurveResult, Tag("curve")]
        | Annotated[ForecastResult, Tag("forecast")]
        | Annotated[HessianResult, Tag("hessian")]
        | Annotated[LanguageStudyResult, Tag("language_study")]
        | Annotated[MethodsResult, Tag("methods")]
        | Annotated[MLPResult, Tag("mlp")]
        | Annotated[MonitorResult, Tag("monitor")]
        | Annotated[StudyResult, Tag("study")],
        Discriminator(_command),
    ]
)


def result_as_json(result: Result, indent: int | None = None) -> str:
    """What ``result.json`` holds: the result and, at the end, the hash of it.

    Args:
        result: of any command.
        indent: as of ``json.dumps``.
    """
    text = result.model_dump_json(indent=indent)
    new_line, space = ("", "") if indent is None else ("\n" + " " * indent, " ")
    ending = "" if indent is None else "\n"
    return f'{text[:-1].rstrip()},{new_line}"{CHECKSUM}":{space}"{digest(json.loads(text))}"{ending}}}'


def read_result(folder: Path) -> Result:
    """The result of a finished run, of the type that its command gives.

    Args:
        folder: the run's folder.

    Raises:
        InputError: no ``result.json`` that can be read, a damaged one, or one of another version of suffice.
    """
    file = folder / RESULT
    try:
        content = json_in(read_regular(file, LARGEST))
        is_edited = isinstance(content, dict) and CHECKSUM in content and content.pop(CHECKSUM) != digest(content)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); give the folder of a finished run") from error
    except ValueError as error:
        raise InputError(f"{file} is damaged: {ANEW}") from error
    if is_edited:
        raise InputError(f"{file} is damaged, or was edited (its checksum does not match): {ANEW}")
    try:
        return _READER.validate_json(json.dumps(content))
    except ValidationError as error:
        raise InputError(
            f"{file}: not a result of this version of suffice (fields that differ: {error.error_count()}); "
            "if a suffice command wrote it, run that command again"
        ) from error


def heat_map_file(folder: Path, epoch: int) -> Path:
    """Where a run of ``suffice hessian`` keeps the cells of |H|, |H_o| and |H_f| at an epoch, (3, cells, cells)."""
    return folder / "moments" / f"epoch_{epoch}.npy"
