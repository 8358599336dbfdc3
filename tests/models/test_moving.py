"""Which parameters the methods of fine-tuning move."""

import pytest
from transformers import AutoModelForImageClassification, Dinov2Config, SwinConfig, ViTConfig

from suffice.errors import InputError
from suffice.models import moving_parameters

SMALL = {"image_size": 16, "patch_size": 4}
VIT = ViTConfig(**SMALL, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8)
DINO = Dinov2Config(**SMALL, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, num_labels=2)
SWIN = SwinConfig(**SMALL, embed_dim=8, depths=[1, 3], num_heads=[1, 2], window_size=2)


@pytest.fixture(params=[VIT, DINO], ids=["vit", "dinov2"])
def model(request):
    return AutoModelForImageClassification.from_config(request.param)


def test_head_is_what_stands_outside_the_base(model):
    assert moving_parameters(model, "head") == ["classifier.weight", "classifier.bias"]


def test_last_layers_grow_from_the_end_up_to_all_layers(model):
    names = [name for name, _ in model.named_parameters()]
    parts = [moving_parameters(model, f"last_layers({count})") for count in (1, 2, 3)]
    assert all(names[-len(part) :] == part for part in parts)
    per_layer = len(parts[1]) - len(parts[0])
    assert per_layer == len(parts[2]) - len(parts[1]) > 8
    assert not any("embeddings" in name for name in parts[2])
    assert moving_parameters(model, "all") == names


def test_more_layers_than_there_are_is_refused(model):
    with pytest.raises(InputError, match="has 3 layers; take 1 to 3"):
        moving_parameters(model, "last_layers(4)")


def test_longest_list_of_modules_is_taken_for_the_layers():
    names = moving_parameters(AutoModelForImageClassification.from_config(SWIN), "last_layers(1)")
    assert any("blocks.2." in name for name in names)
    assert not any("blocks.1." in name for name in names)
