"""A head that was trained for another loss is never measured as a softmax."""

import json
import shutil

import peft
import pytest
import torch
from tiny_checkpoints import CLASSES, make_model, make_samples, save_checkpoint
from transformers import AutoModelForSequenceClassification

from suffice.errors import InputError
from suffice.models import load_classifier

OTHERS = {
    "multi label classification": {"problem_type": "multi_label_classification"},
    "regression": {"problem_type": "regression"},
    r"regression \(it has one output\)": {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}},
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "gpt2", "vit"])
def test_a_head_of_another_loss_is_refused_where_it_is_kept(what, name, tmp_path):
    source = str(save_checkpoint(name, tmp_path, **OTHERS[what]))
    with pytest.raises(InputError, match=f"its head is one for {what}, not for one class out of several") as refusal:
        load_classifier(source, make_samples(name))
    flag = "--task multi-label" if what.startswith("multi") else "--task regression"
    assert f"train a new head, or give {flag}, or a checkpoint with problem_type" in str(refusal.value)


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "gpt2", "vit"])
def test_nothing_of_it_is_left_where_the_head_is_trained(what, name, tmp_path):
    source = str(save_checkpoint(name, tmp_path, **OTHERS[what]))
    samples = make_samples(name)
    first, same, other = (load_classifier(source, samples, seed=seed, keep_head=False) for seed in (0, 0, 1))
    assert first.has_new_head
    assert any(note.startswith("The checkpoint's head is one for") for note in first.notes)
    base = f"{first.model.base_model_prefix}."
    before = make_model(name, **OTHERS[what]).state_dict()
    for weights, parameter in first.model.named_parameters():
        if weights.startswith(base):
            assert torch.equal(parameter, before[weights])
        else:
            assert torch.equal(parameter, same.model.get_parameter(weights))
            assert parameter.shape != before[weights].shape or not torch.equal(parameter, before[weights])
            assert parameter.ndim == 1 or not torch.equal(parameter, other.model.get_parameter(weights))
    out = first.predict(first.model, batch_of(first, samples))
    assert out.shape == (2, len(CLASSES))


def batch_of(classifier, samples):
    inputs = classifier.inputs(samples, samples.labels[:2])
    items = [inputs[0], inputs[1]]
    return classifier.collate(items) if classifier.collate else torch.utils.data.default_collate(items)


@pytest.mark.parametrize("keep_head", [True, False])
def test_the_head_of_an_adapter_is_refused_as_it_cannot_be_made_anew(keep_head, tmp_path):
    base = save_checkpoint("bert", tmp_path / "base", problem_type="multi_label_classification")
    model = AutoModelForSequenceClassification.from_pretrained(base)
    settings = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
    peft.get_peft_model(model, settings).save_pretrained(tmp_path / "adapter")
    with pytest.raises(InputError, match="its head is one for multi label classification"):
        load_classifier(str(tmp_path / "adapter"), make_samples("bert"), keep_head=keep_head)


def test_a_base_model_may_name_any_loss_as_its_head_is_new(tiny_bert, tmp_path):
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"problem_type": "regression"}))
    classifier = load_classifier(str(copy), make_samples("bert"))
    assert classifier.has_new_head
    assert classifier.model.config.problem_type is None


@pytest.mark.parametrize("keep_head", [True, False])
def test_an_adapter_with_a_head_for_other_classes_is_refused_in_one_line(keep_head, tiny_bert, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=5)
    settings = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
    peft.get_peft_model(model, settings).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"its head is for 5 classes, and the data have 3.*--classes") as refusal:
        load_classifier(str(tmp_path), make_samples("bert"), keep_head=keep_head)
    assert "\n" not in str(refusal.value)


def test_one_of_several_adapters_is_asked_for(tiny_bert, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    settings = peft.LoraConfig(r=2, target_modules=["query"])
    several = peft.get_peft_model(model, settings, adapter_name="b")
    several.add_adapter("a", settings)
    several.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"holds the adapters a, b: give {tmp_path / 'a'}"):
        load_classifier(str(tmp_path), make_samples("bert"))
