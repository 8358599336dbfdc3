"""Adapters of PEFT: with and without a head, LoRA and DoRA, and those that are for another model."""

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForSequenceClassification, GPT2Config, GPT2LMHeadModel

from suffice.configuration import AnalyzeConfig, ForecastConfig
from suffice.data import read_texts
from suffice.errors import InputError
from suffice.models import load_classifier, moving_parameters
from suffice.runs.analyze import analyze
from suffice.runs.forecast import forecast


@pytest.fixture
def samples(reviews):
    return read_texts(reviews)


def save_adapter(model, folder, **settings):
    torch.manual_seed(1)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["query", "value"], **settings))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name or "magnitude" in name or "modules_to_save" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    wrapped.save_pretrained(folder)
    return wrapped.eval()


def batch_of(classifier, samples, count=9):
    inputs = classifier.inputs(samples, np.arange(count))
    return classifier.collate([inputs[row] for row in range(count)])


def inputs_of(batch):
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize("dora", [False, True])
@torch.no_grad()
def test_an_adapter_with_its_head_gives_the_logits_that_it_was_saved_with(dora, tiny_bert, samples, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    wrapped = save_adapter(model, tmp_path, task_type="SEQ_CLS", use_dora=dora)
    classifier = load_classifier(str(tmp_path), samples)
    batch = batch_of(classifier, samples)
    expected = wrapped(**inputs_of(batch)).logits
    torch.testing.assert_close(classifier.predict(classifier.model, batch), expected)
    assert not classifier.has_new_head
    moving = moving_parameters(classifier.model, "full")
    assert any("magnitude" in name for name in moving) == dora


@pytest.mark.parametrize("dora", [False, True])
@torch.no_grad()
def test_an_adapter_of_an_encoder_gets_a_new_head_on_what_it_was_saved_with(dora, tiny_bert, samples, tmp_path):
    wrapped = save_adapter(
        AutoModel.from_pretrained(tiny_bert), tmp_path, task_type="FEATURE_EXTRACTION", use_dora=dora
    )
    classifier = load_classifier(str(tmp_path), samples)
    assert classifier.has_new_head
    batch = batch_of(classifier, samples)
    pooled = wrapped(**inputs_of(batch)).pooler_output
    head = classifier.model.base_model.model.classifier
    torch.testing.assert_close(classifier.predict(classifier.model, batch), head(pooled))
    bare = AutoModel.from_pretrained(tiny_bert).eval()(**inputs_of(batch)).pooler_output
    assert (pooled - bare).abs().max() > 0.01
    assert sum("classifier" in name for name in moving_parameters(classifier.model, "full")) == 2


def test_an_adapter_of_a_language_model_gets_a_new_head(tmp_path, save_tokenizer, samples):
    torch.manual_seed(0)
    base = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=40))
    base.save_pretrained(tmp_path / "base")
    save_tokenizer(tmp_path / "base", pad_token=None, eos_token="[EOS]")  # noqa: S106
    model = GPT2LMHeadModel.from_pretrained(tmp_path / "base")
    settings = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    wrapped = peft.get_peft_model(model, settings)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data += 1.0
    wrapped.save_pretrained(tmp_path / "adapter")
    classifier = load_classifier(str(tmp_path / "adapter"), samples)
    assert classifier.has_new_head
    found = dict(classifier.model.named_parameters())
    placed = [name for name in found if "lora_B" in name]
    assert placed
    assert all(bool((found[name] == 1.0).all()) for name in placed)


def test_an_adapter_for_another_model_is_refused(tiny_bert, samples, tmp_path):
    save_adapter(AutoModelForSequenceClassification.from_pretrained(tiny_bert), tmp_path, task_type="SEQ_CLS")
    weights = peft.utils.load_peft_weights(str(tmp_path), device="cpu")
    weights = {key.replace("layer.1", "layer.7"): value for key, value in weights.items()}
    save_file(weights, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"4 weights of the adapter have no place in the model, such as bert\.encoder"):
        load_classifier(str(tmp_path), samples)


def test_a_dora_adapter_is_measured_and_forecast(tiny_bert, reviews, tmp_path):
    folder = tmp_path / "adapter"
    save_adapter(AutoModel.from_pretrained(tiny_bert), folder, task_type="FEATURE_EXTRACTION", use_dora=True)
    config = AnalyzeConfig(model=str(folder), data=str(reviews), method="full", epochs=1, probes=1)
    assert analyze(config, tmp_path / "analyzed").problem.samples == 48
    with pytest.raises(InputError, match="'head' does not go with a PEFT adapter: take 'full'"):
        forecast(ForecastConfig(model=str(folder), data=str(reviews)), tmp_path / "forecast")
