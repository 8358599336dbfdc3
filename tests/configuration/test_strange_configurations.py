"""Configurations that nobody should write are refused in one line, or read: never a trace."""

import hypothesis.strategies as st
import pytest
from hypothesis import given
from strange_configurations import BOMB, KEYS, VALUES, WHOLE, Strange, strange, try_to_read

from suffice.configuration import AnalyzeConfig, CurveConfig, ForecastConfig, StudyConfig, read_configuration
from suffice.errors import InputError
from suffice.runs.folder import open_folder

GIVEN = "model: m\ndata: d\n"


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_files(tmp_path, number):
    for kind in (AnalyzeConfig, CurveConfig):
        refusal = try_to_read(Strange(kind, WHOLE[number], {}), tmp_path / "config.yaml")
        is_complete = kind is AnalyzeConfig and WHOLE[number].startswith(b"<<: {model: m, data: d}")
        assert refusal is None if is_complete else str(tmp_path / "config.yaml") in refusal


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_values_of_a_number_and_of_a_list(tmp_path, number):
    value = VALUES[number]
    for kind, key in ((StudyConfig, "sizes"), (ForecastConfig, "target_loss"), (ForecastConfig, "seed")):
        content = f"{GIVEN}{key}: {value}\n".encode(errors="surrogatepass")
        refusal = try_to_read(Strange(kind, content, {}), tmp_path / "config.yaml")
        assert refusal is None or "config.yaml: " in refusal


@pytest.mark.parametrize("number", range(len(KEYS)))
def test_keys(tmp_path, number):
    content = f"{GIVEN}{KEYS[number]}: 1\n".encode(errors="surrogatepass")
    refusal = try_to_read(Strange(AnalyzeConfig, content, {}), tmp_path / "config.yaml")
    if KEYS[number] in ("fingerprint", "versions"):  # written by every run, and of another type
        assert refusal is None or "fingerprint" in refusal or "versions" in refusal
    else:
        assert "config.yaml: " in refusal


@given(st.integers(0, 10**9))
def test_any_damage(tmp_path_factory, seed):
    refusal = try_to_read(strange(seed), tmp_path_factory.mktemp("strange") / "config.yaml")
    assert refusal is None or refusal


@given(st.binary(max_size=300))
def test_any_bytes(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("bytes") / "config.yaml"
    assert try_to_read(Strange(CurveConfig, content, {}), file)


@given(st.text(max_size=300))
def test_any_text_as_a_flag(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("flags") / "config.yaml"
    for kind, key in ((ForecastConfig, "sizes"), (AnalyzeConfig, "model"), (AnalyzeConfig, "radius")):
        refusal = try_to_read(Strange(kind, GIVEN.encode(), {key: text}), file)
        assert refusal is None or key in refusal


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"model: m\ndata: d\xe4\n", "byte 17 is not UTF-8: save the file as UTF-8"),
        (f"{GIVEN}seed: {'9' * 5000}".encode(), "not YAML .a value that YAML cannot make: Exceeds the limit"),
        (f"{GIVEN}seed: {'9' * 4000}".encode(), "'seed' = a number of more than 19 digits: too large"),
        (f"{GIVEN}classes: &a [x, *a]".encode(), "nested too deep, or within|aliases stand for more than"),
        (GIVEN.encode() + BOMB.encode(), "its aliases stand for more than 100,000 values"),
        (f"{GIVEN}1: 2".encode(), "a configuration is a list of keys and values"),
        (f"{GIVEN}radius: 2024-13-45".encode(), "a value that YAML cannot make: month must be in 1..12"),
        (f'{GIVEN}text_column: "a\\0b"'.encode(), "'text_column' = .* has a NUL character"),
        (f'{GIVEN}text_column: "a\\udce9"'.encode(), "'text_column' = .*: is not UTF-8; rename it"),
        (f"{GIVEN}radius: {'[' * 900}".encode(), "nested too deep|not YAML"),
        (f"{GIVEN}epochs: 0\nprobes: 0\nradius: 0\nsamples: 0\ncount: 1".encode(), "; and 2 more"),
        (b"#" * 2_000_000, "longer than 1,000,000 bytes, so this is no configuration"),
    ],
)
def test_what_is_said(tmp_path, content, said):
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as refusal:
        read_configuration(AnalyzeConfig, {}, file)
    assert str(refusal.value).startswith(f"{file}: ")


def test_a_mark_of_the_order_of_bytes_and_merged_keys_are_read(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_bytes(b"\xef\xbb\xbf<<: &common {model: m, data: d}\nradius: 0.5\n")
    config = read_configuration(AnalyzeConfig, {}, file)
    assert (config.model, config.radius) == ("m", 0.5)


@pytest.mark.parametrize("content", [b"\xff", b"a: [", b"- 1", f"seed: {'9' * 5000}".encode(), b"model: m\n"])
def test_a_damaged_configuration_of_a_run_is_named(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    config = AnalyzeConfig(model="m", data="d")
    with pytest.raises(InputError, match="is damaged, or another program's"), open_folder(tmp_path, config, {}, False):
        pass


def test_a_folder_and_a_missing_file_are_no_configurations(tmp_path):
    for file in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(InputError, match=r"cannot be read") as refusal:
            read_configuration(AnalyzeConfig, {}, file)
        assert str(refusal.value).startswith(f"{file}: ")
