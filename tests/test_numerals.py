"""Numbers as people write them are read as the numbers that were meant, or are said to be either of two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.numerals import decimal_sign, number_of

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


def written(number, decimal, thousands):
    return f"{number:,.6f}".translate({ord(","): thousands, ord("."): decimal})


@given(number=NUMBERS, style=st.sampled_from([(".", ""), (".", ","), (",", "."), (",", ""), (",", " "), (".", "'")]))
def test_a_number_in_the_style_of_any_country_is_that_number(number, style):
    assert number_of(written(number, *style), style[0]) == pytest.approx(round(number, 6), rel=1e-12)
    assert number_of(f"{written(number, *style)} %", style[0]) == pytest.approx(round(number, 6) / 100, rel=1e-12)


@given(numbers=st.lists(NUMBERS, min_size=1), style=st.sampled_from([(".", ","), (",", "."), (",", "")]))
def test_the_sign_of_a_column_is_the_one_it_was_written_with(numbers, style):
    assert decimal_sign([written(number, *style) for number in numbers]) == style[0]


@given(counts=st.lists(st.integers(1, 10**12), min_size=1), style=st.sampled_from([",", "."]))
def test_counts_are_read_as_they_were_meant_or_not_at_all(counts, style):
    words = [f"{count:,}".replace(",", style) for count in counts]
    sign = decimal_sign(words, are_counts=True)
    if sign is None:
        assert style == "."
        assert any("." in word for word in words)
    else:
        assert [number_of(word, sign) for word in words] == counts


def test_columns_of_both_signs_have_a_decimal_point_or_could_be_either():
    assert decimal_sign(["0,5", "0.5"]) == "."
    assert decimal_sign(["1,000", "1.000"]) is None


@pytest.mark.parametrize(
    "text", ["", "%", "nan", "inf", "1,2", "12,00", "0,100", "1_0", "1..5", "9" * 5000, "1e999", "x"]
)
def test_what_is_no_number_is_none(text):
    assert number_of(text) is None
