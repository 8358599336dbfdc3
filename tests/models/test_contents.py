"""The files of a model count by their contents, each kind by itself."""

import json
import shutil

import pytest
from tiny_checkpoints import save_checkpoint

from suffice.errors import InputError
from suffice.models import read_unchanged
from suffice.models.contents import contents_of_model


@pytest.fixture
def model(tmp_path):
    return save_checkpoint("bert", tmp_path / "model")


def test_a_change_is_told_by_its_kind(model):
    before = contents_of_model(str(model))
    assert {"configuration", "tokenizer", "weights"} <= before.keys()
    for name, kind in (
        ("config.json", "configuration"),
        ("tokenizer.json", "tokenizer"),
        ("model.safetensors", "weights"),
    ):
        whole = (model / name).read_bytes()
        (model / name).write_bytes(whole + b" ")
        after = contents_of_model(str(model))
        assert {key for key in before if before[key] != after[key]} == {kind}
        (model / name).write_bytes(whole)
    assert contents_of_model(str(model)) == before


def test_what_no_model_is_read_from_does_not_count(model):
    before = contents_of_model(str(model))
    for name in ("README.md", "trainer_state.json", "optimizer.pt", "training_args.bin", ".hidden.json"):
        (model / name).write_bytes(b"{}")
    (model / "run").mkdir()
    (model / "run" / "result.json").write_text("{}")
    assert contents_of_model(str(model)) == before


def test_adapter_and_base_both_count(model, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(model), "target_modules": ["query"]})
    )
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    before = contents_of_model(str(adapter))
    assert before.keys() == contents_of_model(str(model)).keys() | {"adapter"}
    (adapter / "adapter_model.safetensors").write_bytes(b"others")
    after = contents_of_model(str(adapter))
    assert {key for key in before if before[key] != after[key]} == {"adapter"}


def test_the_folder_does_not_count(model, tmp_path):
    shutil.copytree(model, tmp_path / "moved")
    assert contents_of_model(str(tmp_path / "moved")) == contents_of_model(str(model))


def test_a_model_that_changes_while_it_is_read_is_refused(model):
    def read():
        (model / "config.json").write_text("{}")

    with pytest.raises(InputError, match="changed while it was read: run the same command again"):
        read_unchanged(str(model), read)
