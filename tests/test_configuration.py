"""Configurations: read, overridden, checked, written back."""

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given

from suffice.configuration import AnalyzeConfig, read_configuration
from suffice.errors import InputError

GIVEN = {"model": "m", "data": "d"}


def write(tmp_path, content):
    file = tmp_path / "config.yaml"
    file.write_text(content)
    return file


def test_values_override_the_file(tmp_path):
    file = write(tmp_path, "model: m\ndata: d\nradius: 0.3\nprobes: 4\n")
    config = read_configuration(AnalyzeConfig, {"radius": 0.5}, file)
    assert (config.radius, config.probes) == (0.5, 4)


def test_unknown_key_suggests_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"unknown key 'toleranc'; did you mean \"tolerance\"\?"):
        read_configuration(AnalyzeConfig, {}, write(tmp_path, "model: m\ndata: d\ntoleranc: 0.1\n"))


@pytest.mark.parametrize(
    "line",
    ["probes: many", "radius: -1", "held_out: 1.5", "samples: 2", "sizes: 3.5", "batch_size: big", "radius: .nan"],
)
def test_value_of_a_wrong_type_or_range_names_its_key(tmp_path, line):
    with pytest.raises(InputError, match=line.partition(":")[0]) as error:
        read_configuration(AnalyzeConfig, {}, write(tmp_path, f"model: m\ndata: d\n{line}\n"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "just words"])
def test_file_that_is_no_configuration_is_named(tmp_path, content):
    with pytest.raises(InputError, match=r"config\.yaml"):
        read_configuration(AnalyzeConfig, {}, write(tmp_path, content))


def test_missing_model_says_what_it_is():
    with pytest.raises(InputError, match=r"model is missing: Hugging Face folder"):
        read_configuration(AnalyzeConfig, {"data": "d"})


def test_columns_and_classes_may_be_numbers_in_a_file(tmp_path):
    config = read_configuration(
        AnalyzeConfig, {}, write(tmp_path, "model: m\ndata: d\ntext_column: 3\nlabel_column: 2\nclasses: [0, 1.5, a]\n")
    )
    assert (config.text_column, config.label_column, config.classes) == ("3", "2", ["0", "1.5", "a"])


@given(
    st.builds(
        AnalyzeConfig,
        model=st.text(min_size=1),
        data=st.just("d"),
        radius=st.floats(1e-6, 1e6),
        batch_size=st.one_of(st.just("auto"), st.integers(1, 9)),
        parameters=st.none() | st.lists(st.text(), min_size=1),
    )
)
def test_what_is_written_is_read_back(config):
    assert (
        read_configuration(AnalyzeConfig, yaml.safe_load(yaml.safe_dump(config.asked(), allow_unicode=True))) == config
    )
