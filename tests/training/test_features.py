"""Features of the frozen part: filled shard by shard, resumed, the same in the end."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, BertConfig, ViTConfig, ViTForImageClassification

from suffice import InputError, Problem
from suffice.data import load_samples
from suffice.models import Split, adapted, load_classifier, split
from suffice.training import features as module
from suffice.training.features import FrozenFeatures

SHARD = 8


class Killed(BaseException):
    """Stands for the end of a process."""


class Images(torch.utils.data.Dataset):
    def __init__(self, samples=29):
        self.pixels = torch.randn(samples, 3, 16, 16, generator=torch.Generator().manual_seed(2))

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, row):
        return {"pixel_values": self.pixels[row], "labels": row % 3}


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_SAMPLES", SHARD)


def images(method="head"):
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, image_size=16, patch_size=8
    )
    model = adapted(ViTForImageClassification(config).eval(), method)
    problem = Problem(model, Images(), order="source")
    return problem, split(
        model, lambda model, batch: model(pixel_values=batch["pixel_values"]).logits, problem.batch(slice(2))
    )


def filled(folder, problem, cut):
    features = FrozenFeatures(folder)
    for rows in features.plan(problem, cut):
        features.run(problem, cut, rows)
    return features.tensor


@pytest.mark.parametrize("method", ["head", "last_layers(1)"])
def test_features_are_those_of_the_frozen_part(tmp_path, method):
    problem, cut = images(method)
    found = filled(tmp_path / "features", problem, cut)
    with torch.no_grad():
        expected = cut.features(problem.batch(slice(None)))
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_plan_has_all_shards_and_then_those_that_are_missing(tmp_path):
    problem, cut = images()
    features = FrozenFeatures(tmp_path / "features")
    assert not features.is_planned
    shards = features.plan(problem, cut)
    assert [(rows.start, rows.stop) for rows in shards] == [(0, 8), (8, 16), (16, 24), (24, 29)]
    assert features.is_planned
    for rows in (shards[2], shards[0]):
        features.run(problem, cut, rows)
    assert FrozenFeatures(tmp_path / "features").plan(problem, cut) == [shards[1], shards[3]]


def test_a_killed_run_goes_on_with_the_shard_that_it_lost(tmp_path):
    problem, cut = images("last_layers(1)")
    expected = filled(tmp_path / "whole", problem, cut)
    calls = []

    def interrupted(batch):
        calls.append(batch)
        if len(calls) > 3:  # the first looks at the shape
            raise Killed
        return cut.features(batch)

    with pytest.raises(Killed):
        filled(tmp_path / "killed", problem, Split(cut.rest, interrupted, cut.is_masked))
    left = FrozenFeatures(tmp_path / "killed").plan(problem, cut)
    assert [rows.start for rows in left] == [16, 24]
    assert torch.equal(filled(tmp_path / "killed", problem, cut), expected)


@pytest.mark.parametrize("method", ["head", "last_layers(1)"])
def test_features_of_texts_are_as_long_as_the_longest(tmp_path, reviews, save_tokenizer, method):
    config = BertConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=20, num_labels=2
    )
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "bert")
    save_tokenizer(tmp_path / "bert")
    texts = load_samples(str(reviews))
    classifier = load_classifier(str(tmp_path / "bert"), texts)
    model = adapted(classifier.model, method)
    inputs = classifier.inputs(texts, np.arange(len(texts)))
    problem = Problem(model, inputs, predict=classifier.predict, order="source", collate=classifier.collate)
    cut = split(model, classifier.predict, problem.batch(slice(3)))
    found = filled(tmp_path / "features", problem, cut)
    lengths = [len(inputs[row]["input_ids"]) for row in range(len(texts))]
    with torch.no_grad():
        together = cut.features(problem.batch(slice(None)))
        logits = problem.outputs(problem.batch(slice(None)))
        assert torch.allclose(cut.rest(found), logits, rtol=1e-5, atol=1e-6)
    assert found.shape == together.shape
    if method == "head":
        assert found.shape == (60, 8)
    else:
        assert found.shape == (60, max(lengths), 8 + 1)
        assert found[..., -1].sum(1).tolist() == lengths


def test_features_need_no_gradient(tmp_path):
    problem, cut = images()
    assert not filled(tmp_path / "features", problem, cut).requires_grad
    assert isinstance(cut.rest, nn.Linear)


def weight(name):
    def change(problem):
        bits = problem.model.get_parameter(name).data.view(torch.int32).reshape(-1)
        bits[3] ^= 1

    return change


def pixel(problem):
    problem.dataset.pixels[28, 0, 15, 15] += 1e-3


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (weight("vit.layers.0.attention.q_proj.weight"), "weights"),
        (weight("vit.embeddings.position_embeddings"), "weights"),
        (pixel, "samples"),
    ],
)
def test_features_of_other_weights_or_samples_are_refused_by_what_changed(tmp_path, change, what):
    problem, cut = images()
    features = FrozenFeatures(tmp_path / "features")
    features.run(problem, cut, features.plan(problem, cut)[0])
    change(problem)
    with pytest.raises(InputError, match=rf"computed with other settings \({what}: changed\)") as refusal:
        FrozenFeatures(tmp_path / "features").plan(problem, cut)
    assert "\n" not in str(refusal.value)


def test_features_do_not_depend_on_the_head(tmp_path):
    problem, cut = images()
    expected = filled(tmp_path / "features", problem, cut)
    weight("classifier.weight")(problem)
    assert FrozenFeatures(tmp_path / "features").plan(problem, cut) == []
    assert torch.equal(filled(tmp_path / "features", problem, cut), expected)


def test_a_damaged_shard_of_features_is_computed_again_and_never_used(tmp_path):
    problem, cut = images()
    expected = filled(tmp_path / "features", problem, cut)
    file = tmp_path / "features" / "features.zarr" / "c" / "2" / "0"
    content = bytearray(file.read_bytes())
    content[17] ^= 4
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"features.zarr/c/2/0 is damaged"):
        _ = FrozenFeatures(tmp_path / "features").tensor
    assert FrozenFeatures(tmp_path / "features").plan(problem, cut) == [slice(16, 24)]
    assert torch.equal(filled(tmp_path / "features", problem, cut), expected)
