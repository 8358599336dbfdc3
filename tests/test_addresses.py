"""A store is named so that workers and later commands find it from any folder."""

from pathlib import Path

import pytest

from suffice.addresses import absolute
from suffice.configuration import StudyConfig, read_configuration
from suffice.errors import InputError
from suffice.storage import place


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("st", "{here}/st"),
        ("file://st", "{here}/st"),
        ("FILE://st/inner", "{here}/st/inner"),
        ("file:///data/st", "/data/st"),
        ("local:///data/st", "/data/st"),
        ("file://localhost/data/st", "/data/st"),
        ("file://LocalHost/data/st", "/data/st"),
        ("file://localhostess/st", "{here}/localhostess/st"),
        ("MEMORY://st/Inner", "memory://st/Inner"),
    ],
)
def test_what_is_written_is_the_same_place_for_everyone(written, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = absolute(written)
    assert there == meant.format(here=tmp_path)
    assert place(written).absolute() == place(there)
    assert str(place(there)) == there
    assert StudyConfig(model="builtin:tiny-vit", data="builtin:digits", store=written).store == there
    monkeypatch.chdir(Path(tmp_path.anchor))
    assert absolute(there) == there


@pytest.mark.parametrize("written", ["file://", "file:///", "FILE://localhost", "s3:/bucket/x", "S3:bucket"])
def test_what_names_no_place_is_refused_with_the_configuration(written):
    with pytest.raises(InputError, match=r"names no folder|write the URL of a store as s3://bucket") as told:
        read_configuration(StudyConfig, {"model": "builtin:tiny-vit", "data": "builtin:digits", "store": written})
    assert "\n" not in str(told.value)
