"""Configurations: read, overridden, checked, written back."""

from pathlib import Path

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given

from suffice.configuration import (
    AnalyzeConfig,
    CurveConfig,
    ForecastConfig,
    HessianConfig,
    MLPConfig,
    MonitorConfig,
    StudyConfig,
    read_analysis,
    read_configuration,
)
from suffice.configuration.language import LanguageStudyConfig
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
    ["probes: many", "radius: -1", "held_out: 1.5", "samples: 2", "points: 3.5", "batch_size: big", "radius: .nan"],
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


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\x85\u2028\u2029"))
"""These characters are refused."""


@given(
    st.builds(
        AnalyzeConfig,
        model=NAMES.filter(bool),
        data=st.just("d"),
        radius=st.floats(1e-6, 1e6),
        batch_size=st.one_of(st.just("auto"), st.integers(1, 9)),
        parameters=st.none() | st.lists(NAMES, min_size=1),
    )
)
def test_what_is_written_is_read_back(config):
    assert (
        read_configuration(AnalyzeConfig, yaml.safe_load(yaml.safe_dump(config.asked(), allow_unicode=True))) == config
    )


@pytest.mark.parametrize("written", ["label_map: {no: NEG, yes: POS}", "classes: [no, yes]", "label_map: {bad: no}"])
def test_words_that_yaml_takes_for_truth_values_are_to_be_quoted(written, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"model: m\ndata: d\n{written}\n")
    with pytest.raises(InputError, match="YAML reads no, yes, .* as truth values: put them in quotes") as refusal:
        read_configuration(AnalyzeConfig, {}, file)
    assert "\n" not in str(refusal.value)


EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize("name", sorted(file.parent.name for file in EXPERIMENTS.glob("*/config.yaml")))
def test_committed_configurations_are_read(name):
    file = EXPERIMENTS / name / "config.yaml"
    if name == "mlp":
        assert isinstance(read_analysis({}, file), MLPConfig)
    else:
        kind = {"vit-block": HessianConfig, "lm-gsm8k": LanguageStudyConfig}.get(name, StudyConfig)
        assert read_configuration(kind, {}, file).seed == 0


WRITTEN_BY = {
    "analyze": AnalyzeConfig(**GIVEN),
    "analyze builtin:mlp": MLPConfig(),
    "hessian": HessianConfig(),
    "study": StudyConfig(**GIVEN),
    "forecast": ForecastConfig(**GIVEN),
    "curve": CurveConfig(scores=["s"]),
    "monitor": MonitorConfig(scores=["s"]),
}


@pytest.mark.parametrize("command", WRITTEN_BY)
@pytest.mark.parametrize("source", WRITTEN_BY)
def test_a_configuration_of_another_command_is_told_by_its_keys(tmp_path, command, source):
    file = write(tmp_path, yaml.safe_dump(WRITTEN_BY[source].asked()))
    kind = type(WRITTEN_BY[command])
    if command == source:
        assert read_configuration(kind, {}, file) == WRITTEN_BY[source]
        return
    with pytest.raises(InputError, match=r"config\.yaml: .*unknown key") as refusal:
        read_configuration(kind, {}, file)
    told, name = str(refusal.value), source.split()[0]
    assert "\n" not in told
    if command.split()[0] == name:
        return
    assert f"this is a configuration of suffice {name}, not of suffice {command.split()[0]} (unknown keys " in told
    assert told.endswith(f"): run suffice {name} --config {file}")
    assert "did you mean" not in told


@pytest.mark.parametrize("store", ["", " "])
def test_a_store_without_a_name_is_refused(store):
    with pytest.raises(InputError, match="store.*give a folder or a URL, or leave it out"):
        read_configuration(AnalyzeConfig, {"model": "builtin:tiny-vit", "data": "builtin:digits", "store": store})


def test_few_keys_may_be_of_several_commands_and_a_misspelt_one_is_of_none(tmp_path):
    file = write(tmp_path, "model: m\ndata: d\noptimizer: sgd\n")
    with pytest.raises(InputError) as refusal:
        read_configuration(AnalyzeConfig, {}, file)
    assert str(refusal.value) == (
        f"{file}: this is a configuration of suffice study or suffice forecast, not of suffice analyze (unknown key "
        f"'optimizer'): run suffice study --config {file}"
    )
    with pytest.raises(InputError, match="unknown key 'optimiser'") as refusal:
        read_configuration(AnalyzeConfig, {}, write(tmp_path, "model: m\ndata: d\noptimiser: sgd\n"))
    assert "a configuration of" not in str(refusal.value)


def test_keys_of_earlier_versions_are_read_under_their_names_of_today(tmp_path):
    file = write(tmp_path, "model: m\ndata: d\nfine_tune: all\nsizes: 12\n")
    config = read_configuration(AnalyzeConfig, {}, file)
    assert (config.method, config.points) == ("full", 12)
    assert not {"fine_tune", "sizes"} & set(config.asked())
    assert read_configuration(AnalyzeConfig, {"method": "head", "points": 5}, file).method == "head"
    assert read_configuration(AnalyzeConfig, {"fine_tune": "last_layers( 2 )"}, file).method == "last_layers(2)"
    assert read_configuration(AnalyzeConfig, {"points": 5}, file).points == 5
    assert read_configuration(AnalyzeConfig, GIVEN | {"fine_tune": "head", "method": "head"}).method == "head"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fine_tune: head\nmethod: full", "method = 'full' and fine_tune = 'head': these are two names of one setting"),
        ("sizes: [50, 100]", "unknown key 'sizes'"),
        ("sizes: 12\npoints: 12", "unknown key 'sizes'"),
        ("sizes: true", "unknown key 'sizes'"),
        ("sizes: 1", "points = 1"),
    ],
)
def test_keys_that_are_twice_or_no_longer_there_are_refused(tmp_path, line, said):
    with pytest.raises(InputError, match=said):
        read_configuration(AnalyzeConfig, {}, write(tmp_path, f"model: m\ndata: d\n{line}\n"))


@pytest.mark.parametrize("character", ["\0", "\x85", "\u2028", "\u2029"])
def test_characters_that_a_file_would_not_keep_are_refused(character):
    with pytest.raises(InputError, match="has a (NUL character|line separator)"):
        read_configuration(AnalyzeConfig, {"model": "m", "data": "d", "parameters": [f"a{character}b"]})
