"""Settings of studies: lists, methods with settings of their own, and what is refused."""

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given

from suffice.configuration import StudyConfig, read_configuration
from suffice.errors import InputError
from suffice.training import Series, training_of

GIVEN = {"model": "m", "data": "d"}


LISTS = {
    "methods": ("head, last_layers(2),lora(4)", ["head", "last_layers(2)", "lora(4)"]),
    "sizes": ("50,100, 200", [50, 100, 200]),
    "metrics": ("f1,auroc", ["f1", "auroc"]),
    "lora_targets": ("query,value", ["query", "value"]),
    "landscape_sizes": ("50", [50]),
    "tolerances": ("0.1,0.05", [0.1, 0.05]),
}


@pytest.mark.parametrize("key", LISTS)
def test_lists_are_split_at_commas_wherever_they_come_from(tmp_path, key):
    text, expected = LISTS[key]
    file = tmp_path / "config.yaml"
    file.write_text(f"model: m\ndata: d\n{key}: {text}\n")
    given = [{key: text}, {key: [text]}, {key: text.split(",")}, {key: expected}]
    read = [read_configuration(StudyConfig, GIVEN | values) for values in given]
    assert all(getattr(config, key) == expected for config in [*read, read_configuration(StudyConfig, {}, file)])


@pytest.mark.parametrize(("key", "value"), [("sizes", 50), ("tolerances", 0.1), ("landscape_sizes", 50)])
def test_a_single_number_is_a_list_of_one(key, value):
    assert getattr(read_configuration(StudyConfig, GIVEN | {key: value}), key) == [value]


def test_class_subsets_keep_their_commas():
    config = read_configuration(StudyConfig, GIVEN | {"class_subsets": ["0,1,2", "3,4"]})
    assert config.class_subsets == ["0,1,2", "3,4"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sizes", "50,many"),
        ("sizes", "50,,100"),
        ("sizes", [0, 50]),
        ("sizes", []),
        ("tolerances", "0.1,-1"),
        ("tolerances", "nan"),
        ("methods", []),
        ("methods", "head,head"),
        ("methods", "lora(2),lora( 2 )"),
        ("by_method", {"full": {"steps": 3}}),
        ("by_method", {"head": {"stepps": 3}}),
        ("by_method", {"head": {"steps": 0}}),
        ("metrics", "f1,accuracy"),
        ("optimizer", "lion"),
        ("seeds", 0),
        ("test_share", 1.0),
        ("patience", 0),
        ("threads", 0),
    ],
)
def test_values_that_a_study_cannot_have_name_their_key(key, value):
    with pytest.raises(InputError, match=key if key != "by_method" else "by_method|step") as error:
        read_configuration(StudyConfig, GIVEN | {key: value})
    assert "\n" not in str(error.value)


@given(
    st.builds(
        StudyConfig,
        model=st.just("m"),
        data=st.just("d"),
        methods=st.lists(st.sampled_from(["head", "full", "lora(4)", "last_layers(1)"]), min_size=1, unique=True),
        sizes=st.none() | st.lists(st.integers(1, 10**6), min_size=1),
        class_subsets=st.lists(st.sampled_from(["0,1", "a,b,c"])),
        tolerances=st.lists(st.floats(1e-6, 1e3), min_size=1),
        metrics=st.lists(st.sampled_from(["f1", "auroc"])),
        learning_rate=st.none() | st.floats(1e-9, 10),
    )
)
def test_what_a_study_writes_is_read_back(config):
    assert read_configuration(StudyConfig, yaml.safe_load(yaml.safe_dump(config.asked()))) == config
    assert StudyConfig.model_validate_json(config.model_dump_json()) == config


def test_a_budget_in_epochs_takes_the_place_of_steps_and_a_method_may_have_its_own():
    config = StudyConfig(model="m", data="d", methods=["head", "lora(4)"], epochs=3, by_method={"head": {"steps": 200}})
    series = [Series("all", method, 0) for method in config.methods]
    head, lora = (training_of(config, config.of_method(one.method), one) for one in series)
    assert (head.budget, lora.budget) == ("200 steps", "3 epochs")
    assert [lora.samples_run(size) for size in (10, 100)] == [30, 300]
    assert [lora.steps_run(size) for size in (10, 100)] == [3, 12]
