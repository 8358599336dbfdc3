"""Checkpoints and adapters that somebody else made run no code: pickles are refused, and so is code that they bring."""

import json
import os
import pickle
from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModel

from suffice.data import read_texts
from suffice.errors import InputError
from suffice.models import load_classifier
from suffice.models.images import load_image_classifier
from suffice.models.source import TINY_VIT

CLASSES = [str(label) for label in range(10)]


class Command:
    """What unpickles as a command of the shell."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def refused(source, load):
    with pytest.raises(InputError) as refusal:
        load()
    assert len(str(refusal.value).splitlines()) == 1
    assert str(source) in str(refusal.value)
    return str(refusal.value)


@pytest.fixture
def trace(tmp_path):
    """The file that is there if code ran."""
    file = tmp_path / "code-ran"
    yield file
    assert not file.exists()


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    load_image_classifier(TINY_VIT, CLASSES).model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("write", [torch.save, lambda held, file: Path(file).write_bytes(pickle.dumps(held))])
def test_a_pickle_in_place_of_weights_is_refused_and_not_run(checkpoint, trace, write):
    (checkpoint / "model.safetensors").unlink()
    write({"classifier.weight": Command(trace)}, checkpoint / "pytorch_model.bin")
    message = refused(checkpoint, lambda: load_image_classifier(str(checkpoint), CLASSES))
    assert message.endswith("could run code; save the weights as safetensors")


def test_a_pickle_named_safetensors_is_refused_and_not_run(checkpoint, trace):
    (checkpoint / "model.safetensors").write_bytes(pickle.dumps(Command(trace)))
    refused(checkpoint, lambda: load_image_classifier(str(checkpoint), CLASSES))


def test_code_of_a_processor_is_refused_and_not_run(checkpoint, trace):
    code = f"import os\nos.system('touch {trace}')\nclass Brought: pass\n"
    (checkpoint / "brought.py").write_text(code)
    (checkpoint / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "Brought", "auto_map": {"AutoImageProcessor": "brought.Brought"}})
    )
    message = refused(checkpoint, lambda: load_image_classifier(str(checkpoint), CLASSES, keep_head=False))
    assert "--trust-remote-code" in message


def test_a_pickle_in_place_of_an_adapter_is_refused_and_not_run(tiny_bert, reviews, tmp_path, trace):
    samples = read_texts(reviews)
    folder = tmp_path / "adapter"
    model = AutoModel.from_pretrained(tiny_bert)
    peft.get_peft_model(
        model, peft.LoraConfig(r=2, target_modules=["query"], task_type="FEATURE_EXTRACTION")
    ).save_pretrained(folder)
    (folder / "adapter_model.safetensors").unlink()
    torch.save({"lora": Command(trace)}, folder / "adapter_model.bin")
    assert "could run code" in refused(folder, lambda: load_classifier(str(folder), samples))
