"""Folders that `save_to_disk` of the library ``datasets`` wrote."""

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from inputs import TABLE, images
from PIL import Image

from suffice import InputError
from suffice.data import LabelledTexts, Reading, contents_of, groups_of, load_collection, load_samples

NAMES = ["yes", "no"]


def texts(count=8, **more):
    columns = {"text": [f"text {row}" for row in range(count)], "label": [row % 2 for row in range(count)], **more}
    features = Features(
        {"text": Value("string"), "label": ClassLabel(names=NAMES), **{name: Value("string") for name in more}}
    )
    return Dataset.from_dict(columns, features=features)


def save(folder, dataset):
    dataset.save_to_disk(folder)
    return str(folder)


def test_texts_keep_the_names_and_the_order_of_their_classes(tmp_path):
    samples = load_samples(save(tmp_path / "d", texts()))
    assert isinstance(samples, LabelledTexts)
    assert samples.classes == NAMES
    assert [samples[row] for row in range(8)] == [f"text {row}" for row in range(8)]
    assert samples.labels.tolist() == [0, 1] * 4
    assert samples.describe(2).startswith("row 3 of ")


def test_labels_may_be_plain(tmp_path):
    rows = Dataset.from_dict({"text": [text for text, _ in TABLE], "label": [label for _, label in TABLE]})
    samples = load_samples(save(tmp_path / "d", rows))
    assert samples.classes == ["no", "yes"]
    assert [samples.classes[label] for label in samples.labels] == [label for _, label in TABLE]


def test_splits_are_used_as_such_and_others_are_left_out(tmp_path):
    held = DatasetDict({"train": texts(8), "dev": texts(2), "test": texts(4), "extra": texts(6)})
    source = save(tmp_path / "d", held)
    collection = load_collection(source)
    assert {split: len(collection.part(split)) for split in collection.splits} == {
        "train": 8,
        "validation": 2,
        "test": 4,
    }
    assert collection.unseen == "test"
    assert any("The split 'extra' (6 rows)" in note for note in collection.notes)
    assert len(load_samples(source, Reading(split="extra"))) == 6


def test_groups_and_missing_rows(tmp_path):
    rows = texts(8, patient=["a", "b", "a", None, "c", "c", "a", "b"])
    source = save(tmp_path / "d", rows)
    with pytest.raises(InputError, match=r"row 4: the group is empty.*--drop-missing"):
        load_samples(source, Reading(group_column="patient"))
    samples = load_samples(source, Reading(group_column="patient", drop_missing=True))
    assert pd.factorize(groups_of(samples))[0].tolist() == [0, 1, 0, 2, 2, 0, 1]
    assert samples[3] == "text 4"


def test_images_are_read_as_from_files(tmp_path):
    files = sorted(images(tmp_path / "files").rglob("*.png"))
    rows = Dataset.from_dict(
        {"image": [str(file) for file in files], "label": [0, 0, 1, 1]},
        features=Features({"image": ImageFeature(), "label": ClassLabel(names=["cat", "dog"])}),
    )
    samples = load_samples(save(tmp_path / "d", rows))
    for row, file in enumerate(files):
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(samples[row]), np.asarray(image))
        assert samples.header(row).width == 6
    assert len(set(contents_of(samples))) == 4
    assert samples.fingerprint() == load_samples(str(tmp_path / "d")).fingerprint()


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda folder: None, {"text_column": "review"}, "no column 'review'.*--text-column"),
        (lambda folder: None, {"label_column": "stars"}, "no column 'stars'.*--label-column"),
        (lambda folder: None, {"image_column": "text"}, "'text' is no column of images; there are none"),
        (lambda folder: None, {"delimiter": ","}, "--delimiter is for tables that are text"),
        (lambda folder: None, {"split": "test"}, "no split 'test'; the data are not divided"),
        (lambda folder: next(folder.glob("*.arrow")).unlink(), {}, "cannot be read by datasets"),
        (lambda folder: next(folder.glob("*.arrow")).write_bytes(b"x"), {}, "cannot be read by datasets"),
        (lambda folder: (folder / "state.json").write_text("{"), {}, "cannot be read by datasets"),
    ],
    ids=["text", "label", "image", "delimiter", "split", "gone", "broken", "state"],
)
def test_bad_folders_get_one_line(tmp_path, change, settings, message):
    source = save(tmp_path / "d", texts())
    change(tmp_path / "d")
    with pytest.raises(InputError, match=message) as refusal:
        load_samples(source, Reading(**settings))
    assert len(str(refusal.value).splitlines()) == 1


def test_hidden_labels_are_named(tmp_path):
    rows = Dataset.from_dict(
        {"text": ["a", "b"], "label": [-1, -1]},
        features=Features({"text": Value("string"), "label": ClassLabel(names=NAMES)}),
    )
    with pytest.raises(InputError, match="row 1: the label -1 is none of the 2 classes, as where labels are hidden"):
        load_samples(save(tmp_path / "d", rows))


def test_a_dict_of_other_splits_asks_for_one(tmp_path):
    with pytest.raises(InputError, match="the splits are extra; choose one with --split"):
        load_samples(save(tmp_path / "d", DatasetDict({"extra": texts()})))
