"""What adapters and configurations make of damaged input: an `InputError` of one line, or samples; never a traceback.

Run as ``python benchmarks/fuzz_inputs.py [--seconds N] [--seed N]``. Images, tables, arrays and YAML files are made and
mutated: bytes changed, cut out, repeated and inserted, the end cut off, hard values put in.
"""

import argparse
import io
import json
import os
import random
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from suffice.configuration import (
    AnalyzeConfig,
    CheckConfig,
    CurveConfig,
    ForecastConfig,
    StudyConfig,
    read_configuration,
)
from suffice.data import Reading, load_collection, load_scores
from suffice.errors import InputError
from suffice.runs.summary import summary_of

CASES = 1000
"""By default, of each family."""

HARD = [
    "9" * 5000, "-1", "0", "1e999", "nan", "50%", "", " ", "\0", "\ufeff", "é", "\ud800", "💥", "a\nb", '"', "'", ",",
    ";", "\t", "|", "null", "true", "None", "[1]", "{}", "=1+1", "../../x", "/", "a" * 5000, "<b>", "[red]", "%s",
]  # fmt: skip
"""Values that programs stumble over."""

COLUMNS = ("text", "label", "split", "patient")


def words(draw: random.Random) -> str:
    """A text, mostly plain."""
    return draw.choice(HARD) if draw.random() < 0.03 else " ".join(draw.choices(("good", "bad", "so", "film"), k=3))


def frame(draw: random.Random) -> list[dict[str, str]]:
    """Rows of a table, now and then with hard values."""
    return [
        {
            "text": f"{words(draw)} {row}" if draw.random() < 0.98 else draw.choice(HARD),
            "label": draw.choice("ab") if draw.random() < 0.99 else draw.choice(HARD),
            "split": draw.choice(("train", "train", "test")) if draw.random() < 0.99 else draw.choice(HARD),
            "patient": str(draw.randrange(4)),
        }
        for row in range(draw.randrange(4, 12))
    ]


def delimited(draw: random.Random, suffix: str) -> bytes:
    """Delimited text in any encoding, with quotes or without."""
    delimiter = draw.choice(",;\t|")
    quote = draw.choice(('"', ""))
    ending = draw.choice(("\n", "\r\n", "\r"))
    rows = frame(draw)
    lines = [delimiter.join(f"{quote}{row[name]}{quote}" for name in COLUMNS) for row in rows]
    encoding = draw.choice(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "utf-32"))
    return ending.join([delimiter.join(COLUMNS), *lines]).encode(encoding, "replace")


def structured(draw: random.Random, suffix: str) -> bytes:
    """JSON, JSON lines, Parquet or a workbook."""
    rows: list[dict[str, Any]] = [dict(row) for row in frame(draw)]
    for row in rows:
        if draw.random() < 0.02:
            row[draw.choice(COLUMNS)] = draw.choice([None, 1, 2.5, True, [1], {"a": 1}, float("nan"), 10**300])
    if suffix == ".jsonl":
        return "\n".join(json.dumps(row) for row in rows).encode()
    if suffix == ".json":
        columns = {name: [row[name] for row in rows] for name in COLUMNS}
        return json.dumps(draw.choice([rows, columns, {"data": rows}])).encode()
    buffer = io.BytesIO()
    clean = [{name: str(value).encode("utf-8", "replace").decode() for name, value in row.items()} for row in rows]
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(clean), buffer)
    else:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("Sheet")
        for row in [dict.fromkeys(COLUMNS, "") | {name: name for name in COLUMNS}, *clean]:
            sheet.append(["".join(sign for sign in value if sign >= " ")[:3000] for value in row.values()])
        book.save(buffer)
    return buffer.getvalue()


def arrays(draw: random.Random, suffix: str) -> bytes:
    """NPZ of images and labels."""
    count = draw.randrange(2, 8)
    shape = draw.choice(((count, 4, 4), (count, 4, 4), (count, 4, 4, 3), (count, 4), (count,), (count, 0, 4)))
    buffer = io.BytesIO()
    kind = draw.choice((np.uint8, np.uint8, np.float32, np.uint16, np.bool_, np.complex64))
    np.savez_compressed(
        buffer, images=np.zeros(shape, dtype=kind), labels=np.arange(draw.choice((count, count, count + 1))) % 2
    )
    return buffer.getvalue()


def picture(draw: random.Random, suffix: str) -> bytes:
    """An image file."""
    mode = draw.choice(("L", "RGB", "RGBA", "P", "1"))
    kind = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF", ".gif": "GIF"}[suffix]
    if kind == "JPEG":
        mode = draw.choice(("L", "RGB", "CMYK"))
    size = draw.randrange(1, 12), draw.randrange(1, 12)
    buffer = io.BytesIO()
    image = Image.frombytes("RGB", size, draw.randbytes(3 * size[0] * size[1])).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = draw.randrange(1, 9)
    image.save(buffer, kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}))
    return buffer.getvalue()


def settings(draw: random.Random, suffix: str) -> bytes:
    """A YAML file with keys of any command."""
    fields = [*ForecastConfig.model_fields, *StudyConfig.model_fields, *CurveConfig.model_fields, "strange", "1"]
    values = [*HARD, "[a, b]", "{a: b}", "0.5", "3", "head", "!!python/object:os.system x"]
    drawn = [f"{name}: {draw.choice(values)}" for name in draw.choices(fields, k=draw.randrange(6))]
    lines = ["model: builtin:tiny-vit", "data: builtin:digits", *drawn]
    return "\n".join(lines).encode("utf-8", "replace")


FAMILIES: dict[str, tuple[Callable[[random.Random, str], bytes], tuple[str, ...]]] = {
    "delimited": (delimited, (".csv", ".tsv", ".txt")),
    "structured": (structured, (".json", ".jsonl", ".parquet", ".xlsx")),
    "arrays": (arrays, (".npz",)),
    "images": (picture, (".png", ".jpg", ".webp", ".bmp", ".tif", ".gif")),
    "configurations": (settings, (".yaml",)),
}


def mutated(draw: random.Random, content: bytes) -> bytes:
    """With up to eight changes; a third stays whole."""
    changed = bytearray(content)
    for _ in range(draw.choice((0, 0, 1, 1, 2, 8))):
        place = draw.randrange(len(changed) + 1)
        match draw.randrange(5):
            case 0 if place < len(changed):
                changed[place] = draw.randrange(256)
            case 1:
                changed[place : place + draw.randrange(1, 9)] = b""
            case 2:
                changed[place:place] = draw.randbytes(draw.randrange(1, 9))
            case 3:
                changed[place:place] = changed[place : place + draw.randrange(1, 65)]
            case 4:
                del changed[place:]
    return bytes(changed)


def read(family: str, file: Path, draw: random.Random) -> None:
    """Reads a file as a command does."""
    if family == "configurations":
        kind = draw.choice((AnalyzeConfig, CheckConfig, CurveConfig, ForecastConfig, StudyConfig))
        read_configuration(kind, {}, file)
        return
    if family == "delimited" and draw.random() < 0.1:
        load_scores([str(file)], "label", "patient")
        return
    source, reading = file, Reading()
    if family == "images":
        source = file.parent.parent
    elif family in ("delimited", "structured"):
        reading = Reading(
            group_column=draw.choice((None, "patient")),
            drop_missing=draw.random() < 0.5,
            threshold=draw.choice((*[None] * 9, 1.0)),
        )
    collection = load_collection(str(source), reading)
    summary_of(collection)
    for row in range(len(collection.samples)):
        collection.samples[row]
    collection.samples.fingerprint()


def written(family: str, suffix: str, content: bytes, folder: Path, draw: random.Random) -> Path:
    """The file with the content, for images in one of two folders of classes."""
    if family != "images":
        file = folder / f"input{suffix}"
        file.write_bytes(content)
        return file
    name = draw.choice((b"1", b"caf\xe9", "é".encode(), b"a b", b"%s"))
    for one in ("cat", "dog"):
        (folder / one).mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(folder / one / "0.png")
    file = folder / "cat" / (os.fsdecode(name) + suffix)
    file.write_bytes(content)
    return file


def cases(seed: int, count: int, until: float) -> Iterator[tuple[str, str, random.Random]]:
    """Family, suffix and random numbers of each case, the families in turn."""
    for number in range(count):
        for family, (_, suffixes) in FAMILIES.items():
            if time.monotonic() > until:
                return
            draw = random.Random(f"{seed} {family} {number}")  # noqa: S311 - no secrets
            yield family, draw.choice(suffixes), draw


def fuzz(seed: int = 0, count: int = CASES, seconds: float = float("inf")) -> dict[str, Any]:
    """Reads mutated files, and counts what came of them.

    Args:
        seed: random seed: the same cases for the same seed.
        count: cases of each family.
        seconds: after which no case is begun.
    """
    outcomes: Counter[str] = Counter()
    failures: list[dict[str, str]] = []
    slowest = (0.0, "")
    for family, suffix, draw in cases(seed, count, time.monotonic() + seconds):
        content = mutated(draw, FAMILIES[family][0](draw, suffix))
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = written(family, suffix, content, Path(folder), draw)
            start = time.perf_counter()
            try:
                read(family, file, draw)
                outcome = "read"
            except InputError as error:
                outcome = "refused"
                if len(str(error).splitlines()) != 1 or len(str(error)) > 2000:
                    failures.append(
                        {"family": family, "suffix": suffix, "error": f"not one line: {str(error)[:300]!r}"}
                    )
            except Exception:  # what is looked for
                outcome = "traceback"
                failures.append({"family": family, "suffix": suffix, "error": traceback.format_exc(limit=-4)})
            slowest = max(slowest, (time.perf_counter() - start, f"{family} {suffix}"))
        outcomes[f"{family}, {outcome}"] += 1
    return {
        "seed": seed,
        "cases": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "slowest": {"seconds": round(slowest[0], 3), "what": slowest[1]},
        "failures": failures,
    }


def main() -> None:
    """Fuzzes from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    from environment import save  # noqa: PLC0415 - needs torch, which the cases do not

    found = fuzz(asked.seed, CASES if asked.seconds == 1800 else 10**9, asked.seconds)
    save("fuzz_inputs", found)
    if found["failures"]:
        raise SystemExit(f"{len(found['failures'])} cases failed")


if __name__ == "__main__":
    main()
