"""What moves with the last layers is what runs in them or after them, in whatever order it is registered."""

import itertools

import pytest
import torch
from tiny_checkpoints import IMAGES, make_model
from torch import nn
from transformers import PreTrainedConfig, PvtConfig, PvtForImageClassification

from suffice.errors import InputError
from suffice.models import layers_of, moving_parameters
from suffice.models.execution import execution_of

TOKENS = torch.tensor([[1, 5, 9, 4, 12, 2]])
PIXELS = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def tensors_of(value):
    """All tensors in the arguments of a layer."""
    if isinstance(value, torch.Tensor):
        return [value.clone()]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors_of(part)]


@torch.no_grad()
def run(model, layer):
    """What a layer is first given in a forward pass, and the logits at its end."""
    given = []
    hook = model.get_submodule(layer).register_forward_pre_hook(
        lambda _, *arguments: given.append(tensors_of(arguments)), with_kwargs=True
    )
    logits = model(PIXELS if model.main_input_name == "pixel_values" else TOKENS).logits
    hook.remove()
    return given[0], logits


def is_same(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        "bert",
        "xlm-roberta",
        "deberta-v2",
        "mpnet",
        "albert",
        "funnel",
        "xlnet",
        "opt",
        "llama",
        "bart",
        "t5",
        "vit",
        "dinov2",
        "swin",
        "convnext",
    ],
)
def test_what_moves_is_what_nothing_before_the_last_layers_reads(name):
    model = make_model(name)
    layers = execution_of(model).layers
    for count in range(1, len(layers) + 1):
        moving = moving_parameters(model, f"last_layers({count})")
        before, logits = run(model, layers[-count])
        values = {parameter: parameter.detach().clone() for parameter in model.parameters()}
        for parameter_name, parameter in model.named_parameters():
            parameter.data += 0.1
            now, changed = run(model, layers[-count])
            parameter.data = values[parameter]
            if parameter_name in moving:
                assert is_same(before, now), parameter_name
            else:
                # or it has no effect at all, as the biases of keys
                assert not is_same(before, now) or torch.allclose(logits, changed, atol=1e-5), parameter_name


def test_the_final_normalisation_of_opt_moves_though_it_is_registered_first():
    moving = moving_parameters(make_model("opt"), "last_layers(1)")
    layer = "model.decoder.layers.1."
    others = {"model.decoder.final_layer_norm.weight", "model.decoder.final_layer_norm.bias", "score.weight"}
    assert {name for name in moving if not name.startswith(layer)} == others


@pytest.mark.parametrize("name", ["xlm-roberta", "camembert"])
def test_a_head_that_is_registered_first_moves(name):
    model = make_model(name)
    assert set(moving_parameters(model, "head")) < set(moving_parameters(model, "last_layers(1)"))


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "vit", "dinov2"])
def test_where_all_is_registered_as_it_runs_the_end_of_the_list_moves(name):
    model = make_model(name)
    names = [parameter for parameter, _ in model.named_parameters()]
    parts = [moving_parameters(model, f"last_layers({count})") for count in (1, 2)]
    assert all(names[-len(part) :] == part for part in parts)
    assert len(parts[0]) < len(parts[1]) < len(names)


@pytest.mark.parametrize("name", ["bart", "mbart", "t5"])
def test_layers_of_encoder_and_decoder_count_together_and_shared_embeddings_stay(name):
    model = make_model(name)
    execution = execution_of(model)
    assert [".decoder." in layer for layer in execution.layers] == [False, False, True, True]
    moving = [moving_parameters(model, f"last_layers({count})") for count in (1, 2, 3, 4)]
    assert all(set(fewer) < set(more) for fewer, more in itertools.pairwise(moving))
    assert not any(".encoder." in parameter for parameter in moving[1])
    assert any(".encoder." in parameter for parameter in moving[2])
    assert not any("shared" in parameter for parameter in moving[3])


def test_a_layer_that_runs_many_times_counts_once_from_its_first_run():
    model = make_model("albert", num_hidden_layers=3)
    moving = moving_parameters(model, "last_layers(1)")
    assert {name.split(".")[1] for name in moving if name.startswith("albert.")} == {"encoder", "pooler"}
    assert not any("embedding_hidden_mapping_in" in name for name in moving)
    with pytest.raises(InputError, match="has 1 layers; take 1 to 1"):
        moving_parameters(model, "last_layers(2)")


@pytest.mark.parametrize(
    ("name", "settings", "layers"),
    [
        ("swin", {"depths": [2, 2]}, [f"swin.encoder.layers.{stage}.blocks.{i}" for stage in (0, 1) for i in (0, 1)]),
        ("mobilebert", {"num_feedforward_networks": 4}, [f"mobilebert.encoder.layer.{i}" for i in (0, 1)]),
        ("funnel", {}, ["funnel.encoder.blocks.0.0", "funnel.encoder.blocks.1.0", "funnel.encoder.blocks.1.1"]),
        ("squeezebert", {}, [f"transformer.encoder.layers.{i}" for i in (0, 1)]),
        ("resnet", {}, [f"resnet.encoder.stages.{i}" for i in (0, 1)]),
        (
            "t5",
            {"num_layers": 1, "num_decoder_layers": 2},
            ["transformer.encoder.block.0", "transformer.decoder.block.0", "transformer.decoder.block.1"],
        ),
    ],
)
def test_layers_are_found_in_stages_and_stacks(name, settings, layers):
    model = make_model(name, **settings)
    assert list(layers_of(model)) == layers
    assert execution_of(model).layers == layers


@pytest.mark.parametrize("depths", [[1, 1], [2, 2], [1, 3], [3, 1]])
@pytest.mark.parametrize("name", ["swin", "swinv2", "convnext", "poolformer", "segformer", "pvt_v2", "hiera"])
def test_the_unit_of_layers_does_not_change_with_their_number(name, depths):
    model = make_model(name, depths=depths)
    layers = execution_of(model).layers
    assert len(layers) == sum(depths)
    assert layers == list(layers_of(model))
    assert len({type(layer) for layer in layers_of(model).values()}) == 1
    moving = moving_parameters(model, "last_layers(1)")
    assert {name for name, _ in model.named_parameters() if name.startswith(f"{layers[-1]}.")} <= set(moving)
    assert not any(name.startswith(f"{layer}.") for name in moving for layer in layers[:-1])


def test_patch_embeddings_are_no_layers():
    config = PvtConfig(
        image_size=64, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2]
    )
    expected = [f"pvt.encoder.block.{stage}.0" for stage in range(4)]
    assert execution_of(PvtForImageClassification(config)).layers == expected


class Reversed(nn.Module):
    """Its layers run from the last to the first, and one never; one map is attention's, which is never called."""

    main_input_name = "pixel_values"
    config = PreTrainedConfig(image_size=4, num_channels=1)

    def __init__(self):
        super().__init__()
        self.end = nn.Linear(4, 2)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)
        self.spare = nn.Linear(4, 4)

    def forward(self, pixel_values):
        hidden = self.layers[0](self.layers[2](pixel_values[:, 0]))
        return self.end(self.attention(hidden, hidden, hidden)[0])


def test_layers_follow_the_order_in_which_they_run():
    model = Reversed()
    execution = execution_of(model)
    assert execution.layers == ["layers.2", "layers.0"]
    assert {name.rpartition(".")[0] for name in execution.parameters_from(1)} == {
        "end",
        "layers.0",
        "attention",
        "attention.out_proj",
    }
    assert list(execution.first_uses) == [name for name, _ in model.named_parameters()]


def test_a_model_that_no_trial_input_runs_through_is_refused():
    class Picky(nn.Module):
        main_input_name = "pixel_values"
        config = PreTrainedConfig(image_size=4)

        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2)])

        def forward(self, pixel_values):
            raise KeyError("a second input is needed")

    for model in (Picky(), nn.Sequential(nn.Linear(2, 2))):
        with pytest.raises(InputError, match="name the parameters that move by globs") as refusal:
            moving_parameters(model, "last_layers(1)")
        assert "\n" not in str(refusal.value)


def test_the_trial_leaves_the_model_and_the_random_numbers_as_they_were():
    model = make_model("resnet").train()
    model.resnet.embedder.eval()
    modes = [module.training for module in model.modules()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    execution_of(model)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_the_trial_leaves_windows_as_they_were():
    model = make_model("swin", image_size=56, patch_size=4, window_size=7).eval()
    pixels = torch.rand(2, 3, 56, 56, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = model(pixels).logits
        windows = [module.window_size for module in model.modules() if hasattr(module, "window_size")]
        moving = moving_parameters(model, "last_layers(1)")
        assert [module.window_size for module in model.modules() if hasattr(module, "window_size")] == windows
        assert torch.equal(model(pixels).logits, expected)
    assert moving
    assert not any("embeddings" in name for name in moving)


OF_ONE_SIZE, OF_ANY_SIZE, WITH_TOWERS = ("hiera",), ("convnext", "resnet", "regnet", "bit"), ("siglip", "clip")


def larger(name):
    """Settings that configure a model for images of 64 x 64 pixels, where it has such a setting."""
    if name in OF_ONE_SIZE + OF_ANY_SIZE:
        return {}
    if name in WITH_TOWERS:
        return {"vision_config": IMAGES[name][1]["vision_config"] | {"image_size": 64}}
    return {"image_size": 64}


def sides_given_to(model):
    """A list to which each trial adds the width of its image."""
    sides = []
    model.register_forward_pre_hook(
        lambda _, arguments, named: sides.append(named["pixel_values"].shape[-1]), with_kwargs=True
    )
    return sides


@pytest.mark.parametrize("name", IMAGES)
def test_a_small_trial_image_gives_the_order_of_one_of_the_configured_size(name, monkeypatch):
    model = make_model(name, **larger(name))
    sides = sides_given_to(model)
    execution = execution_of(model)
    first, *_, ran = [*sides, sides[-1]]
    sides.clear()
    monkeypatch.setattr("suffice.models.execution.PATCHES", 1000)
    assert execution_of(model) == execution
    assert first <= ran <= sides[0]
    assert len(sides) == 1


def test_a_model_that_takes_any_size_is_tried_on_a_small_image_only():
    model = make_model("dinov2", image_size=518)
    sides = sides_given_to(model)
    assert len(execution_of(model).layers) == 2
    assert sides == [16]


def test_a_model_of_images_is_never_given_tokens_and_the_reason_is_that_of_its_own_size():
    class Picky(nn.Module):
        main_input_name = "pixel_values"
        config = PreTrainedConfig(image_size=8, patch_size=1)

        def __init__(self):
            super().__init__()
            self.dummy_inputs = {"input_ids": torch.zeros(1, 3)}
            self.layers = nn.ModuleList([nn.Linear(4, 2)])

        def forward(self, pixel_values):
            given.append(pixel_values.shape[-1])
            raise ValueError(f"not {tuple(pixel_values.shape)}")

    given = []
    with pytest.raises(InputError, match=r"\(not \(1, 3, 8, 8\)\)"):
        moving_parameters(Picky(), "last_layers(1)")
    assert given == [4, 8]
