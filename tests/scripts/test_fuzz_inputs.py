"""A few seconds of mutated input, the same each time: it is read, or refused in one line."""

import pytest
from scripts_of_project import script


@pytest.fixture(scope="module")
def fuzzing():
    with script("benchmarks/fuzz_inputs.py") as module:
        yield module


def test_no_mutated_input_ends_in_a_traceback(fuzzing):
    found = fuzzing.fuzz(seed=18, count=40, seconds=60)
    assert found["failures"] == []
    assert found["cases"] >= 50
    read = {name.partition(",")[0] for name in found["outcomes"] if name.endswith("read")}
    assert read == set(fuzzing.FAMILIES)


def test_cases_are_those_of_the_seed(fuzzing):
    first, again = (fuzzing.fuzz(seed=3, count=3)["outcomes"] for _ in range(2))
    assert first == again
