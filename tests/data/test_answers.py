"""Answers within completions: the last match's first group, and what is refused."""

import pytest

from suffice import InputError
from suffice.data.answers import AnswerPattern, references


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        ("#### (-?[0-9,]+)", "2 + 2\n#### 4\n#### -1,000 dollars", "-1,000"),
        ("#### (-?[0-9,]+)", "2 + 2 = 4", None),
        ("(.*)", "some words", "some words"),  # not the empty match at the end
        ("is( .*|,)", "it is  much \n", "much"),
        ("(a)|(b)", "a b", "a"),  # a group that takes no part is no answer
        (r"\\boxed\{(.+?)\}", r"so \boxed{x^2}", "x^2"),
        ("exact", "  two words\n", "two words"),
        ("exact", " \n", None),
        ("(exact)", "not exact", "exact"),
    ],
)
def test_the_last_match_is_the_answer(pattern, text, answer):
    assert AnswerPattern(pattern).of(text) == answer


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("#### (", r"--answer-pattern '#### \(': no regular expression \(missing \).*\); give one, or exact"),
        ("[0-9]+", r"has no group: put what is compared in parentheses, as in '#### \(-\?\[0-9,\]\+\)', or give exact"),
        ("Exact", "has no group"),
        ("(?:a)", "has no group"),
        ("", "has no group"),
        ("(" * 5000, "no regular expression"),
    ],
)
def test_what_is_no_pattern_is_one_line(pattern, said):
    with pytest.raises(InputError, match=said) as refusal:
        AnswerPattern(pattern)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_a_reference_without_an_answer_is_named():
    with pytest.raises(InputError, match=r"^line 2: 'none' has no match of --answer-pattern '=\(.\)', as 1 of 3 samp"):
        references(AnswerPattern("=(.)"), ["=1", "none", "=3"], ["line 1", "line 2", "line 3"])
    assert references(AnswerPattern("=(.)"), ["=1", "=3"], ["line 1", "line 3"]) == ["1", "3"]
