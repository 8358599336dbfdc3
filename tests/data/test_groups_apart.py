"""Groups, such as patients, are in the training or in the test samples, whatever the files."""

import numpy as np
import pytest

from suffice import InputError
from suffice.data import Joined, Reading, groups_of, load_collection
from suffice.runs.summary import summary_of

GROUPED = Reading(group_column="patient")


def table(path, patients, split=None):
    rows = [
        ",".join([f"text {row}", "ab"[row % 2], patient, *([] if split is None else [split[row]])])
        for row, patient in enumerate(patients)
    ]
    path.write_text("\n".join([f"text,label,patient{'' if split is None else ',split'}", *rows]))
    return str(path)


def test_a_group_in_two_files_has_one_number(tmp_path):
    first = load_collection(table(tmp_path / "a.csv", ["ann", "bob", "ann", "eve"]), GROUPED).samples
    second = load_collection(table(tmp_path / "b.csv", ["joe", "ann", "joe", "ann"]), GROUPED).samples
    assert groups_of(first)[0] == groups_of(first)[2] == groups_of(second)[1]
    assert len(np.unique(np.concatenate([groups_of(first), groups_of(second)]))) == 4
    with pytest.raises(InputError) as refused:
        Joined(first, second)
    assert "1 of 2 groups of the test samples are among the training samples" in str(refused.value)
    assert "line 2" in str(refused.value)
    assert "line 3" in str(refused.value)


def test_splits_that_divide_a_group_are_refused_and_others_are_not(tmp_path):
    split = ["train", "train", "test", "test"] * 2
    divided = table(tmp_path / "divided.csv", list("pqpqpqrr"), split)
    with pytest.raises(InputError, match="2 of 3 groups of the test samples"):
        summary_of(load_collection(divided, GROUPED))
    assert summary_of(load_collection(divided)).groups is None
    whole = table(tmp_path / "whole.csv", list("ppqqppqq"), split)
    found = load_collection(whole, GROUPED)
    summary = summary_of(found)
    assert (summary.groups, summary.test.samples) == (1, 4)
    joined = Joined(found.at_hand, found.part("test"))
    assert len(np.unique(joined.groups)) == 2


def test_samples_without_groups_are_groups_of_their_own(tmp_path):
    first = load_collection(table(tmp_path / "a.csv", ["ann", "ann", "bob", "bob"]), GROUPED).samples
    second = load_collection(table(tmp_path / "b.csv", ["x"] * 4)).samples
    assert len(np.unique(Joined(first, second).groups)) == 2 + 4
