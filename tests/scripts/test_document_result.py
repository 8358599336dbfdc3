"""The documentation of result.json is the one that its script writes."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "document_result.py"


def test_documentation_of_the_result_is_up_to_date():
    script = runpy.run_path(str(SCRIPT))
    assert script["DOCUMENT"].read_text() == script["document"]()
