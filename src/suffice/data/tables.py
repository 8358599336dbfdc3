"""Lines of tables: commas, tabs, or JSON lines; what the columns mean is for others to say."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from suffice.errors import InputError

JSON_LINES = ".jsonl"
TABLES = frozenset({".csv", ".tsv", ".txt", JSON_LINES})


def read_table(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        InputError: it cannot be read, has another encoding, or is empty.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not UTF-8; save the file in this encoding") from error
    if not content.strip():
        raise InputError(f"{path}: is empty")
    return content


def fields_of(path: Path, content: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that has some, with the number of the line; of .csv by RFC 4180, of others at tabs."""
    return _comma_separated(path, content) if path.suffix.lower() == ".csv" else _tab_separated(content)


def objects_of(path: Path, content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The object in each line of JSON lines, with the number of the line.

    Raises:
        InputError: a line that is not JSON, or no object.
    """
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: not an object in braces, such as {{...}}")
        yield number, row


def _tab_separated(content: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r").split("\t")


def _comma_separated(path: Path, content: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    start = 1
    try:
        for fields in reader:
            if fields:
                yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {start}: not comma-separated values ({error})") from error
