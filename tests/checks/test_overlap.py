"""Test samples that are among the training samples are found by content."""

import pytest
import torch

from suffice import InputError
from suffice.checks import check_apart, repeated


def test_repeated_content_is_found_whatever_holds_it():
    x = torch.arange(6.0)
    known = [{"input": x, "labels": 1}, (x.numpy() + 1, 0), "a text", [x, x]]
    others = ["another", (x + 1, 5), {"labels": 2, "input": x.numpy()}, ["a text", 3], x]
    assert repeated(known, others) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (["b", "a"], r"SUF012: 1 of the test samples is among the training samples: row 1\. Remove the copies"),
        (["a", "b", "a"], r"SUF012: 2 of the test samples are among the training samples: the first is row 0\. "),
    ],
)
def test_samples_in_both_sets_are_refused_with_the_first_of_them(others, said):
    with pytest.raises(InputError, match=f"^{said}"):
        check_apart(["a", "c"], others, lambda index: f"row {index}")


def test_sets_without_a_common_sample_pass():
    check_apart(["a", "c"], ["b", "A"], lambda index: pytest.fail("no sample is in both"))
