"""Samples of either kind, and views on some of their classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suffice import InputError
from suffice.data import ClassSubset, LabelledSamples, LabelledTexts, Reading, load_samples

CLASSES = ["a", "b", "c", "d"]


def texts(labels):
    lines = range(1, len(labels) + 1)
    return LabelledTexts([f"text {line}" for line in lines], np.array(labels), CLASSES, lines, "here")


@given(
    labels=st.lists(st.integers(0, 3), min_size=8, max_size=20).map(lambda drawn: [0, 1, 2, 3, *drawn]),
    names=st.permutations(CLASSES).flatmap(lambda order: st.integers(2, 4).map(lambda count: order[:count])),
)
def test_subset_keeps_the_samples_of_its_classes_in_the_order_of_the_data(labels, names):
    samples = texts(labels)
    subset = ClassSubset(samples, names)
    kept = [row for row, label in enumerate(labels) if CLASSES[label] in names]
    assert isinstance(subset, LabelledSamples)
    assert [subset[row] for row in range(len(subset))] == [samples[row] for row in kept]
    assert [subset.describe(row) for row in range(len(subset))] == [samples.describe(row) for row in kept]
    assert [subset.classes[label] for label in subset.labels] == [CLASSES[labels[row]] for row in kept]
    assert subset.labels.dtype == np.int64


def test_fingerprint_follows_the_samples_and_the_names():
    prints = [
        ClassSubset(texts(labels), names).fingerprint()
        for labels, names in (
            ([0, 1, 2, 3], ["a", "b"]),
            ([0, 1, 2, 3], ["b", "a"]),
            ([0, 1, 2, 3], ["a", "c"]),
            ([0, 1, 2, 2], ["a", "b"]),
        )
    ]
    assert len(set(prints)) == 4
    assert ClassSubset(texts([0, 1, 2, 3]), ["a", "b"]).fingerprint() == prints[0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "at least two"),
        ([], "at least two"),
        (["a", "a"], "each once"),
        (["a", "b", "a"], "each once"),
        (["a", "B", "zebra"], "no class 'B' in the data"),
        (["a", "zebra"], "no class 'zebra' in the data; there are: a, b, c, d$"),
        (["a", "d"], "'d' has no samples"),
    ],
)
def test_classes_that_cannot_be_kept_are_refused(names, message):
    with pytest.raises(InputError, match=message) as error:
        ClassSubset(texts([0, 1, 2]), names)
    assert "\n" not in str(error.value)


def test_nearest_class_is_offered():
    samples = LabelledTexts(["x", "y"], np.array([0, 1]), ["positive", "negative"], [1, 2], "here")
    with pytest.raises(InputError, match='did you mean "positive"'):
        ClassSubset(samples, ["positiv", "negative"])


def test_source_decides_the_kind_of_the_samples(reviews):
    assert isinstance(load_samples(str(reviews))[0], str)
    assert isinstance(load_samples("builtin:digits")[0], Image.Image)


def test_threshold_for_images_is_refused():
    with pytest.raises(InputError, match="--threshold is for tables"):
        load_samples("builtin:digits", Reading(threshold=3))


def test_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "reviews.doc").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"neither an IDX file .* a table \(\.csv, \.json, "):
        load_samples(str(tmp_path / "reviews.doc"))
