"""Small data in every format, written to a folder."""

import json
import os

import numpy as np
import openpyxl
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

TABLE = [("good film", "yes"), ("bad, long film", "no"), ('so "so"', "no"), ("ünter 5%", "yes")]


def put(folder, name, content):
    """A file with a text or bytes."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def delimited(delimiter=",", header=("text", "label"), ending="\n", rows=TABLE, quoted=True):
    """Delimited text with every field in quotes, or with none."""
    lines = [header, *rows] if header else rows
    mark = '"' if quoted else ""
    fields = (
        [f"{mark}{str(value).replace(mark, mark * 2) if quoted else value}{mark}" for value in row] for row in lines
    )
    return ending.join(delimiter.join(row) for row in fields) + ending


def objects(rows=TABLE, names=("text", "label")):
    """The rows as objects."""
    return [dict(zip(names, row, strict=True)) for row in rows]


def json_lines(rows=TABLE, names=("text", "label")):
    """An object a line."""
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in objects(rows, names))


def write_parquet(folder, columns, name="table.parquet"):
    """Columns as a Parquet file."""
    parquet.write_table(pa.table(columns), folder / name)
    return folder / name


def write_workbook(folder, rows, more=(), name="table.xlsx"):
    """Rows as the first sheet of a workbook."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    for title in more:
        book.create_sheet(title)
    book.save(folder / name)
    return folder / name


def image(folder, name, value=0, mode="RGB", size=(6, 4), **options):
    """An image file of one value, in the format of its suffix."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.new("L", size, value).convert(mode)
    drawn.save(file, **options)
    return file


def images(folder, suffix="png", mode="RGB", classes=("cat", "dog"), **options):
    """Two images a class."""
    for number, name in enumerate(classes):
        for index in range(2):
            image(folder, f"{name}/{index}.{suffix}", 40 * number + 10 * index, mode, **options)
    return folder


def arrays(folder, name="images.npz", **held):
    """An NPZ."""
    np.savez_compressed(folder / name, **held)
    return folder / name


def pixels(count=4, shape=(5, 6), kind=np.uint8):
    """Images that differ."""
    size = int(np.prod(shape))
    return (np.arange(count * size).reshape(count, *shape) % 251).astype(kind)


def not_utf8(name):
    """A file name from bytes."""
    return os.fsdecode(name)
