"""Which parameters the methods of fine-tuning move."""

import pytest
import torch
from tiny_checkpoints import make_model
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    Dinov2Config,
    PerceiverConfig,
    PerceiverForImageClassificationLearned,
    SwinConfig,
    ViTConfig,
)

from suffice.errors import InputError
from suffice.models import adapted, moving_parameters, renew_head

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


BERT = BertConfig(
    hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=20, num_labels=2
)


def make(config):
    library = AutoModelForSequenceClassification if config is BERT else AutoModelForImageClassification
    torch.manual_seed(0)
    return library.from_config(config).eval()


def logits(model):
    draw = torch.Generator().manual_seed(1)
    bare = model.get_base_model() if hasattr(model, "peft_config") else model
    with torch.no_grad():
        if bare.main_input_name == "input_ids":
            return model(input_ids=torch.randint(20, (3, 5), generator=draw)).logits
        return model(pixel_values=torch.randn(3, 3, 16, 16, generator=draw)).logits


def moving_of(model):
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("config", [VIT, DINO, BERT], ids=["vit", "dinov2", "bert"])
def test_lora_moves_the_adapter_and_the_head_alone(config):
    model = adapted(make(config), "lora(3)")
    moving = moving_of(model)
    adapter = {name: value for name, value in moving.items() if "lora_" in name}
    head = moving.keys() - adapter.keys()
    assert {name.rpartition(".")[0].partition(".modules_to_save")[0] for name in head} == {
        "base_model.model.classifier"
    }
    layers = config.num_hidden_layers
    assert len(adapter) == 2 * 2 * layers  # A and B, of queries and values
    assert all(3 in value.shape for value in adapter.values())
    assert len(head) == 2


@pytest.mark.parametrize("config", [VIT, DINO, BERT], ids=["vit", "dinov2", "bert"])
def test_lora_begins_with_the_outputs_of_the_model(config):
    expected = logits(make(config))
    assert torch.equal(logits(adapted(make(config), "lora(2)")), expected)


def test_the_seed_decides_the_first_factor_and_the_second_is_zero():
    first, same, other = (moving_of(adapted(make(VIT), "lora(2)", seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    for name in first:
        if "lora_A" in name:
            assert not torch.equal(first[name], other[name])
            assert first[name].abs().max() > 0
        elif "lora_B" in name:
            assert not first[name].any()
        else:
            assert torch.equal(first[name], other[name])


def test_lora_adds_twice_the_product_of_its_factors():
    model = adapted(make(VIT), "lora(2)")
    plain = make(VIT)
    expected = plain.state_dict()
    for name, value in model.named_parameters():
        if "lora_B" in name:
            value.data = torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
            a = model.get_parameter(name.replace("lora_B", "lora_A"))
            target = name.removeprefix("base_model.model.").partition(".lora_B")[0]
            expected[f"{target}.weight"] += 2 * value.data @ a.data
    plain.load_state_dict(expected)
    assert torch.allclose(logits(model), logits(plain), atol=1e-6)
    assert not torch.allclose(logits(model), logits(make(VIT)), atol=1e-3)


def test_lora_adapts_the_targets_that_are_named():
    moving = moving_of(adapted(make(VIT), "lora(2)", ["k_proj"]))
    assert {name.partition(".lora_")[0].rpartition(".")[2] for name in moving if "lora_" in name} == {"k_proj"}


def test_targets_that_match_nothing_list_what_there_is():
    with pytest.raises(InputError, match="no linear map matches the LoRA target 'q_porj'") as refusal:
        adapted(make(VIT), "lora(2)", ["q_porj"])
    assert 'did you mean "q_proj"?' in str(refusal.value)
    assert all(name in str(refusal.value) for name in ("q_proj", "k_proj", "v_proj"))


@pytest.mark.parametrize("method", ["lora(2)", "head"])
def test_a_method_leaves_the_global_random_numbers_alone(method):
    model = make(VIT)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    adapted(model, method)
    renew_head(model, 3) if method == "head" else None
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("lora(0)", "the rank must be at least 1"),
        ("last_layers(4)", "has 3 layers; take 1 to 3"),
        ("last_layers(0)", "take 1 to 3"),
        ("lora", "'lora' is not a way to fine-tune; take head, last_layers(n), lora(r) or full"),
        ("lora(-1)", "is not a way to fine-tune"),
        ("heads", "is not a way to fine-tune"),
    ],
)
def test_methods_that_cannot_be_are_refused(method, said):
    with pytest.raises(InputError) as refusal:
        adapted(make(VIT), method)
    assert said in str(refusal.value)


@pytest.mark.parametrize("method", ["lora(2)", "head"])
def test_a_model_with_an_adapter_takes_no_other(method):
    with pytest.raises(InputError, match="take 'full' to train"):
        adapted(adapted(make(VIT), "lora(2)"), method)


@pytest.mark.parametrize("method", ["head", "last_layers(2)", "full"])
def test_what_moves_requires_a_gradient_and_nothing_else(model, method):
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    moving = [name for name, value in adapted(model, method).named_parameters() if value.requires_grad]
    assert moving == moving_parameters(model, method)


@pytest.mark.parametrize("config", [VIT, DINO, BERT], ids=["vit", "dinov2", "bert"])
def test_a_new_head_changes_the_head_alone(config):
    before, states = make(config).state_dict(), []
    for seed in (1, 1, 2):
        model = make(config)
        renew_head(model, seed)
        states.append(model.state_dict())
    first, same, other = states
    head = {"classifier.weight", "classifier.bias"}
    assert {name for name in before if not torch.equal(before[name], first[name])} == head
    assert all(torch.equal(first[name], same[name]) for name in head)
    assert not any(torch.equal(first[name], other[name]) for name in head)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_head_of_a_tower_is_found_by_its_name(name):
    model = make_model(name)
    head = ["classifier.weight", "classifier.bias"]
    assert moving_parameters(model, "head") == head
    before = {key: value.clone() for key, value in model.state_dict().items()}
    renew_head(model, 1)
    assert {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])} == set(head)


def test_a_model_without_a_part_that_is_its_head_is_refused_with_what_goes():
    settings = PerceiverConfig(
        num_latents=4, d_latents=16, d_model=16, num_blocks=1, num_self_attends_per_block=2,
        num_self_attention_heads=2, num_cross_attention_heads=2, image_size=32,
    )  # fmt: skip
    model = PerceiverForImageClassificationLearned(settings)
    with pytest.raises(InputError, match=r"no head was found .*\(perceiver\): take last_layers\(n\) or full"):
        moving_parameters(model, "head")
    assert moving_parameters(model, "last_layers(1)")


def test_a_new_head_is_one_for_single_labels():
    model = make_model("bert", problem_type="multi_label_classification")
    renew_head(model, 0)
    assert model.config.problem_type is None
