"""What is said of data before any work, and by the command that says it alone."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import TABLE, delimited, image, images, put
from PIL import Image
from rich.console import Console

from suffice import InputError
from suffice.checks import repeated
from suffice.cli.check import print_summary
from suffice.cli.main import commands
from suffice.configuration import CheckConfig
from suffice.data import Reading, load_collection, load_samples
from suffice.results import DataSummary
from suffice.runs.summary import check, sentences_of, summary_of, tell


class Listener:
    def __init__(self):
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


def checked(source, **settings):
    return check(CheckConfig(data=str(source), **settings))


def test_images_are_summarised_by_their_heads(tmp_path):
    images(tmp_path)
    image(tmp_path, "cat/grey.jpg", 77, "L", (9, 9))
    (tmp_path / "dog" / "copy.png").write_bytes((tmp_path / "cat" / "0.png").read_bytes())
    put(tmp_path, "dog/notes.txt", "x")
    summary = checked(tmp_path)
    assert (summary.kind, summary.samples) == ("images", 6)
    assert [(of.name, of.samples) for of in summary.classes] == [("cat", 3), ("dog", 3)]
    assert summary.images.modes == {"RGB": 5, "L": 1}
    assert (summary.images.sizes, summary.images.smallest, summary.images.largest) == (2, (6, 4), (9, 9))
    assert (summary.copies.count, summary.copies.contradicting) == (1, 1)
    assert "cat/0.png (cat) and" in summary.copies.first[0]
    assert "dog/copy.png (dog)" in summary.copies.first[0]
    assert summary.left_out[0].model_dump() == {"reason": "no image (.txt)", "count": 1, "first": ["dog/notes.txt"]}
    assert summary.rare == ["cat", "dog"]
    assert DataSummary.model_validate(json.loads(summary.model_dump_json())) == summary


def test_texts_are_summarised(tmp_path):
    rows = [("aa", "x"), ("bbbb", "y"), ("aa", "x"), ("cc", "y"), ("aa", "y")]
    summary = checked(put(tmp_path, "t.csv", delimited(rows=rows)))
    assert summary.texts.model_dump() == {"shortest": 2, "median": 2, "longest": 4}
    assert (summary.copies.count, summary.copies.contradicting) == (2, 1)
    assert summary.copies.first == [f"line 2 of {tmp_path / 't.csv'} (x) and line 6 of {tmp_path / 't.csv'} (y)"]


def test_samples_that_are_tested_on_as_well_are_counted(tmp_path):
    train = put(tmp_path, "a.csv", delimited(rows=[("a", "x"), ("b", "y"), ("c", "x")]))
    test = put(tmp_path, "b.csv", delimited(rows=[("b", "x"), ("d", "y"), ("c", "x")]))
    summary = checked(train, test=str(test))
    assert (summary.test.samples, summary.test.overlap) == (3, 2)
    assert any("2 of the 3 samples of" in sentence for sentence in sentences_of(summary))


def noise(folder, name, seed, **options):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size=(9, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, **options)


def test_images_that_are_tested_on_as_well_are_found_whatever_their_format(tmp_path):
    """By the function that stops a forecast with SUF012."""
    for seed, name in enumerate(("cat/1.png", "cat/2.png", "dog/3.png")):
        noise(tmp_path / "train", name, seed)
    for seed, (name, options) in enumerate(
        {"cat/a.bmp": {}, "cat/b.tiff": {}, "dog/c.webp": {"lossless": True}, "dog/d.png": {}}.items()
    ):
        noise(tmp_path / "test", name, seed, **options)
    summary = checked(tmp_path / "train", test=str(tmp_path / "test"))
    train, test = load_samples(str(tmp_path / "train")), load_samples(str(tmp_path / "test"))
    twice = repeated((train[row] for row in range(len(train))), (test[row] for row in range(len(test))))
    assert summary.test.overlap == len(twice) == 3
    assert summary.test.first == [test.describe(row) for row in twice]


def test_copies_among_images_are_those_of_their_pixels(tmp_path):
    images(tmp_path)
    for name in ("cat/p.png", "cat/p.bmp", "dog/p.tiff"):
        noise(tmp_path, name, 3)
    summary = checked(tmp_path)
    assert (summary.copies.count, summary.copies.contradicting) == (2, 1)


def test_images_that_a_model_cannot_be_given_are_found_in_the_data_and_the_test_data(tmp_path):
    for part in ("train", "test"):
        images(tmp_path / part, size=(200, 200))
        Image.fromarray(np.ones((3, 3), dtype=np.float32)).save(tmp_path / part / "cat" / "x.tif")
        noise(tmp_path / part, "dog/cut.png", 1)
        (tmp_path / part / "dog" / "cut.png").write_bytes((tmp_path / part / "dog" / "cut.png").read_bytes()[:99])
    summary = checked(tmp_path / "train", test=str(tmp_path / "test"))
    assert (summary.unreadable_count, len(summary.unreadable)) == (4, 3)
    assert checked(tmp_path / "train").unreadable_count == 2
    assert sum(summary.images.modes.values()) == 4
    assert not any("exact cop" in sentence for sentence in sentences_of(summary))


WORDS = st.lists(
    st.sampled_from(["good", "bad", "film", "caf\u00e9", "\u00fcber", "stra\u00dfe"]), min_size=1, max_size=4
)


@given(
    texts=st.lists(WORDS, min_size=2, max_size=5, unique_by=tuple), case=st.sampled_from([str.upper, str.title, str])
)
def test_texts_that_differ_only_by_case_or_blanks_are_counted(tmp_path_factory, texts, case):
    folder = tmp_path_factory.getbasetemp()
    plain = [" ".join(words) for words in texts]
    others = [case("  ".join(words)) + " " for words in texts]
    rows = [(text, "xy"[row % 2]) for row, text in enumerate(plain)]
    train = put(folder, "alike_train.csv", delimited(rows=rows))
    test = put(folder, "alike_test.csv", delimited(rows=[(text, "xy"[row % 2]) for row, text in enumerate(others)]))
    summary = checked(train, test=str(test))
    assert (summary.copies.count, summary.copies.alike) == (0, 0)
    assert (summary.test.overlap, summary.test.alike) == (0, len(texts))
    both = put(folder, "alike_both.csv", delimited(rows=[*rows, *((text, "x") for text in others)]))
    assert (checked(both).copies.count, checked(both).copies.alike) == (0, len(texts))


def test_other_classes_of_the_test_data_are_said(tmp_path):
    train = put(tmp_path, "a.csv", delimited())
    test = put(tmp_path, "b.csv", delimited(rows=[("x", "yes"), ("y", "maybe")]))
    summary = checked(train, test=str(test))
    assert (summary.test.others, summary.test.absent) == (["maybe"], ["no"])
    assert any("(only there: maybe; not there: no): a forecast refuses it" in said for said in sentences_of(summary))
    same = checked(train, test=str(put(tmp_path, "c.csv", delimited(rows=TABLE[:2]))))
    assert (same.test.others, same.test.absent, same.test.is_reordered) == ([], [], False)


def test_samples_of_classes_that_are_left_out_are_counted(tmp_path):
    rows = [(f"t{row}", "aabbbc"[row % 6]) for row in range(60)]
    file = str(put(tmp_path, "t.csv", delimited(rows=rows)))
    for reading, left in (
        (Reading(exclude=["c"]), (10, ["c (10)"])),
        (Reading(classes=["b", "c"]), (20, ["a (20)"])),
    ):
        (left_out,) = summary_of(load_collection(file, reading)).left_out
        assert (left_out.count, left_out.first) == left


def test_one_of_anything_is_singular(tmp_path):
    rows = [("a", "x"), ("a", "y"), *((f"t{row}", "xy"[row % 2]) for row in range(20)), ("z", "rare"), ("", "x")]
    train = put(tmp_path, "a.csv", delimited(rows=rows))
    test = put(tmp_path, "b.csv", delimited(rows=[("t0", "x"), ("u", "y"), ("v", "rare"), ("w", "x")]))
    said = " ".join(sentences_of(checked(train, test=str(test), drop_missing=True)))
    for sentence in (
        "1 sample is an exact copy of another;",
        "1 content comes with different labels",
        "Fewer than 10 samples: 1 class (rare).",
        "Left out: 1, the text is missing: line 25.",
        "is among the samples at hand: line 2 of",
        "remove it, its loss is too low",
    ):
        assert sentence in said


def test_a_label_of_5000_digits_is_cut_where_it_is_said(tmp_path):
    rows = [*((f"t{row}", row % 2) for row in range(20)), ("z", "9" * 5000)]
    summary = checked(put(tmp_path, "t.csv", delimited(rows=rows)))
    console = Console(file=io.StringIO(), width=100)
    print_summary(summary, console)
    assert len(console.file.getvalue()) < 2000
    assert max(map(len, sentences_of(summary))) < 300


def test_splits_groups_and_overlap_of_a_table(tmp_path):
    rows = [(f"t{row}", "xy"[row % 2], f"p{row // 2}", "test" if row > 5 else "train") for row in range(8)]
    rows.append(("t0", "x", "p9", "test"))
    file = put(tmp_path, "t.csv", delimited(header=("text", "label", "p", "split"), rows=rows))
    summary = checked(file, group_column="p")
    assert summary.splits == {"train": 6, "test": 3}
    assert (summary.samples, summary.groups, summary.test.overlap) == (6, 3, 1)
    said = " ".join(sentences_of(summary))
    assert "Splits: train 6, test 3." in said
    assert "in 3 groups" in said


def test_images_that_cannot_be_read_stop_a_run_and_are_told_by_a_check(tmp_path):
    images(tmp_path)
    for name in "abcd":
        put(tmp_path, f"cat/{name}.png", "text")
    summary = checked(tmp_path)
    assert (summary.unreadable_count, len(summary.unreadable)) == (4, 3)
    listener = Listener()
    with pytest.raises(
        InputError, match=r"a\.png: not a readable image.*or leave it out with --exclude\. So are 3 more"
    ):
        tell(summary_of(load_collection(str(tmp_path))), listener)
    assert len(listener.said) == len(sentences_of(summary))


def test_a_model_tells_its_cost():
    summary = checked("builtin:digits", model="builtin:tiny-vit")
    assert summary.cost.parameters > 1000
    assert summary.cost.weights == 4 * summary.cost.parameters
    assert summary.cost.seconds > 0


def test_the_command_prints_all_of_it(tmp_path, capsys):
    images(tmp_path)
    put(tmp_path, "cat/[red].png", "text")
    commands(["check", str(tmp_path)], standalone_mode=False)
    told = " ".join(capsys.readouterr().out.split())
    assert "5 images of 2 classes" in told
    assert "Cannot be read" in told
    assert "[red].png" in told.replace(" ", "")


@pytest.mark.parametrize("command", ["analyze", "forecast", "study", "curvature", "hessian"])
def test_a_dry_run_says_what_the_data_hold_and_writes_nothing(tmp_path, capsys, command):
    images(tmp_path / "data")
    out = tmp_path / "run"
    model = [] if command == "hessian" else ["builtin:tiny-vit"]
    arguments = [command, *model, str(tmp_path / "data"), "--dry-run", "--out", str(out)]
    commands(arguments, standalone_mode=False)
    assert "4 images of 2 classes" in " ".join(capsys.readouterr().out.split())
    assert not out.exists()


def test_many_classes_are_a_table(tmp_path):
    rows = [(f"t{row}", f"class {row % 30}") for row in range(90)]
    summary = checked(put(tmp_path, "t.csv", delimited(rows=rows)))
    assert "and 18 more" in sentences_of(summary)[0]
    console = Console(file=io.StringIO(), width=100)
    print_summary(summary, console)
    assert "class 29" in console.file.getvalue()
