"""One word for how much an answer can be trusted."""

import numpy as np
import pytest

from suffice.forecasting.doubts import (
    about_copies,
    about_errors,
    about_order,
    about_smallest_class,
    by_severity,
    confidence_of,
)
from suffice.results import Band, LearningCurve

NOTE = about_copies(np.append(np.arange(98), [0, 1]), np.zeros(100, dtype=int)).value
WARNING = about_errors(4, 200).value
OTHER = about_smallest_class(np.repeat([0, 1], [100, 9])).value
SERIOUS = about_order(np.linspace(0, 1, 100), np.zeros(100, dtype=int)).value
ERROR = about_errors(0, 40).value


@pytest.mark.parametrize(
    ("findings", "low", "high", "word"),
    [
        ([], 500, 900, "high"),
        ([], 500, 1001, "medium"),
        ([], 500, 2600, "low"),
        ([], 500, None, "low"),
        ([], None, None, "cannot tell"),
        ([NOTE], 500, 900, "high"),
        ([WARNING], 500, 900, "medium"),
        ([WARNING], 500, 2000, "low"),
        ([WARNING, OTHER], 500, 900, "low"),
        ([NOTE, SERIOUS], 500, 900, "low"),
        ([NOTE, ERROR, SERIOUS], 500, 900, "cannot tell"),
    ],
)
def test_the_word(findings, low, high, word):
    assert confidence_of(findings, low, high).word == word


def test_the_reason_is_what_lowered_it_the_most():
    assert confidence_of([NOTE, WARNING, SERIOUS], 500, 900).reason.endswith("(SUF021)")
    assert confidence_of([NOTE, ERROR], 500, 900).reason.endswith("(SUF018)")
    assert confidence_of([WARNING], 500, None).reason == "the interval has no upper end"
    assert confidence_of([NOTE], 560, 1840).reason == "the interval is 560 to 1,840"
    assert by_severity([NOTE, WARNING, SERIOUS, OTHER, ERROR]) == [ERROR, SERIOUS, WARNING, OTHER, NOTE]


def test_findings_travel_with_a_curve_and_curves_of_earlier_versions_have_none():
    band = Band(mean=[0.9], low=[0.8], high=[1.0])
    curve = LearningCurve(sizes=[100], loss=band, accuracy=band, findings=[WARNING])
    read = LearningCurve.model_validate_json(curve.model_dump_json())
    assert read.findings == [WARNING]
    assert (read.findings[0].code, read.findings[0].severity) == ("SUF019", "warning")
    earlier = curve.model_dump(mode="json")
    del earlier["findings"]
    assert LearningCurve.model_validate(earlier).findings == []


@pytest.mark.parametrize(("reach", "word"), [(0.0, "high"), (0.05, "high"), (0.2, "medium"), (0.43, "low")])
def test_that_a_target_is_out_of_reach_is_the_surer_the_less_likely_it_is_reached(reach, word):
    trust = confidence_of([], None, None, reach)
    assert trust.word == word
    assert trust.reason == f"it is reached with probability {'below 1%' if reach < 0.01 else f'{reach:.0%}'} at most"
