"""One registry of findings, and documentation that agrees with it."""

import re
import warnings
from pathlib import Path

import pytest
from scripts_of_project import ROOT, script

from suffice import InputError
from suffice.checks import KINDS, Finding


def test_codes_count_from_one():
    assert [kind.code for kind in KINDS] == [f"SUF{number:03}" for number in range(1, 1 + len(KINDS))]


def test_the_page_has_what_the_registry_has():
    page = (ROOT / "docs" / "checks.md").read_text()
    with script("scripts/document_checks.py") as documenting:
        assert page == documenting.document()
    for kind in KINDS:
        section = page.split(f"## {kind.code}")[1].split("\n## ")[0]
        for part in (kind.title, kind.severity, kind.detected, kind.matters, kind.remedy):
            assert part in section


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_kind_is_reported_somewhere_and_tested(kind):
    source = "".join(path.read_text() for path in (ROOT / "src" / "suffice").rglob("*.py"))
    name = re.search(rf'(\w+) = Kind\(\s+"{kind.code}"', source)[1]
    assert len(re.findall(rf"\b{name}\b", source)) >= 4  # defined, listed, imported, used
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("*.py"))
    assert kind.code in tests


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_a_finding_is_one_line_with_its_code(kind):
    finding = Finding(kind, "module encoder.norm\n  is wrong", "Mend it")
    assert str(finding) == f"{kind.code}: module encoder.norm is wrong. Mend it."
    if kind.severity == "error":
        with pytest.raises(InputError, match=f"^{kind.code}: "):
            finding.report()
    else:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            finding.report()
        assert [str(one.message) for one in said] == [str(finding)]
        assert issubclass(said[0].category, UserWarning)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_a_finding_is_a_plain_value_with_its_reason(kind):
    value = Finding(kind, "4 errors in 200 samples", "Label 100 more").value
    assert (value.code, value.severity, value.why) == (kind.code, kind.severity, kind.matters)
    assert (value.what, value.remedy) == ("4 errors in 200 samples", "Label 100 more")
