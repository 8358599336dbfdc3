"""What people have their samples in: each kind is read as the same samples, or as those that it says."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import (
    TABLE,
    arrays,
    delimited,
    image,
    images,
    json_lines,
    not_utf8,
    objects,
    pixels,
    put,
    write_parquet,
    write_workbook,
)
from PIL import Image

from suffice.data import (
    LabelledSamples,
    LabelledTexts,
    Reading,
    contents_of,
    groups_of,
    load_collection,
    load_samples,
    load_unseen,
)

TEXTS = {
    "csv": lambda folder: put(folder, "t.csv", delimited()),
    "csv, semicolons": lambda folder: put(folder, "t.csv", delimited(";")),
    "csv, semicolons without quotes": lambda folder: put(
        folder, "t.csv", delimited(";", quoted=False, rows=TABLE[:2] * 2)
    ),
    "csv, tabs": lambda folder: put(folder, "t.csv", delimited("\t")),
    "csv, bars": lambda folder: put(folder, "t.csv", delimited("|")),
    "csv, sep= of Excel": lambda folder: put(folder, "t.csv", "sep=;\n" + delimited(";")),
    "csv, Windows line ends": lambda folder: put(folder, "t.csv", delimited(ending="\r\n")),
    "csv, old Mac line ends": lambda folder: put(folder, "t.csv", delimited(ending="\r")),
    "csv, capital suffix": lambda folder: put(folder, "T.CSV", delimited()),
    "csv, byte order mark": lambda folder: put(folder, "t.csv", delimited().encode("utf-8-sig")),
    "csv, UTF-16": lambda folder: put(folder, "t.csv", delimited().encode("utf-16")),
    "csv, UTF-16 without mark": lambda folder: put(folder, "t.csv", delimited().encode("utf-16-le")),
    "csv, UTF-16 big-endian without mark": lambda folder: put(folder, "t.csv", delimited().encode("utf-16-be")),
    "csv, UTF-32": lambda folder: put(folder, "t.csv", delimited().encode("utf-32")),
    "csv, blanks around names": lambda folder: put(folder, "t.csv", delimited(header=(" text", "label "))),
    "csv, blanks around labels": lambda folder: put(
        folder, "t.csv", delimited(rows=[(text, f" {label} ") for text, label in TABLE])
    ),
    "csv, more columns": lambda folder: put(
        folder, "t.csv", delimited(header=("id", "text", "x", "label"), rows=[(1, t, "", y) for t, y in TABLE])
    ),
    "csv, empty lines": lambda folder: put(folder, "t.csv", delimited().replace("\n", "\n\n")),
    "tsv": lambda folder: put(folder, "t.tsv", delimited("\t", quoted=False)),
    "tsv, quotes": lambda folder: put(folder, "t.tsv", delimited("\t")),
    "tsv, Windows line ends": lambda folder: put(folder, "t.tsv", delimited("\t", quoted=False, ending="\r\n")),
    "tsv, old Mac line ends": lambda folder: put(folder, "t.tsv", delimited("\t", quoted=False, ending="\r")),
    "tsv, UTF-16": lambda folder: put(folder, "t.tsv", delimited("\t", quoted=False).encode("utf-16")),
    "txt, tabs": lambda folder: put(folder, "t.txt", delimited("\t", quoted=False)),
    "txt, semicolons": lambda folder: put(folder, "t.txt", delimited(";")),
    "JSON lines": lambda folder: put(folder, "t.jsonl", json_lines()),
    "JSON lines, other suffix": lambda folder: put(folder, "t.ndjson", json_lines()),
    "JSON lines, escapes": lambda folder: put(folder, "t.jsonl", "\n".join(map(json.dumps, objects()))),
    "JSON lines, mark": lambda folder: put(folder, "t.jsonl", json_lines().encode("utf-8-sig")),
    "JSON, list of objects": lambda folder: put(folder, "t.json", json.dumps(objects(), indent=1)),
    "JSON, within data": lambda folder: put(folder, "t.json", json.dumps({"data": objects()})),
    "JSON, columns": lambda folder: put(
        folder, "t.json", json.dumps({"text": [text for text, _ in TABLE], "label": [label for _, label in TABLE]})
    ),
    "JSON, columns of pandas": lambda folder: put(
        folder,
        "t.json",
        json.dumps(
            {name: {str(row): TABLE[row][place] for row in range(4)} for place, name in enumerate(("text", "label"))}
        ),
    ),
    "JSON that is JSON lines": lambda folder: put(folder, "t.json", json_lines()),
    "Parquet": lambda folder: write_parquet(
        folder, {"id": [1, 2, 3, 4], "label": [label for _, label in TABLE], "text": [text for text, _ in TABLE]}
    ),
    "workbook": lambda folder: write_workbook(folder, [("text", "label"), *TABLE]),
    "workbook, several sheets": lambda folder: write_workbook(folder, [("text", "label"), *TABLE], ["other"]),
    "workbook, empty rows": lambda folder: write_workbook(
        folder, [("text", "label"), TABLE[0], (None, None), *TABLE[1:]]
    ),
    "NPZ of texts": lambda folder: arrays(
        folder, x=np.array([text for text, _ in TABLE]), y=np.array([label for _, label in TABLE])
    ),
}
"""Files that hold `TABLE`, in whatever way."""


@pytest.mark.parametrize("kind", TEXTS)
def test_every_kind_of_table_gives_the_same_texts(tmp_path, kind):
    samples = load_samples(str(TEXTS[kind](tmp_path)))
    expected = TABLE[:2] * 2 if "without quotes" in kind else TABLE
    assert isinstance(samples, LabelledTexts)
    assert isinstance(samples, LabelledSamples)
    assert [(samples[row], samples.classes[samples.labels[row]]) for row in range(len(samples))] == expected
    assert samples.classes == ["no", "yes"]
    assert list(contents_of(samples)) == [text for text, _ in expected]
    assert samples.describe(1).endswith(f"of {samples.source}")


@pytest.mark.parametrize(
    ("write", "note"),
    [
        (lambda folder: put(folder, "t.csv", delimited(";")), "t.csv is separated by semicolons."),
        (lambda folder: put(folder, "t.txt", delimited("|")), "t.txt is separated by bars."),
        (lambda folder: put(folder, "t.csv", delimited().encode("utf-16")), "t.csv is read as utf-16."),
        (
            lambda folder: write_workbook(folder, [("text", "label"), *TABLE], ["b"]),
            "table.xlsx: the sheet 'Sheet' is read",
        ),
        (lambda folder: put(folder, "t.csv", delimited(rows=[("x", " a"), ("y", "b")])), "Blanks around labels"),
    ],
    ids=["semicolons", "bars", "encoding", "sheet", "blanks"],
)
def test_what_is_detected_is_said(tmp_path, write, note):
    assert any(said.startswith(note) for said in load_collection(str(write(tmp_path))).notes)


READINGS = {
    "another encoding": (
        lambda folder: put(folder, "t.csv", delimited().encode("cp1252")),
        {"encoding": "cp1252"},
        ["no", "yes"],
        4,
    ),
    "a delimiter by name": (
        lambda folder: put(folder, "t.csv", delimited("\t")),
        {"delimiter": "tab"},
        ["no", "yes"],
        4,
    ),
    "a rare delimiter": (lambda folder: put(folder, "t.csv", delimited("~")), {"delimiter": "~"}, ["no", "yes"], 4),
    "columns by number": (
        lambda folder: put(folder, "t.csv", delimited(header=None)),
        {"text_column": "1", "label_column": "2"},
        ["no", "yes"],
        4,
    ),
    "columns by number, and a header": (
        lambda folder: put(folder, "t.csv", delimited()),
        {"text_column": "1", "label_column": "2"},
        ["no", "yes"],
        4,
    ),
    "a workbook without a header": (
        lambda folder: write_workbook(folder, TABLE),
        {"text_column": "1", "label_column": "2"},
        ["no", "yes"],
        4,
    ),
    "a threshold": (
        lambda folder: put(folder, "t.csv", delimited(rows=[(f"t{row}", row / 7) for row in range(30)])),
        {"threshold": 2},
        ["< 2", ">= 2"],
        30,
    ),
    "numbers as classes": (
        lambda folder: put(folder, "t.csv", delimited(rows=[(f"t{row}", row % 3) for row in range(9)])),
        {},
        ["0", "1", "2"],
        9,
    ),
    "a hundred classes": (
        lambda folder: put(folder, "t.csv", delimited(rows=[(f"t{row}", row % 100) for row in range(300)])),
        {},
        [str(label) for label in range(100)],
        300,
    ),
    "whole numbers in Parquet": (
        lambda folder: write_parquet(folder, {"text": list("abcd"), "label": [1.0, 0.0, 1.0, 0.0]}),
        {},
        ["0", "1"],
        4,
    ),
    "missing rows left out": (
        lambda folder: put(folder, "t.csv", delimited(rows=[*TABLE, ("", "yes"), ("x", " ")])),
        {"drop_missing": True},
        ["no", "yes"],
        4,
    ),
    "missing values of Parquet left out": (
        lambda folder: write_parquet(
            folder,
            {"text": ["a", None, "c"], "label": [1.0, 2.0, float("nan")]}
            | {"text": ["a", None, "c", "d"], "label": [1.0, 2.0, float("nan"), 2.0]},
        ),
        {"drop_missing": True},
        ["1", "2"],
        2,
    ),
    "words for missing labels left out": (
        lambda folder: put(folder, "t.csv", delimited(rows=[*TABLE, ("x", "NaN"), ("y", "None"), ("z", "NA")])),
        {"drop_missing": True},
        ["no", "yes"],
        4,
    ),
    "a class called None that is meant": (
        lambda folder: put(folder, "t.csv", delimited(rows=[*TABLE, ("x", "None")])),
        {"classes": ["None", "yes"]},
        ["None", "yes"],
        3,
    ),
    "decimal commas and a threshold": (
        lambda folder: put(folder, "t.csv", delimited(";", rows=[(f"t{row}", f"{row},25") for row in range(9)])),
        {"threshold": 4.5},
        ["< 4.5", ">= 4.5"],
        9,
    ),
    "listed classes that are rare left out": (
        lambda folder: put(folder, "t.csv", delimited(rows=[*TABLE, ("x", "maybe")])),
        {"classes": ["yes", "maybe", "no"], "min_per_class": 2},
        ["yes", "no"],
        4,
    ),
    "listed classes of a pattern left out": (
        lambda folder: put(folder, "t.csv", delimited(rows=[*TABLE, ("x", "maybe")])),
        {"classes": ["yes", "maybe", "no"], "exclude": ["may*"]},
        ["yes", "no"],
        4,
    ),
    "rare classes left out": (
        lambda folder: put(folder, "t.csv", delimited(rows=[*TABLE, ("x", "maybe")])),
        {"min_per_class": 2},
        ["no", "yes"],
        4,
    ),
    "a class left out": (
        lambda folder: put(folder, "t.csv", delimited(rows=[*TABLE, ("x", "maybe"), ("y", "maybe")])),
        {"exclude": ["may*"]},
        ["no", "yes"],
        4,
    ),
    "classes in another order": (
        lambda folder: put(folder, "t.csv", delimited()),
        {"classes": ["yes", "no"]},
        ["yes", "no"],
        4,
    ),
    "classes alike that are meant": (
        lambda folder: put(folder, "t.csv", delimited(rows=[("x", "US"), ("y", "us"), ("z", "us")])),
        {"classes": ["US", "us"]},
        ["US", "us"],
        3,
    ),
    "a column of images": (
        lambda folder: (images(folder), put(folder, "t.csv", "file,label\ncat/0.png,a\ndog/1.png,b\ncat/1.png,a\n"))[1],
        {"image_column": "file"},
        ["a", "b"],
        3,
    ),
    "a column of images by its name": (
        lambda folder: (images(folder), put(folder, "t.csv", "file_name,label\ncat/0.png,a\ndog/1.png,b\n"))[1],
        {},
        ["a", "b"],
        2,
    ),
    "images in JSON lines": (
        lambda folder: (
            images(folder),
            put(folder, "t.jsonl", json_lines([("cat/0.png", 1), ("dog/0.png", 0)], ("image", "label"))),
        )[1],
        {},
        ["0", "1"],
        2,
    ),
}


@pytest.mark.parametrize("kind", READINGS)
def test_settings_say_how_a_table_is_read(tmp_path, kind):
    write, settings, classes, count = READINGS[kind]
    samples = load_samples(str(write(tmp_path)), Reading(**settings))
    assert (samples.classes, len(samples)) == (classes, count)
    assert sorted(set(samples.labels.tolist())) == list(range(len(classes)))
    assert all(samples[row] is not None for row in range(count))


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [
        *((suffix, "L") for suffix in ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif", "PNG", "WebP")),
        *((suffix, "RGB") for suffix in ("png", "jpg", "webp", "bmp", "tiff")),
        ("png", "RGBA"), ("png", "1"), ("png", "P"), ("png", "LA"), ("jpg", "CMYK"),
        ("gif", "P"), ("webp", "RGBA"), ("tif", "CMYK"),
    ],
)  # fmt: skip
def test_every_kind_of_image_is_read(tmp_path, suffix, mode):
    options = {"lossless": True} if suffix.lower() == "webp" else {}
    samples = load_samples(str(images(tmp_path, suffix, mode, **options)))
    assert (len(samples), samples.classes) == (4, ["cat", "dog"])
    assert all(samples[row].mode in ("L", "RGB") and samples[row].size == (6, 4) for row in range(4))
    expected = [0, 0, 0, 0] if mode == "1" else [0, 10, 40, 50]
    tolerance = 3 if suffix.startswith("jp") else 0
    if mode != "1":
        assert np.allclose([np.asarray(samples[row]).mean() for row in range(4)], expected, atol=tolerance)


def test_the_first_image_of_several_counts(tmp_path):
    images(tmp_path)
    frames = [Image.new("L", (5, 3), value) for value in (7, 200, 90)]
    for suffix in ("gif", "tiff", "webp"):
        options = {"lossless": True} if suffix == "webp" else {}
        frames[0].save(tmp_path / "cat" / f"many.{suffix}", save_all=True, append_images=frames[1:], **options)
    samples = load_samples(str(tmp_path))
    many = [row for row in range(len(samples)) if "many" in samples.describe(row)]
    assert [int(np.asarray(samples[row]).max()) for row in many] == [7, 7, 7]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_images_are_turned_upright(tmp_path, suffix):
    images(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    image(tmp_path, f"cat/turned.{suffix}", 9, exif=exif)
    samples = load_samples(str(tmp_path))
    (row,) = (row for row in range(len(samples)) if "turned." in samples.describe(row))
    assert samples[row].size == (4, 6)


def test_what_is_no_image_is_counted_with_its_reason(tmp_path):
    images(tmp_path)
    put(tmp_path, "cat/notes.txt", "x")
    put(tmp_path, "cat/.DS_Store", "x")
    put(tmp_path, "README.md", "x")
    image(tmp_path, "alone.png")
    image(tmp_path, "cat/mask.png")
    collection = load_collection(str(tmp_path), Reading(exclude=["*mask*"]))
    assert {one.name: one.reason for one in collection.skipped} == {
        "cat/notes.txt": "no image (.txt)",
        "cat/.DS_Store": "hidden",
        "README.md": "no image (.md)",
        "alone.png": "in no sub-folder of a class",
        "cat/mask.png": "left out by --exclude",
    }
    assert len(collection.samples) == 4


def test_numbers_with_a_decimal_comma_are_numbers_and_that_is_said(tmp_path):
    for name, (delimiter, rows) in {
        "comma.csv": (";", [("a", "0,47"), ("b", "1.250,5"), ("c", "3")]),
        "point.csv": (",", [("a", "0.47"), ("b", "1250.5"), ("c", "3")]),
    }.items():
        file = put(tmp_path, name, delimited(delimiter, rows=rows))
        collection = load_collection(str(file), Reading(task="regression"))
        assert collection.samples.labels.tolist() == [0.47, 1250.5, 3]
        said = [note for note in collection.notes if "decimal comma" in note]
        assert said == (["The labels have a decimal comma: '0,47' is read as 0.47."] if name == "comma.csv" else [])


def test_what_archives_leave_behind_is_no_class(tmp_path):
    images(tmp_path)
    image(tmp_path, "__MACOSX/cat/1.png")
    collection = load_collection(str(tmp_path))
    assert collection.samples.classes == ["cat", "dog"]
    assert [one[:2] for one in collection.skipped] == [("__MACOSX/cat/1.png", "hidden")]


def test_links_are_followed_and_circles_are_not(tmp_path):
    images(tmp_path / "data")
    image(tmp_path, "elsewhere/x.png", 99)
    (tmp_path / "data" / "fox").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "cat" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "cat" / "self.png").symlink_to(tmp_path / "data" / "cat" / "self.png")
    (tmp_path / "data" / "dog" / "gone.png").symlink_to(tmp_path / "nothing.png")
    collection = load_collection(str(tmp_path / "data"))
    assert collection.samples.classes == ["cat", "dog", "fox"]
    assert len(collection.samples) == 5
    reasons = {one.reason for one in collection.skipped}
    assert {"a link to a folder that it is in", "a link to nothing, or no file"} <= reasons


def test_file_names_that_are_not_utf8_are_read_and_shown(tmp_path):
    images(tmp_path)
    file = tmp_path / "cat" / not_utf8(b"caf\xe9.png")
    os.rename(tmp_path / "cat" / "0.png", file)
    samples = load_samples(str(tmp_path))
    names = [samples.describe(row) for row in range(4)]
    assert any(name.endswith(r"caf\xe9.png") for name in names)
    assert "".join(names).encode()
    assert samples.fingerprint().startswith("blake2b:")


SPLITS = {
    "train, val, test": ("train", "val", "test"),
    "training, valid, testing": ("training", "valid", "testing"),
    "Train, validation, Test": ("Train", "validation", "Test"),
    "train, dev, test": ("train", "dev", "test"),
}


def write_split_folder(folder, names):
    for number, split in enumerate(names):
        for label, of in enumerate(("cat", "dog")):
            for index in range(3 - number):
                image(folder, f"{split}/{of}/{index}.png", 90 * number + 20 * label + index)
    return folder


@pytest.mark.parametrize("kind", SPLITS)
def test_folders_of_splits_are_no_classes(tmp_path, kind):
    collection = load_collection(str(write_split_folder(tmp_path, SPLITS[kind])))
    assert collection.samples.classes == ["cat", "dog"]
    assert collection.splits == ["train", "validation", "test"]
    assert [len(collection.part(split)) for split in collection.splits] == [6, 4, 2]
    assert len(collection.at_hand) == 6
    assert collection.unseen == "test"
    known = set(contents_of(collection.at_hand))
    assert not known & set(contents_of(collection.part("test")))
    assert len(load_samples(str(tmp_path), Reading(split="val"))) == 4
    assert len(load_unseen(str(tmp_path), Reading(), ["cat", "dog"])) == 2


def split_rows():
    return [(f"text {row}", "ab"[row % 2], ("train", "train", "dev", "test")[row // 2 % 4]) for row in range(16)]


DIVIDED = {
    "csv": lambda folder: put(folder, "t.csv", delimited(header=("text", "label", "split"), rows=split_rows())),
    "JSON lines": lambda folder: put(folder, "t.jsonl", json_lines(split_rows(), ("text", "label", "split"))),
    "Parquet": lambda folder: write_parquet(
        folder, dict(zip(("text", "label", "split"), map(list, zip(*split_rows(), strict=True)), strict=True))
    ),
    "workbook": lambda folder: write_workbook(folder, [("text", "label", "split"), *split_rows()]),
    "NPZ": lambda folder: arrays(
        folder,
        x_train=pixels(8),
        y_train=np.arange(8) % 2,
        x_val=pixels(4) + 1,
        y_val=np.arange(4) % 2,
        x_test=pixels(4) + 2,
        y_test=np.arange(4) % 2,
    ),
    "NPZ of MedMNIST": lambda folder: arrays(
        folder,
        train_images=pixels(8, (5, 6, 3)),
        train_labels=np.arange(8)[:, None] % 2,
        val_images=pixels(4, (5, 6, 3)),
        val_labels=np.arange(4)[:, None] % 2,
        test_images=pixels(4, (5, 6, 3)),
        test_labels=np.arange(4)[:, None] % 2,
    ),
}


@pytest.mark.parametrize("kind", DIVIDED)
def test_splits_of_files_are_used_as_such(tmp_path, kind):
    collection = load_collection(str(DIVIDED[kind](tmp_path)))
    assert [len(collection.part(split)) for split in ("train", "validation", "test")] == [8, 4, 4]
    assert len(collection.at_hand) == 8
    assert collection.part("test").classes == collection.at_hand.classes
    assert collection.at_hand.fingerprint() != collection.part("test").fingerprint()


def test_another_column_of_splits_and_other_splits(tmp_path):
    rows = [("a", "x", "train"), ("b", "y", "train"), ("c", "x", "extra"), ("d", "y", "test")]
    file = put(tmp_path, "t.csv", delimited(header=("text", "label", "part"), rows=rows))
    collection = load_collection(str(file), Reading(split_column="part"))
    assert collection.splits == ["train", "test"]
    assert [one[:2] for one in collection.skipped] == [("line 4", "of the split 'extra'")]
    assert load_collection(str(file)).splits == []


def test_groups_come_with_the_samples(tmp_path):
    rows = [("a", "x", "p1"), ("b", "y", "p2"), ("c", "x", "p1"), ("d", "y", "p3")]
    file = put(tmp_path, "t.csv", delimited(header=("text", "label", "patient"), rows=rows))
    samples = load_samples(str(file), Reading(group_column="patient"))
    assert pd.factorize(groups_of(samples))[0].tolist() == [0, 1, 0, 2]
    assert groups_of(load_samples(str(file))) is None
    assert samples.fingerprint() != load_samples(str(file)).fingerprint()


ARRAYS = {
    "grey": {"images": pixels(), "labels": np.array([0, 1, 0, 1])},
    "one channel": {"images": pixels(shape=(5, 6, 1)), "labels": np.array([0, 1, 0, 1])},
    "colour": {"x": pixels(shape=(5, 6, 3)), "y": np.array([0, 1, 0, 1])},
    "from 0 to 1": {"x": pixels().astype(np.float32) / 255, "y": np.array([0, 1, 0, 1])},
    "whole numbers": {"x": pixels().astype(np.int64), "y": np.array([0, 1, 0, 1])},
    "16 bits": {"x": pixels().astype(np.uint16) * 257, "y": np.array([0, 1, 0, 1])},
    "truth values": {"x": pixels() > 100, "y": np.array([0, 1, 0, 1])},
    "labels as texts": {"data": pixels(), "target": np.array(["0", "1", "0", "1"])},
    "labels as a column of decimals": {"data": pixels(), "targets": np.array([[0.0], [1.0], [0.0], [1.0]])},
    "more arrays": {"images": pixels(), "labels": np.array([0, 1, 0, 1]), "names": np.array(["a", "b"])},
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_are_images(tmp_path, kind):
    samples = load_samples(str(arrays(tmp_path, **ARRAYS[kind])))
    expected = pixels(shape=(5, 6, 3)) if kind == "colour" else pixels()
    if kind == "truth values":
        expected = np.where(expected > 100, 255, 0)
    assert samples.classes == ["0", "1"]
    assert samples.labels.tolist() == [0, 1, 0, 1]
    assert np.array_equal(np.stack([np.asarray(samples[row]) for row in range(4)]), expected)
    assert kind == "truth values" or len(set(contents_of(samples))) == 4


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(str.strip)


@given(
    texts=st.lists(CELLS, min_size=3, max_size=7),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    columns=st.permutations(["id", "text", "label"]),
    has_header=st.booleans(),
)
def test_a_frame_in_any_dialect_gives_the_same_samples(
    tmp_path_factory, texts, delimiter, encoding, ending, columns, has_header
):
    labels = ["no" if row % 2 else "yes" for row in range(len(texts))]
    rows = [
        {"id": row, "text": text, "label": label} for row, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    content = delimited(
        delimiter, columns if has_header else None, ending, [[row[name] for name in columns] for row in rows]
    )
    file = put(tmp_path_factory.getbasetemp(), "dialect.csv", content.encode(encoding))
    by_number = {f"{name}_column": str(columns.index(name) + 1) for name in ("text", "label")}
    samples = load_samples(str(file), Reading(**({} if has_header else by_number)))
    assert [(samples[row], samples.classes[samples.labels[row]]) for row in range(len(samples))] == list(
        zip(texts, labels, strict=True)
    )
