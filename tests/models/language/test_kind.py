"""Which checkpoints are causal language models, by their configuration alone."""

import json

import pytest

from suffice.models.language import is_causal


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, True),
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, True),
        ({"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3"}, True),
        ({"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"}, False),
        ({"architectures": ["BertForMaskedLM"], "model_type": "bert"}, False),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True}, False),
        ({"architectures": ["BartForConditionalGeneration"], "model_type": "bart", "is_encoder_decoder": True}, False),
        ({"model_type": "llama"}, False),
        ([], False),
    ],
)
def test_the_class_in_the_configuration_decides(tmp_path, config, expected):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert is_causal(str(tmp_path)) is expected


@pytest.mark.parametrize(("task", "expected"), [("CAUSAL_LM", True), ("SEQ_CLS", False), (None, True)])
def test_the_task_of_an_adapter_comes_first(tmp_path, task, expected):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    adapter = {"peft_type": "LORA", "task_type": task, "base_model_name_or_path": str(tmp_path / "base")}
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(adapter))
    assert is_causal(str(tmp_path / "adapter")) is expected


def test_what_is_no_checkpoint_is_none(tmp_path):
    (tmp_path / "config.json").write_text("{")
    assert not is_causal(str(tmp_path))
    assert not is_causal(str(tmp_path / "nothing"))
    assert not is_causal("package.module:function")
