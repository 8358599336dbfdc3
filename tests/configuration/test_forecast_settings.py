"""Settings of forecasts: the methods to compare."""

import pytest

from suffice.configuration import ForecastConfig, read_configuration
from suffice.errors import InputError

GIVEN = {"model": "m", "data": "d"}


@pytest.mark.parametrize(
    ("given", "methods"),
    [
        ("head", ["head"]),
        ("head, lora( 4 ) ,all", ["head", "lora(4)", "full"]),
        ("lora(4,8),head", ["lora(4,8)", "head"]),
    ],
)
def test_methods_stand_between_commas_outside_parentheses(given, methods):
    config = ForecastConfig(**GIVEN, method=given)
    assert config.methods == methods
    assert config.method == ",".join(methods)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("head,lora(4),head", "each may be named once"),
        ("full,all", "each may be named once"),
        ("head,", "give one method, or several with commas between them"),
        ("", "give one method, or several with commas between them"),
    ],
)
def test_a_method_given_twice_or_not_at_all_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        read_configuration(ForecastConfig, GIVEN | {"method": given})
