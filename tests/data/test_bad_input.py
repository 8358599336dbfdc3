"""What cannot be read gets one line: what is wrong, where, how many more, and what to do."""

import gzip
import io
import json
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from inputs import (
    TABLE,
    arrays,
    delimited,
    image,
    images,
    json_lines,
    not_utf8,
    pixels,
    put,
    write_parquet,
    write_workbook,
)
from PIL import Image

from suffice import InputError
from suffice.configuration import CheckConfig, ForecastConfig, read_configuration
from suffice.data import Reading, load_collection, load_samples, load_scores
from suffice.runs.summary import summary_of, tell
from suffice.runs.watch import SILENT

LONG = "9" * 5000


def rows_with(*rows):
    return delimited(rows=[*TABLE, *rows])


def bomb(folder, name, size=10**9):
    """A zip of zeros."""
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as entry:
        for _ in range(size >> 24):
            entry.write(bytes(1 << 24))
    return folder / name


def vast_png(folder):
    """A file of 100 bytes that says it has 10^10 pixels."""
    images(folder)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    put(folder, "cat/vast.png", content)
    return folder


def cut(file, share=0.5):
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    return file


def pickled(folder):
    np.savez(folder / "t.npz", images=np.array([{1}, {2}], dtype=object), labels=np.arange(2))
    return folder / "t.npz"


def folder_of(folder, **classes):
    for name, count in classes.items():
        for index in range(count):
            image(folder, f"{name}/{index}.png", index)
    return folder


SOURCES = {
    "nothing there": (lambda f: f / "none", {}, "no such file or folder; data are a folder of images"),
    "a name with a zero": (lambda f: "a\0b", {}, "no such file or folder"),
    "a name that is too long": (lambda f: "x" * 5000, {}, "no such file or folder"),
    "a hub name without a hub": (lambda f: "owner/name", {}, "the hub cannot be asked.*HF_HUB_OFFLINE.*save_to_disk"),
    "another format": (lambda f: put(f, "t.doc", "x"), {}, "neither an IDX file"),
    "one image": (lambda f: image(f, "1.png"), {}, "one image; give the folder with a sub-folder for each class"),
    "an empty folder": (lambda f: f, {}, "no images in sub-folders"),
    "images without classes": (
        lambda f: image(f, "1.png").parent,
        {},
        "1 files are none, such as 1.png .in no sub-folder",
    ),
    "one class": (lambda f: folder_of(f, cat=2), {}, "only the class 'cat'"),
    "a class or a split": (lambda f: folder_of(f, test=1, cat=1, dog=1), {}, "is this a split or a class"),
    "no split to train on": (
        lambda f: folder_of(f, **{"test/cat": 1, "test/dog": 1}),
        {},
        "no split to train on, there is test; choose one with --split",
    ),
    "an unknown split": (
        lambda f: folder_of(f, **{"train/cat": 1, "train/dog": 1}),
        {"split": "tran"},
        "no split 'tran'; did you mean \"train\"",
    ),
    "a split of undivided data": (images, {"split": "test"}, "no split 'test'; the data are not divided"),
    "folders that differ by case": (
        lambda f: folder_of(f, Cat=1, cat=2, dog=1),
        {},
        r"'Cat' \(1\) and 'cat' \(2\) differ",
    ),
    "folders that differ by blanks": (lambda f: folder_of(f, **{"a b": 1, "ab": 1}), {}, "only by case or blanks"),
    "a folder that is not UTF-8": (
        lambda f: folder_of(f, **{not_utf8(b"caf\xe9"): 1, "dog": 1}),
        {},
        r"'caf\\\\xe9' is not UTF-8; rename it",
    ),
    "an unknown class": (
        images,
        {"classes": ["cat", "dig"]},
        "no class 'dig' in the data; did you mean \"dog\"",
    ),
    "a pattern of nothing": (images, {"exclude": ["fox*"]}, "no class and no file of .* is called so"),
    "all left out": (images, {"exclude": ["*"]}, "no images in sub-folders.*left out by --exclude"),
    "one class left": (lambda f: folder_of(f, cat=3, dog=1), {"min_per_class": 2}, "1 of 2 classes are left"),
    "a threshold for images": (images, {"threshold": 1.0}, "--threshold is for tables"),
    "a delimiter for images": (images, {"delimiter": ","}, "--delimiter is for tables that are text"),
    "groups of images": (images, {"group_column": "p"}, "--group-column is for tables and datasets"),
    "an image that is text": (
        lambda f: put(images(f), "cat/x.png", "text").parent.parent,
        {},
        "cat/x.png: not a readable",
    ),
    "an image that is empty": (
        lambda f: put(images(f), "cat/x.jpg", b"\n").parent.parent,
        {},
        "cat/x.jpg: not a readable",
    ),
    "an image of another kind": (
        lambda f: put(images(f), "cat/x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").parent.parent,
        {},
        "not a readable image",
    ),
    "an image of 10^10 pixels": (vast_png, {}, "cat/vast.png: not a readable image.*decompression bomb"),
    "an empty table": (lambda f: put(f, "t.csv", ""), {}, "t.csv: is empty"),
    "a table of a mark": (lambda f: put(f, "t.csv", b"\xef\xbb\xbf"), {}, "t.csv: is empty"),
    "a header alone": (lambda f: put(f, "t.csv", "text,label\n"), {}, "holds no samples"),
    "another encoding": (
        lambda f: put(f, "t.csv", delimited().encode("cp1252")),
        {},
        r"line 5: not UTF-8; .*--encoding, such as cp1252, in which this reads '.*ünter",
    ),
    "an unknown encoding": (lambda f: put(f, "t.csv", delimited()), {"encoding": "utf-9"}, "no such encoding"),
    "a wrong encoding": (lambda f: put(f, "t.csv", delimited()), {"encoding": "ascii"}, "line 5: not ascii"),
    "UTF-16 that ends early": (lambda f: put(f, "t.csv", delimited().encode("utf-16")[:-1]), {}, "not utf-16"),
    "a delimiter of two signs": (lambda f: put(f, "t.csv", delimited()), {"delimiter": "::"}, "give one character"),
    "a delimiter for JSON": (lambda f: put(f, "t.json", "[]"), {"delimiter": ";"}, "--delimiter is for .csv"),
    "an unknown column": (
        lambda f: put(f, "t.csv", delimited(header=("txt", "label"))),
        {},
        "no column 'text'; did you mean",
    ),
    "an unknown group": (
        lambda f: put(f, "t.csv", delimited()),
        {"group_column": "p"},
        "no column 'p'.*--group-column",
    ),
    "an unknown split column": (
        lambda f: put(f, "t.csv", delimited()),
        {"split_column": "p"},
        "no column 'p'.*--split-col",
    ),
    "a column number of 5,000 digits": (
        lambda f: put(f, "t.csv", delimited()),
        {"text_column": LONG, "label_column": "2"},
        "no column 9{30}; the first line has 2",
    ),
    "columns by name and number": (
        lambda f: put(f, "t.csv", delimited()),
        {"text_column": "1"},
        "both by name, or both by",
    ),
    "a doubled column": (
        lambda f: put(f, "t.csv", delimited(header=("text", "text"))),
        {},
        "2 columns are named 'text'",
    ),
    "missing fields": (
        lambda f: put(f, "t.csv", delimited() + "x\n" + "y,no\n" + "z\n"),
        {},
        "line 6: has 1 field, and the first line 2; 1 more line has another number of fields; fill in those",
    ),
    "an open quote": (lambda f: put(f, "t.csv", delimited() + '"x,yes\n'), {}, "line 6: not comma-separated values"),
    "an open quote after semicolons": (
        lambda f: put(f, "t.csv", delimited(";") + '"x;yes\n'),
        {},
        "line 6: not semicolon-separated values",
    ),
    "missing texts": (
        lambda f: put(f, "t.csv", rows_with(("", "no"), ("x", ""), ("", "no"), (" ", "no"))),
        {},
        r"line 6: the text is empty; so it is in 3 more \(line 7, 8, …\).*--drop-missing",
    ),
    "missing groups": (
        lambda f: put(f, "t.csv", delimited(header=("text", "label", "p"), rows=[("a", "b", ""), ("c", "d", "1")])),
        {"group_column": "p"},
        "line 2: the group is empty",
    ),
    "nothing but missing": (
        lambda f: put(f, "t.csv", "text,label\n,\n,\n"),
        {"drop_missing": True},
        "is empty|no samples",
    ),
    "one label": (lambda f: put(f, "t.csv", delimited(rows=[("a", "x"), ("b", "x")])), {}, "the only label is 'x'"),
    "labels that all differ": (
        lambda f: put(f, "t.csv", delimited(rows=[(c, c) for c in "abc"])),
        {},
        "all 3 labels differ",
    ),
    "labels that differ by case": (
        lambda f: put(f, "t.csv", rows_with(("x", "Yes"))),
        {},
        r"'Yes' \(1\) and 'yes' \(2\) differ",
    ),
    "labels that differ by accents": (
        lambda f: put(f, "t.csv", rows_with(("x", "caf\u00e9"), ("y", "cafe\u0301"))),
        {},
        r"'cafe\\u0301' \(1\) and 'caf\\xe9' \(1\) differ only in how Unicode writes them",
    ),
    "labels that differ by a character without width": (
        lambda f: put(f, "t.csv", rows_with(("x", "yes\u200b"))),
        {},
        r"'yes' \(2\) and 'yes\\u200b' \(1\) differ only in how Unicode .* without width",
    ),
    "labels that are the same number": (
        lambda f: put(
            f, "t.csv", delimited(rows=[(f"t{row}", ("0", "0.0", "01", "1", "1.0")[row % 5]) for row in range(9)])
        ),
        {},
        r"'0' \(2\) and '0.0' \(2\) are the same number, and 1 more such groups",
    ),
    "folders that differ by accents": (
        lambda f: folder_of(f, **dict.fromkeys(("caf\u00e9", "cafe\u0301"), 1)),
        {},
        "differ only in how Unicode writes",
    ),
    "labels that stand for missing ones": (
        lambda f: put(f, "t.csv", rows_with(("x", "NA"), ("y", "nan"))),
        {},
        r"line 6: the label is 'NA', which stands for a missing one; so it is in 1 more \(line 7\).*--drop-missing; if "
        "it is a class, list all classes with --classes",
    ),
    "formulas without values": (
        lambda f: write_workbook(f, [("text", "label"), *TABLE, ("x", '=IF(1,"yes","no")')]),
        {},
        "row 6: the label is empty; it has a formula without a stored value: open and save",
    ),
    "commas that could be either": (
        lambda f: put(f, "t.csv", delimited(rows=[("a", "1,200"), ("b", "3,400")])),
        {"task": "regression"},
        "the labels, such as '1,200', could be 1.2 or 1200: write them with a decimal point",
    ),
    "quantities with decimal commas": (
        lambda f: put(f, "t.csv", delimited(rows=[(f"t{row}", f"{row},37") for row in range(60)] * 2)),
        {},
        "the labels are 60 different numbers, 0.37 to 59.37: to predict them give --task regression",
    ),
    "classes that are rare, and listed": (
        lambda f: put(f, "t.csv", delimited()),
        {"classes": ["no", "yes"], "min_per_class": 3},
        "0 of 2 classes are left by --exclude and --min-per-class 3",
    ),
    "images in a column of another name": (
        lambda f: write_parquet(f, {"file": ["a.png"], "class": ["a"]}),
        {},
        "no column 'text'; there are 'file', 'class'; give one with --text-column, or images with --image-column",
    ),
    "another data set that is built in": (lambda f: "builtin:digit", {}, "the only data .* are builtin:digits"),
    "labels that are quantities": (
        lambda f: put(f, "t.csv", delimited(rows=[(f"t{row}", row * 0.37) for row in range(60)] * 2)),
        {},
        "the labels are 60 different numbers, 0 to 21.83: to predict them give --task regression; for two classes give "
        "--threshold",
    ),
    "a percent sign": (
        lambda f: put(f, "t.csv", delimited(rows=[("a", "5%"), ("b", "7%")])),
        {"threshold": 6},
        "line 2: the label '5%' is no number, as are 1 more labels.*without the percent sign",
    ),
    "a label of 5,000 digits": (
        lambda f: put(f, "t.csv", rows_with(("x", LONG))),
        {"threshold": 1},
        "line 2: the label 'yes'",
    ),
    "a number of 5,000 digits": (
        lambda f: put(f, "t.jsonl", json_lines() + '\n{"text": "x", "label": ' + LONG + "}"),
        {},
        "line 5: not JSON .Exceeds the limit",
    ),
    "broken JSON lines": (lambda f: put(f, "t.jsonl", json_lines() + "\n{"), {}, "line 5: not JSON"),
    "JSON lines of lists": (lambda f: put(f, "t.jsonl", "[1, 2]\n"), {}, "line 1: not an object"),
    "a missing key": (lambda f: put(f, "t.jsonl", json_lines() + '\n{"text": "x"}'), {}, "line 5: no column 'label'"),
    "a list of labels": (
        lambda f: put(f, "t.jsonl", '{"text": "x", "label": [1]}'),
        {},
        "'label' is neither .*, but list",
    ),
    "half a character": (
        lambda f: put(f, "t.jsonl", '{"text": "\\ud800", "label": 1}'),
        {},
        "line 1: a .u in it stands for half",
    ),
    "broken JSON": (lambda f: put(f, "t.json", "[{"), {}, "t.json: not JSON"),
    "JSON of a number": (lambda f: put(f, "t.json", "3"), {}, "give a list of objects"),
    "JSON nested 100,000 deep": (lambda f: put(f, "t.json", "[" * 100_000), {}, "not JSON"),
    "JSON of uneven columns": (
        lambda f: put(f, "t.json", json.dumps({"text": ["a"], "label": [1, 2]})),
        {},
        r"columns of different lengths \('text' 1, 'label' 2\)",
    ),
    "JSON without samples": (lambda f: put(f, "t.json", "[]"), {}, "holds no samples"),
    "no Parquet": (lambda f: put(f, "t.parquet", "PAR1"), {}, "not a Parquet file"),
    "half a Parquet": (
        lambda f: cut(write_parquet(f, {"text": ["a"] * 9, "label": ["b"] * 9})),
        {},
        "not a Parquet file",
    ),
    "Parquet without the column": (lambda f: write_parquet(f, {"a": [1]}), {}, "no column 'text'; there are 'a'"),
    "Parquet of numbers": (
        lambda f: write_parquet(f, {"text": [1, 2], "label": [0, 1]}),
        {},
        "row 1: 'text' is not a text",
    ),
    "Parquet of bytes": (lambda f: write_parquet(f, {"text": [b"a", b"b"], "label": [0, 1]}), {}, "datasets folder"),
    "no workbook": (lambda f: put(f, "t.xlsx", "text"), {}, "t.xlsx: not a file of its kind"),
    "half a workbook": (lambda f: cut(write_workbook(f, [("text", "label"), *TABLE])), {}, "not a file of its kind"),
    "an empty workbook": (lambda f: write_workbook(f, []), {}, "the first line of the sheet 'Sheet' is empty"),
    "a bomb of a workbook": (lambda f: bomb(f, "t.xlsx"), {}, "would unpack to 1.0 GB from 1.. MB"),
    "missing cells": (
        lambda f: write_workbook(f, [("text", "label"), *TABLE, ("x", None)]),
        {},
        "row 6: the label is empty",
    ),
    "an image that is not there": (
        lambda f: put(images(f), "t.csv", "image,label\ncat/0.png,a\ncat/9.png,b\ncat/8.png,b\n"),
        {},
        "line 3: no file 'cat/9.png' in .*; 1 more rows are like this",
    ),
    "an image of the web": (
        lambda f: put(f, "t.csv", "image,label\nhttp://a/b.png,a\nc,b\n"),
        {},
        "download the images",
    ),
    "no image by its suffix": (lambda f: put(f, "t.csv", "image,label\na.pdf,a\nb.pdf,b\n"), {}, "'a.pdf' is no image"),
    "an image name of 5,000 signs": (
        lambda f: put(f, "t.csv", f"image,label\n{LONG}.png,a\nb,c\n"),
        {},
        "no file '9{199}",
    ),
    "no NPZ": (lambda f: put(f, "t.npz", "x"), {}, "t.npz: not a file of its kind"),
    "half an NPZ": (lambda f: cut(arrays(f, x=pixels(), y=np.arange(4) % 2)), {}, "not a file of its kind"),
    "pickled objects": (pickled, {}, "not an NPZ of plain arrays.*save labels and texts as arrays of texts"),
    "a bomb of an NPZ": (lambda f: bomb(f, "t.npz"), {}, "would unpack to 1.0 GB"),
    "an NPZ of other names": (lambda f: arrays(f, a=pixels()), {}, "has a; it needs images and labels"),
    "an NPZ of two images": (
        lambda f: arrays(f, x=pixels(), images=pixels(), y=np.arange(4)),
        {},
        "both hold the contents",
    ),
    "an NPZ of features": (lambda f: arrays(f, x=np.zeros((4, 3)), y=np.arange(4) % 2), {}, "suffice.forecast_head"),
    "channels first": (lambda f: arrays(f, x=pixels(shape=(3, 5, 6)), y=np.arange(4) % 2), {}, "channels come last"),
    "fewer labels": (lambda f: arrays(f, x=pixels(), y=np.arange(3) % 2), {}, "x has 4 samples, and y 3"),
    "labels of two columns": (lambda f: arrays(f, x=pixels(), y=np.zeros((4, 2))), {}, r"y is \(4, 2\); labels are"),
    "decimal labels": (
        lambda f: arrays(f, x=pixels(), y=np.array([0.5, 1, 2, 3])),
        {},
        "labels are whole numbers or texts",
    ),
    "pixels that are not finite": (
        lambda f: arrays(f, x=np.full((4, 2, 2), np.nan), y=np.arange(4) % 2),
        {},
        "not finite",
    ),
    "pixels below zero": (lambda f: arrays(f, x=-pixels().astype(float), y=np.arange(4) % 2), {}, "images are bytes"),
    "complex pixels": (lambda f: arrays(f, x=pixels().astype(complex), y=np.arange(4) % 2), {}, "holds complex128"),
    "a broken IDX": (
        lambda f: put(f, "train-images-idx3-ubyte.gz", gzip.compress(b"x" * 9)),
        {},
        "its labels are expected",
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_bad_data_get_one_line(tmp_path, kind):
    write, settings, message = SOURCES[kind]
    source = str(write(tmp_path))
    with pytest.raises(InputError, match=message) as refusal:
        tell(summary_of(load_collection(source, Reading(**settings))), SILENT)
    told = str(refusal.value)
    assert len(told.splitlines()) == 1
    assert told.encode().isascii() or "�" not in told


def test_an_image_cut_off_is_named_when_it_is_used(tmp_path):
    images(tmp_path, "jpg", size=(200, 200))
    cut(tmp_path / "cat" / "0.jpg")
    samples = load_samples(str(tmp_path))
    with pytest.raises(InputError, match=r"cat/0\.jpg: not a readable image \(.*truncated"):
        samples[0]


def test_floating_point_pixels_are_refused(tmp_path):
    images(tmp_path)
    Image.fromarray(np.ones((3, 3), dtype=np.float32)).save(tmp_path / "cat" / "x.tif")
    samples = load_samples(str(tmp_path))
    (row,) = (row for row in range(len(samples)) if "x.tif" in samples.describe(row))
    with pytest.raises(InputError, match="floating-point numbers of unknown scale"):
        samples[row]


def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    images(tmp_path)
    (tmp_path / "dog").chmod(0)
    with pytest.raises(InputError, match=r"dog: cannot be read \(Permission denied\)"):
        load_samples(str(tmp_path))


CONFIGURATIONS = {
    "no YAML": ("model: [", "not YAML"),
    "a number of 5,000 digits": (f"samples: {LONG}", "not YAML .*Exceeds the limit"),
    "a tag": ("model: !!python/object:os.system x", "not YAML .*could not determine a constructor"),
    "not UTF-8": (b"model: \xff", "byte 8 is not UTF-8: save the file as UTF-8"),
    "a list": ("- a\n- b\n", "a configuration is a list of keys and values"),
    "empty": ("", "a configuration is a list of keys and values"),
    "an unknown key": ("modle: x", "unknown key 'modle'; did you mean \"model\""),
    "a long value": (
        f"model: m\ndata: d\nsamples: {'a' * 5000}",
        "samples = 'a+[.]{3}a+': input should be a valid",
    ),
    "yes for a class": ("model: m\ndata: d\nclasses: [yes, no]", "YAML reads no, yes"),
    "a group of five": ("model: m\ndata: d\nmin_per_class: 0", "min_per_class = 0: input should be greater"),
    "nested deep": ("a: " + "[" * 5000, "nested too deep"),
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_bad_configurations_get_one_line(tmp_path, kind):
    content, message = CONFIGURATIONS[kind]
    file = put(tmp_path, "config.yaml", content)
    with pytest.raises(InputError, match=message) as refusal:
        read_configuration(ForecastConfig, {}, file)
    assert len(str(refusal.value).splitlines()) == 1
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("85 of 100", "line 2: score is '85 of 100', and has to be a number"),
        (LONG, "has to be a number"),
        ("inf", "has to be"),
    ],
    ids=["words", "long", "infinite"],
)
def test_bad_scores_get_one_line(tmp_path, value, message):
    file = put(tmp_path, "s.csv", f"size;score\n100;{value}\n")
    with pytest.raises(InputError, match=message):
        load_scores([str(file)])


def test_a_check_takes_a_name_that_yaml_takes_for_a_number():
    assert read_configuration(CheckConfig, {"data": "d", "classes": [1, 2]}).classes == ["1", "2"]


def test_a_broken_zip_within_an_array_is_named(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=pixels(), labels=np.arange(4) % 2)
    content = bytearray(buffer.getvalue())
    content[120] ^= 255
    with pytest.raises(InputError, match=r"t\.npz: not "):
        load_samples(str(put(tmp_path, "t.npz", bytes(content))))
