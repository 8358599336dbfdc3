"""What is said of data before any work, and by the command that says it alone."""

import io
import json

import pytest
from inputs import delimited, image, images, put
from rich.console import Console

from suffice import InputError
from suffice.cli.check import print_summary
from suffice.cli.main import commands
from suffice.configuration import CheckConfig
from suffice.data import load_collection
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


@pytest.mark.parametrize("command", ["analyze", "forecast", "study", "curvature"])
def test_a_dry_run_says_what_the_data_hold_and_writes_nothing(tmp_path, capsys, command):
    images(tmp_path / "data")
    out = tmp_path / "run"
    arguments = [command, "builtin:tiny-vit", str(tmp_path / "data"), "--dry-run", "--out", str(out)]
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
