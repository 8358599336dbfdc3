"""The documentation of result.json is the one that its script writes."""

import runpy
from pathlib import Path
from typing import get_args

from suffice.results import Result

SCRIPT = Path(__file__).parents[2] / "scripts" / "document_result.py"


def test_documentation_of_the_result_is_up_to_date():
    script = runpy.run_path(str(SCRIPT))
    assert script["DOCUMENT"].read_text() == script["document"]()


def test_every_result_is_documented():
    document = runpy.run_path(str(SCRIPT))["document"]()
    for kind in get_args(Result):
        assert f"\n{kind.__doc__}\n" in document
