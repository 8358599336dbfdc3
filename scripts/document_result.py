"""Writes docs/result.md, the documentation of result.json, from the fields of suffice.results.

python scripts/document_result.py
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, PlainSerializer
from pydantic.fields import FieldInfo

from suffice.results import (
    AnalysisResult,
    CurvatureResult,
    CurveResult,
    ForecastResult,
    HessianResult,
    LanguageStudyResult,
    MethodsResult,
    MLPResult,
    MonitorResult,
    StudyResult,
)

DOCUMENT = Path(__file__).parents[1] / "docs" / "result.md"

INTRODUCTION = """# result.json

Every run writes one: that of `suffice analyze` and `suffice demo` first, then those of `suffice curvature`, of
`suffice hessian`, of `suffice study`, of `suffice forecast`, of `suffice curve`, of `suffice monitor`, and of
`suffice analyze builtin:mlp`, the MLP experiment.
`schema_version` rises when a field changes its meaning or goes; new fields may come at any time.
The last key, `checksum`, is a hash of all others, by which a damaged or edited file is told.
In Python, `suffice.results.read_result(folder)` reads it. Each such result, and each part that stands for itself (a
learning curve, a size, a spectrum, a surface), has `to_dataframe()`, `plot(ax=None, figure=None)`, and the answer with
its table as what a notebook or Rich displays; `with suffice.style():` draws figures for papers.
This page is written by `python scripts/document_result.py`.
"""


def document() -> str:
    """The page: one table for each object in the file."""
    kinds: dict[str, type[BaseModel]] = {
        "result.json": AnalysisResult,
        "result.json of suffice curvature": CurvatureResult,
        "result.json of suffice hessian": HessianResult,
        "result.json of suffice study": StudyResult,
        "result.json of suffice study of a language model": LanguageStudyResult,
        "result.json of suffice forecast": ForecastResult,
        "result.json of suffice forecast with several methods": MethodsResult,
        "result.json of suffice curve": CurveResult,
        "result.json of suffice monitor": MonitorResult,
        "result.json of suffice analyze builtin:mlp": MLPResult,
    }
    tables = [table for title, kind in kinds.items() for table in _tables(kind, title, set())]
    return INTRODUCTION + "".join(tables)


def _tables(model: type[BaseModel], title: str, done: set[type[BaseModel]]) -> Iterator[str]:
    done.add(model)
    rows = [
        f"| `{name}` | {_type(_in_json(field))} | {(field.description or '').replace('|', chr(92) + '|')} |"
        for name, field in model.model_fields.items()
    ]
    yield "\n".join(
        [
            f"\n## {title}\n",
            str(model.__doc__).split("\n\n")[0],
            "",
            "| field | type | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )
    for name, field in model.model_fields.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in done:
                yield from _tables(part, f"`{name}`", done)


def _in_json(field: FieldInfo) -> object:
    """The type in the file, where that is not the one in Python."""
    written = [part.return_type for part in field.metadata if isinstance(part, PlainSerializer)]
    return written[0] if written else field.annotation


def _type(annotation: object) -> str:
    name = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    return f"`{re.sub(r'typing[.]|suffice[.]results[.][a-z_]+[.]', '', name)}`".replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document())
