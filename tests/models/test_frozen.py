"""A model cut where what moves begins gives what the whole model gives."""

import pytest
import torch
from tiny_checkpoints import TEXTS, make_model
from torch.utils.data import TensorDataset
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    Dinov2Config,
    ViTConfig,
)

from suffice import Problem
from suffice.models import adapted, split
from suffice.training import FineTuning, fine_tune

SMALL = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "num_labels": 3}
IMAGES = {"image_size": 16, "patch_size": 8}
CONFIGURATIONS = {
    "vit": ViTConfig(**SMALL, **IMAGES, intermediate_size=16),
    "dinov2": Dinov2Config(**SMALL, **IMAGES),
    "bert": BertConfig(**SMALL, intermediate_size=16, vocab_size=20, max_position_embeddings=16),
}


def model_of(kind, **dropout):
    settings = type(CONFIGURATIONS[kind])(**(CONFIGURATIONS[kind].to_dict() | dropout))
    library = AutoModelForSequenceClassification if kind == "bert" else AutoModelForImageClassification
    torch.manual_seed(0)
    return library.from_config(settings).double().eval()


def batch_of(kind, samples=7):
    draw = torch.Generator().manual_seed(1)
    labels = torch.arange(samples) % 3
    if kind != "bert":
        return {"pixel_values": torch.randn(samples, 3, 16, 16, generator=draw).double(), "labels": labels}
    lengths = 3 + torch.arange(samples) % 5
    mask = (torch.arange(7) < lengths[:, None]).long()
    tokens = torch.randint(1, 20, (samples, 7), generator=draw) * mask
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def predict(model, batch):
    return model(**{name: value for name, value in batch.items() if name != "labels"}).logits


@pytest.mark.parametrize("kind", CONFIGURATIONS)
@pytest.mark.parametrize("method", ["head", "last_layers(1)", "last_layers(2)"])
@torch.no_grad()
def test_the_rest_gives_the_logits_from_the_features(kind, method):
    model, batch = adapted(model_of(kind), method), batch_of(kind)
    parts = split(model, predict, batch_of(kind, 2))
    features = parts.features(batch)
    assert features.shape[0] == 7
    assert torch.allclose(parts.rest(features), predict(model, batch), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["last_layers(1)", "last_layers(2)"])
@torch.no_grad()
def test_padding_of_features_of_texts_does_not_count(method):
    model, batch = adapted(model_of("bert"), method), batch_of("bert")
    parts = split(model, predict, batch)
    padded = torch.nn.functional.pad(parts.features(batch), (0, 0, 0, 4), value=0.0)
    assert torch.allclose(parts.rest(padded), predict(model, batch), rtol=1e-10, atol=1e-10)
    assert torch.equal(padded[:, :7, -1].long(), batch["attention_mask"])


@pytest.mark.parametrize("kind", CONFIGURATIONS)
@pytest.mark.parametrize("method", ["full", "lora(2)", "last_layers(3)"])
def test_a_model_that_moves_from_its_first_layer_on_is_not_cut(kind, method):
    assert split(adapted(model_of(kind), method), predict, batch_of(kind)) is None


@pytest.mark.parametrize("name", ["xlm-roberta", "albert", "opt", "bart", "swin", "dinov2", "beit"])
@torch.no_grad()
def test_a_model_is_cut_where_its_layers_run_one_after_the_other_in_one_list_and_used_whole_else(name):
    model = adapted(make_model(name), "last_layers(1)")
    tokens = {"input_ids": torch.tensor([[1, 5, 9, 4, 2], [1, 4, 7, 6, 2]]), "attention_mask": torch.ones(2, 5).long()}
    batch = tokens if name in TEXTS else {"pixel_values": torch.linspace(0, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)}
    parts = split(model, predict, batch)
    assert (parts is not None) == (name in ("xlm-roberta", "dinov2", "beit"))
    if parts is not None:
        assert torch.allclose(parts.rest(parts.features(batch)), predict(model, batch), rtol=1e-5, atol=1e-6)


def test_a_rest_that_gives_other_logits_is_not_used():
    model = adapted(model_of("vit"), "head")
    assert split(model, lambda model, batch: 2 * predict(model, batch), batch_of("vit")) is None


@pytest.mark.parametrize("kind", CONFIGURATIONS)
@pytest.mark.parametrize("method", ["head", "last_layers(1)"])
def test_what_moves_in_the_rest_is_what_moves_in_the_model(kind, method):
    model = adapted(model_of(kind), method)
    rest = split(model, predict, batch_of(kind)).rest
    moving = [[value for value in part.parameters() if value.requires_grad] for part in (model, rest)]
    assert len(moving[0]) == len(moving[1]) > 0
    assert all(torch.equal(first, second) for first, second in zip(*moving, strict=True))
    # a part of its own: the model stays as it was
    moving[1][0].data += 1
    assert not torch.equal(moving[0][0], moving[1][0])


class Rows(torch.utils.data.Dataset):
    """The samples of a batch, one by one."""

    def __init__(self, batch):
        self.batch = batch

    def __len__(self):
        return len(self.batch["labels"])

    def __getitem__(self, row):
        return {name: value[row] for name, value in self.batch.items()}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
@pytest.mark.parametrize("method", ["head", "last_layers(1)"])
def test_training_from_features_ends_at_the_weights_of_training_the_whole_model(kind, method):
    frozen = {"attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0}
    model, batch = adapted(model_of(kind, **frozen), method), batch_of(kind, 12)
    parts = split(model, predict, batch)
    with torch.no_grad():
        features = parts.features(batch)
    settings = FineTuning(steps=12, learning_rate=1e-2, batch_size=5)
    whole = Problem(model, Rows(batch), predict=predict)
    from_features = Problem(parts.rest, TensorDataset(features, batch["labels"]))
    before = from_features.center()
    assert fine_tune(whole, settings) == pytest.approx(fine_tune(from_features, settings), rel=1e-10)
    ends = [list(problem.center().values()) for problem in (whole, from_features)]
    for first, second in zip(*ends, strict=True):
        assert torch.allclose(first, second, rtol=1e-7, atol=1e-9)
    moved = [not torch.equal(before[name], end) for name, end in from_features.center().items()]
    assert all(moved)


def test_the_frozen_part_has_no_dropout_while_the_rest_trains():
    dropout = {"attention_probs_dropout_prob": 0.5, "hidden_dropout_prob": 0.5}
    model, batch = adapted(model_of("vit", **dropout), "head"), batch_of("vit")
    parts = split(model, predict, batch)
    parts.rest.train()
    with torch.no_grad():
        assert torch.equal(parts.features(batch), parts.features(batch))
        assert torch.allclose(parts.rest(parts.features(batch)), predict(model, batch))
