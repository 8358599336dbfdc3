import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from suffice import SufficientSize

REACHED = {
    "criterion": "remaining",
    "tolerance": 0.01,
    "relative": True,
    "size": 100,
    "low": 80,
    "high": 130,
    "status": "reached",
    "explanation": "From 100 samples on, all is well.",
}
CANNOT_TELL = REACHED | {"size": None, "low": None, "high": None, "status": "cannot_tell"}


def answers():
    """All answers that keep the invariants."""
    common = {
        "criterion": st.sampled_from(["remaining", "difference"]),
        "tolerance": st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        "relative": st.booleans(),
        "confidence": st.floats(0.01, 0.99),
        "explanation": st.text(),
    }
    sizes = st.tuples(*[st.integers(1, 10**18)] * 3).map(sorted)
    known = st.builds(
        lambda sizes, ends, **rest: SufficientSize(
            low=sizes[0], size=sizes[1], high=sizes[2] if ends else None, **rest
        ),
        sizes=sizes,
        ends=st.booleans(),
        status=st.sampled_from(["reached", "extrapolated"]),
        **common,
    )
    unknown = st.builds(
        SufficientSize, size=st.none(), low=st.none(), high=st.none(), status=st.just("cannot_tell"), **common
    )
    return known | unknown


@given(answer=answers())
def test_json_gives_the_same_answer_back(answer):
    assert SufficientSize.model_validate_json(answer.model_dump_json()) == answer


@pytest.mark.parametrize(
    "answer", [REACHED, CANNOT_TELL, REACHED | {"status": "extrapolated"}, REACHED | {"high": None}]
)
def test_the_usual_answers_are_valid_with_confidence_ninety_percent(answer):
    assert SufficientSize(**answer).confidence == 0.9


@pytest.mark.parametrize(
    "change",
    [
        {"low": 101},
        {"high": 99},
        {"low": None},
        {"size": None},
        {"low": 101, "high": None},
        {"size": None, "low": None, "high": None},
        {"status": "cannot_tell"},
        {"size": 0, "low": 0},
        {"low": 0},
        {"low": -5},
        {"size": 100.5},
        {"tolerance": 0.0},
        {"tolerance": -1.0},
        {"tolerance": float("nan")},
        {"tolerance": float("inf")},
        {"confidence": 0.0},
        {"confidence": 1.0},
        {"status": "perhaps"},
        {"criterion": "rest"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_answers_that_break_an_invariant_are_refused(change):
    with pytest.raises(ValidationError):
        SufficientSize(**(REACHED | change))


@pytest.mark.parametrize("missing", sorted(REACHED))
def test_no_part_of_an_answer_may_be_left_out(missing):
    with pytest.raises(ValidationError, match=missing):
        SufficientSize(**{name: value for name, value in REACHED.items() if name != missing})


def test_an_answer_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        SufficientSize(**REACHED).size = 1


def test_every_part_is_described_for_the_report():
    assert all(field.description for field in SufficientSize.model_fields.values())
