"""Tables of texts: what is written is read, and what cannot be read is named with its line."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice import InputError
from suffice.data import LabelledSamples, Reading, load_samples, read_texts

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
TABBED = TEXTS.filter(lambda text: not set(text) & set("\t\n") and not text.endswith("\r"))


def labelled(texts):
    """Tables of at least three samples of two classes."""
    return st.lists(texts, min_size=3, max_size=8).map(
        lambda drawn: [(text, "no" if row % 2 else "yes") for row, text in enumerate(drawn)]
    )


def write(folder, content, name="table.csv"):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def check(samples, table):
    assert isinstance(samples, LabelledSamples)
    assert [(samples[row], samples.classes[samples.labels[row]]) for row in range(len(samples))] == table
    assert samples.classes == ["no", "yes"]


@given(table=labelled(TEXTS))
def test_comma_separated_values_are_read_as_they_were_written(tmp_path_factory, table):
    file = tmp_path_factory.getbasetemp() / "written.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("id", "text", "label"), *((7, *row) for row in table)])
    check(read_texts(file), table)


@given(table=labelled(TABBED), header=st.booleans(), ending=st.sampled_from(["", "\n", "\r\n"]))
def test_tabs_separate_and_quotes_are_text(tmp_path_factory, table, header, ending):
    rows = [f"{label}\t{text}" for text, label in table]
    lines = (["label\ttext"] if header else []) + rows
    file = write(tmp_path_factory.getbasetemp(), "\n".join(lines) + ending, "written.tsv")
    check(read_texts(file) if header else read_texts(file, "2", "1"), table)


@given(table=labelled(TEXTS), ascii_only=st.booleans())
def test_objects_a_line_are_read_as_they_were_written(tmp_path_factory, table, ascii_only):
    rows = [json.dumps({"label": label, "id": 3, "text": text}, ensure_ascii=ascii_only) for text, label in table]
    check(read_texts(write(tmp_path_factory.getbasetemp(), "\n".join(rows), "written.jsonl")), table)


def test_real_reviews_are_read_row_by_row(shared):
    file = shared / "data" / "movie-reviews" / "movieReviewSnippets_GroundTruth.txt"
    texts = load_samples(str(file), Reading("3", label_column="2", threshold=0))
    lines = file.read_text().split("\n")
    assert len(texts) == len(lines) - (not lines[-1]) == 10605
    assert texts.classes == ["< 0", ">= 0"]
    for row in range(0, len(texts), 7):
        _, score, text = lines[row].split("\t")
        assert (texts[row], texts.labels[row]) == (text, float(score) >= 0)


def test_a_row_is_described_by_the_line_in_which_it_starts(tmp_path):
    texts = read_texts(write(tmp_path, '\ufefftext,label\n"two\nlines",a\n\nthird,b\nfourth,a\n'))
    assert [texts.describe(row).partition(" of ")[0] for row in range(3)] == ["line 2", "line 5", "line 6"]
    assert texts.describe(0).endswith("table.csv")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "2", "2", "-1"], ["-1", "2", "10"]),
        (["b", "a", "b", "10", "2"], ["10", "2", "a", "b"]),
        ([" a", "b ", "a"], ["a", "b"]),
    ],
)
def test_classes_are_the_labels_in_order(tmp_path, labels, classes):
    texts = read_texts(write(tmp_path, "".join(f"{label}\ttext\n" for label in labels), "table.txt"), "2", "1")
    assert texts.classes == classes
    assert [texts.classes[label] for label in texts.labels] == [label.strip() for label in labels]


def test_labels_of_objects_may_be_numbers(tmp_path):
    rows = [{"text": "t", "label": label} for label in (0, 1, 0.5)]
    file = write(tmp_path, "\n".join(map(json.dumps, rows)), "table.jsonl")
    assert read_texts(file, threshold=0.5).labels.tolist() == [0, 1, 1]


@given(
    numbers=st.lists(st.floats(-9, 9), min_size=3, max_size=9).filter(lambda drawn: len(set(drawn)) > 1),
    place=st.floats(0, 1),
)
def test_threshold_makes_two_classes(tmp_path_factory, numbers, place):
    threshold = min(max(numbers), np.nextafter(min(numbers), 10) + place * (max(numbers) - min(numbers)))
    content = "text,label\n" + "".join(f"t,{number!r}\n" for number in numbers)
    texts = read_texts(write(tmp_path_factory.getbasetemp(), content, "numbers.csv"), threshold=float(threshold))
    assert texts.labels.tolist() == [int(number >= threshold) for number in numbers]


def test_fingerprint_follows_texts_and_labels(tmp_path):
    contents = ["text,label\nx,a\ny,b\nz,b\n", "text,label\nx,a\ny,b\nz,a\n", "text,label\nx,a\ny,b\nw,b\n"]
    contents += ["text,label\nx,a\ny,c\nz,c\n"]
    prints = [read_texts(write(tmp_path, content)).fingerprint() for content in contents]
    assert len(set(prints)) == 4
    assert read_texts(write(tmp_path, contents[0], "other.csv")).fingerprint() == prints[0]


GOOD = "text,label\nx,1\ny,2\nz,1\n"


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("t.csv", "", {}, "t.csv: is empty"),
        ("t.csv", "\n \n", {}, "is empty"),
        ("t.csv", "text,label\n", {}, "holds no samples"),
        ("t.csv", GOOD.encode("utf-16")[:-1], {}, "not utf-16"),
        ("t.csv", b"text,label\nx,1\n\xff,2\n", {}, "line 3: not UTF-8"),
        ("t.csv", "review,label\nx,1\n", {}, "no column 'text'; there are 'review', 'label'; .*--text-column"),
        ("t.csv", "text,labels\nx,1\n", {}, "no column 'label'; did you mean \"labels\""),
        ("t.csv", f"text,{'w' * 99}\nx,1\n", {}, "'w{30}…'.*a file without a header takes numbers"),
        ("t.csv", "text,text,label\nx,y,1\n", {}, "2 columns are named 'text'"),
        ("t.csv", GOOD, {"text_column": "3", "label_column": "1"}, "no column 3; the first line has 2"),
        ("t.csv", GOOD, {"text_column": "0", "label_column": "1"}, "no column 0"),
        ("t.csv", GOOD, {"text_column": "1"}, "both by name, or both by number"),
        ("t.csv", "text,label\nx,1\ny\n", {}, "line 3: has 1 field, and the first line 2"),
        ("t.csv", "text,label\nx,1\ny, or z,2\n", {}, "line 3: has 3 fields, and the first line 2"),
        ("t.csv", "text,label\nx,1\n,2\n", {}, "line 3: the text is empty"),
        ("t.csv", "text,label\nx,1\ny, \n", {}, "line 3: the label is empty"),
        ("t.csv", 'text,label\nx,1\n"y,2\n', {}, "line 3: not comma-separated values"),
        ("t.csv", 'text,label\nx,1\n"y" z,2\n', {}, "line 3: not comma-separated values"),
        ("t.csv", "text,label\nx,a\ny,a\n", {}, "the only label is 'a'"),
        ("t.csv", "text,label\nx,0.1\ny,0.2\nz,0.3\n", {}, "--threshold"),
        ("t.csv", "text,label\nx,1\ny,good\n", {"threshold": 1}, "line 3: the label 'good' is no number"),
        (
            "t.csv",
            "text,label\nx,1\ny,nan\n",
            {"threshold": 1},
            "line 3: the label is 'nan', which stands for a missing one",
        ),
        ("t.csv", GOOD, {"threshold": 2.5}, "between 1 and 2, on one side of --threshold 2.5"),
        ("t.csv", GOOD, {"threshold": 1}, "between 1 and 2"),
        ("t.jsonl", '{"text": "x", "label": 1}\n{"text": \n', {}, "line 2: not JSON"),
        ("t.jsonl", "[1]\n", {}, "line 1: not an object"),
        ("t.jsonl", '{"text": "x", "label": 1}\n{"text": "x"}\n', {}, "line 2: no column 'label'; there are 'text'"),
        ("t.jsonl", '{"text": 3, "label": 1}\n', {}, "line 1: 'text' is not a text"),
        ("t.jsonl", '{"text": "x", "label": null}\n', {}, "line 1: the label is empty.*--drop-missing"),
        ("t.jsonl", '{"text": "\\ud800", "label": 1}\n', {}, "line 1: .* half a character"),
    ],
)
def test_what_cannot_be_read_gets_one_clear_line(tmp_path, name, content, arguments, message):
    file = write(tmp_path, content, name)
    with pytest.raises(InputError, match=message) as error:
        read_texts(file, **arguments)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(file))
