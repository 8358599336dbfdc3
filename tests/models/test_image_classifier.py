"""Checkpoints as they are met in the wild: without a head, with parts missing, with code of their own."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageClassification

from suffice.data import ImageArray, load_samples
from suffice.errors import InputError
from suffice.models import TINY_VIT, ImageInputs, load_image_classifier


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of the embedded model, to be spoilt."""
    load_image_classifier(TINY_VIT, [str(label) for label in range(10)]).model.save_pretrained(tmp_path)
    return tmp_path


def rewrite(checkpoint, change):
    weights = load_file(checkpoint / "model.safetensors")
    save_file(change(weights), checkpoint / "model.safetensors", metadata={"format": "pt"})


def test_embedded_model_classifies_what_it_was_pretrained_on(shared):
    images = load_samples(str(shared / "data" / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"))
    classifier = load_image_classifier(TINY_VIT, images.classes)
    batch = ImageInputs(images, np.arange(500), classifier).__getitems__(list(range(500)))
    with torch.no_grad():
        logits = classifier.model(torch.stack([item["pixel_values"] for item in batch])).logits
    right = logits.argmax(-1).numpy() == images.labels[:500]
    assert right.mean() > 0.85


def test_classes_are_matched_by_name_where_the_checkpoint_names_them():
    some = load_image_classifier(TINY_VIT, ["Bag", "Coat"])
    assert (some.matched_by_name, some.has_new_head, some.labels) == (True, False, (8, 4))
    unnamed = load_image_classifier(TINY_VIT, [str(label) for label in range(10)])
    assert (unnamed.matched_by_name, unnamed.has_new_head, unnamed.labels) == (False, False, tuple(range(10)))


def test_new_head_comes_from_the_seed_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    heads = [load_image_classifier(TINY_VIT, ["cat", "dog"], seed=seed).model.classifier.weight for seed in (0, 0, 1)]
    assert heads[0].shape == (2, 64)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_missing_weights_of_the_base_are_listed(checkpoint):
    rewrite(checkpoint, lambda weights: {key: value for key, value in weights.items() if "layernorm_after" not in key})
    with pytest.raises(InputError, match=r"lacks 8 weights of the model: vit\..*layernorm_after"):
        load_image_classifier(str(checkpoint), [str(label) for label in range(10)])


def test_checkpoint_that_brings_code_is_refused_unless_asked_for(checkpoint):
    (checkpoint / "code.py").write_text("raise SystemExit('code of the checkpoint ran')")
    config = json.loads((checkpoint / "config.json").read_text())
    config["model_type"] = "brought"
    config["auto_map"] = {"AutoConfig": "code.Config", "AutoModelForImageClassification": "code.Model"}
    (checkpoint / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="--trust-remote-code"):
        load_image_classifier(str(checkpoint), ["a", "b"])


@pytest.mark.parametrize("content", ["not json", "{}", '{"model_type": "no-such-model"}'])
def test_folder_without_a_usable_configuration_is_said_in_one_line(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match="no usable image classifier") as error:
        load_image_classifier(str(tmp_path), ["a", "b"])
    assert "\n" not in str(error.value)


def test_image_size_and_channels_are_those_of_the_model(shared):
    classifier = load_image_classifier(str(shared / "models" / "dinov2-small"), ["a"] * 10, image_size=42)
    images = load_samples("builtin:digits")
    (item,) = ImageInputs(images, np.array([3]), classifier).__getitems__([0])
    assert item["pixel_values"].shape == (3, 42, 42)
    expected = np.asarray(Image.fromarray(images.pixels[3]).convert("RGB").resize((42, 42), Image.Resampling.BILINEAR))
    scaled = item["pixel_values"] * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    scaled += torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    torch.testing.assert_close(scaled * 255, torch.tensor(expected).permute(2, 0, 1).float(), atol=1e-3, rtol=0)


def test_positions_are_interpolated_for_another_image_size():
    classifier = load_image_classifier(TINY_VIT, [str(label) for label in range(10)], image_size=42)
    (item,) = ImageInputs(load_samples("builtin:digits"), np.array([0]), classifier).__getitems__([0])
    batch = {"pixel_values": item["pixel_values"][None]}
    assert classifier.predict(classifier.model, batch).shape == (1, 10)


def test_loading_is_silent_and_leaves_the_library_as_it_was(capfd):
    load_image_classifier(TINY_VIT, ["a", "b"])
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    AutoModelForImageClassification.from_config(load_image_classifier(TINY_VIT, ["a", "b"]).model.config)


def test_fingerprint_of_inputs_follows_pixels_labels_rows_and_preprocessing():
    pixels, labels = np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8), np.arange(5) % 2

    def fingerprint(pixels=pixels, labels=labels, rows=(0, 1, 2), classes=("Bag", "Coat"), image_size=None):
        classifier = load_image_classifier(TINY_VIT, list(classes), image_size)
        return ImageInputs(ImageArray(pixels, labels, "here"), np.array(rows), classifier).fingerprint()

    others = [
        fingerprint(pixels=pixels ^ (np.arange(5) == 1).astype(np.uint8)[:, None, None]),
        fingerprint(labels=1 - labels),
        fingerprint(rows=(0, 2, 1)),
        fingerprint(classes=("Coat", "Bag")),
        fingerprint(image_size=16),
        fingerprint(image_size=28),  # no longer cropped, where the checkpoint's own processor crops
    ]
    assert fingerprint() == fingerprint()
    assert len({fingerprint(), *others}) == 7
