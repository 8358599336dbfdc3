"""Encoders without a head, and folders of sentence-transformers: their own pooling, a new head, each command."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    BertModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    T5Config,
    T5EncoderModel,
    ViTMAEConfig,
    ViTMAEModel,
)

from suffice.configuration import AnalyzeConfig, ForecastConfig
from suffice.data import ImageArray, read_texts
from suffice.errors import InputError
from suffice.models import adapted, execution_of, load_classifier, moving_parameters, split
from suffice.models.encoder import MODES, pool
from suffice.runs.analyze import analyze
from suffice.runs.forecast import forecast


@pytest.fixture
def samples(reviews):
    return read_texts(reviews)


@pytest.fixture
def sentence_folder(tiny_bert, tmp_path):
    """Makes a folder as sentence-transformers does: a transformer, its pooling, and what follows."""

    def make(pooling, *after, transformer="", **settings):
        root = tmp_path / "sentences"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(tiny_bert, root / transformer)
        (root / transformer / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 7} | settings))
        modules = [("Transformer", transformer, None, None), ("Pooling", "1_Pooling", pooling, None)]
        modules += [(kind, f"{row}_{kind}", config, weights) for row, (kind, config, weights) in enumerate(after, 2)]
        listed = []
        for row, (kind, path, config, weights) in enumerate(modules):
            listed.append({"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{kind}"})
            (root / path).mkdir(exist_ok=True)
            if config is not None:
                (root / path / "config.json").write_text(json.dumps(config))
            if weights is not None:
                save_file(weights, root / path / "model.safetensors")
        (root / "modules.json").write_text(json.dumps(listed))
        return root

    return make


def features_of(classifier, items):
    batch = classifier.collate(items)
    with torch.no_grad():
        return classifier.model.encoder(batch["input_ids"], batch["attention_mask"])


def by_hand(hidden_of_tokens, mode):
    """Pooling of one text, written out."""
    count = len(hidden_of_tokens)
    weights = torch.arange(1, count + 1)[:, None]
    return {
        "cls": hidden_of_tokens[0],
        "lasttoken": hidden_of_tokens[-1],
        "max": hidden_of_tokens.max(0).values,
        "mean": hidden_of_tokens.sum(0) / count,
        "mean_sqrt_len_tokens": hidden_of_tokens.sum(0) / count**0.5,
        "weightedmean": (weights * hidden_of_tokens).sum(0) / weights.sum(),
    }[mode]


@pytest.mark.parametrize("modes", [*([mode] for mode in MODES), ["cls", "mean"]], ids="+".join)
def test_texts_are_pooled_as_the_folder_says_whatever_their_company(modes, sentence_folder, samples):
    folder = sentence_folder({"embedding_dimension": 16, "pooling_mode": modes})
    classifier = load_classifier(str(folder), samples)
    inputs = classifier.inputs(samples, np.arange(12))
    items = [inputs[row] for row in range(12)]
    transformer = BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        hidden = [transformer(input_ids=item["input_ids"][None]).last_hidden_state[0] for item in items]
    expected = torch.stack([torch.cat([by_hand(one, mode) for mode in modes]) for one in hidden])
    torch.testing.assert_close(features_of(classifier, items), expected, rtol=1e-5, atol=1e-5)
    assert classifier.has_new_head
    assert classifier.model.classifier.in_features == 16 * len(modes)


def test_derivatives_of_pooling_agree_with_differences():
    hidden = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    mask = (torch.arange(4) < torch.tensor([[1], [3], [4]])).double()
    for mode in MODES:
        assert torch.autograd.gradcheck(lambda some, mode=mode: pool(some, mask, mode), (hidden,))


OLD_POOLING = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


def test_what_follows_the_pooling_is_applied_and_belongs_to_the_encoder(sentence_folder, samples):
    torch.manual_seed(0)
    dense = {
        "in_features": 16,
        "out_features": 5,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    weights = {"linear.weight": torch.randn(5, 16), "linear.bias": torch.randn(5)}
    folder = sentence_folder(
        OLD_POOLING, ("Dense", dense, weights), ("Normalize", None, None), transformer="0_Transformer"
    )
    classifier = load_classifier(str(folder), samples)
    inputs = classifier.inputs(samples, np.arange(4))
    plain = load_classifier(str(sentence_folder(OLD_POOLING)), samples)
    assert classifier.notes == (
        "Features of a text, as modules.json says: the first token, then Dense, then Normalize.",
    )
    found = features_of(classifier, [inputs[row] for row in range(4)])
    pooled = features_of(plain, [plain.inputs(samples, np.arange(4))[row] for row in range(4)])
    expected = torch.tanh(pooled @ weights["linear.weight"].T + weights["linear.bias"])
    torch.testing.assert_close(found, expected / expected.norm(dim=1, keepdim=True))
    assert moving_parameters(classifier.model, "head") == ["classifier.weight", "classifier.bias"]
    assert classifier.longest == 7


def test_lower_case_is_made_where_the_folder_says_so(sentence_folder, samples):
    folder = sentence_folder({"pooling_mode": "mean"}, do_lower_case=True)
    tokenizer = load_classifier(str(folder), samples).tokenizer
    assert tokenizer("GOOD Film")["input_ids"] == tokenizer("good film")["input_ids"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "sentence_transformers.models.WordEmbeddings"}, "has a module 'WordEmbeddings', which is not known"),
        ({"type": "somebody.code.Poolin"}, "has a module 'Poolin', which is not known; did you mean \"Pooling\""),
        ({"type": "sentence_transformers.models.Normalize"}, "has Transformer, Normalize: it has to begin with"),
        ({"path": "no_such_folder"}, "no_such_folder/config.json is missing"),
        ({"type": None, "path": None}, "has a module 'None'"),
    ],
)
def test_modules_that_are_not_known_are_refused(change, said, sentence_folder, samples):
    folder = sentence_folder({"pooling_mode": "mean"})
    listed = json.loads((folder / "modules.json").read_text())
    listed[1] |= change
    (folder / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(InputError, match=said) as error:
        load_classifier(str(folder), samples)
    assert "\n" not in str(error.value)


def test_other_settings_that_are_not_known_are_refused(sentence_folder, samples):
    dense = {"in_features": 16, "out_features": 5, "activation_function": "somebody.code.Act"}
    norm = ("LayerNorm", {"dimension": 16}, {"norm.weight": torch.ones(3)})
    for pooling, after, said in (
        ("median", [], "pools by 'median'"),
        ("mean", [("Dense", dense, None)], "has the activation 'Act'"),
        ("mean", [("Dense", dense | {"use_residual": True}, None)], "use_residual = True"),
        ("mean", [("Dense", {}, None)], "does not say the sizes of Dense"),
        ("mean", [norm], "has no weights of this module"),
    ):
        folder = sentence_folder({"pooling_mode": pooling}, *after)
        with pytest.raises(InputError, match=said):
            load_classifier(str(folder), samples)


def pictures(count=24):
    draw = np.random.default_rng(0)
    return ImageArray(draw.integers(256, size=(count, 16, 16), dtype=np.uint8), np.arange(count) % 2, "pictures")


VISION = {"image_size": 16, "patch_size": 8, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION |= {"intermediate_size": 16}


@pytest.mark.parametrize("kind", [(CLIPVisionModel, CLIPVisionConfig), (ViTMAEModel, ViTMAEConfig)])
def test_encoders_of_images_that_the_library_makes_no_classifier_of(kind, tmp_path):
    torch.manual_seed(0)
    model = kind[0](kind[1](**VISION, **({"mask_ratio": 0.0} if kind[0] is ViTMAEModel else {}))).eval()
    model.save_pretrained(tmp_path)
    images = pictures()
    classifier = load_classifier(str(tmp_path), images)
    inputs = classifier.inputs(images, np.arange(5))
    pixels = torch.stack([inputs[row]["pixel_values"] for row in range(5)])
    with torch.no_grad():
        found = model(pixel_values=pixels)
        expected = found.last_hidden_state.mean(1) if kind[0] is ViTMAEModel else found.pooler_output
        features = classifier.model.encoder(pixels)
    if kind[0] is CLIPVisionModel:
        torch.testing.assert_close(features, expected)
    assert features.shape == expected.shape
    assert classifier.has_new_head
    assert any("mean of its last hidden states" in note for note in classifier.notes) == (kind[0] is ViTMAEModel)


def test_encoder_part_of_an_encoder_and_decoder(tmp_path, save_tokenizer, samples):
    torch.manual_seed(0)
    config = T5Config(vocab_size=20, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    T5EncoderModel(config).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    (tmp_path / "modules.json").write_text(
        json.dumps([{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}])
    )
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    classifier = load_classifier(str(tmp_path), samples)
    assert type(classifier.model.encoder.transformer) is T5EncoderModel
    assert len(execution_of(classifier.model).layers) == 2


@pytest.mark.parametrize("method", ["head", "last_layers(1)"])
def test_the_frozen_part_is_run_apart(method, sentence_folder, samples):
    classifier = load_classifier(str(sentence_folder({"pooling_mode": "mean"}, ("Normalize", None, None))), samples)
    model = adapted(classifier.model, method)
    inputs = classifier.inputs(samples, np.arange(7))
    batch = classifier.collate([inputs[row] for row in range(7)])
    parts = split(model, classifier.predict, batch)
    with torch.no_grad():
        torch.testing.assert_close(parts.rest(parts.features(batch)), classifier.predict(model, batch))


def test_commands_train_a_new_head_and_ask_for_it(sentence_folder, reviews, tmp_path):
    folder = str(sentence_folder({"pooling_mode": "mean"}))
    with pytest.raises(InputError, match="has no head for the 2 classes of .*: train one first with --method head"):
        analyze(AnalyzeConfig(model=folder, data=str(reviews)), tmp_path / "refused")
    config = AnalyzeConfig(model=folder, data=str(reviews), method="lora(1)", epochs=1, probes=1)
    assert analyze(config, tmp_path / "analyzed").problem.samples == 48
    result = forecast(ForecastConfig(model=folder, data=str(reviews), l2=0.01), tmp_path / "forecast")
    assert (result.features, result.classes) == (16, ["bad", "good"])


def test_a_real_sentence_encoder_pools_as_its_makers_say(shared, tmp_path, samples):
    folder = tmp_path / "minilm"
    shutil.copytree(shared / "models" / "minilm-l6-v2", folder)
    folder.chmod(0o755)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    (folder / "modules.json").write_text(
        json.dumps([{"type": f"x.{kind}", "path": path} for kind, path in kinds.items()])
    )
    classifier = load_classifier(str(folder), samples)
    texts = ["The film is good.", "A good movie, well made.", "Rain is expected in the north tomorrow."]
    tokens = [{"input_ids": torch.tensor(classifier.tokenizer(text)["input_ids"]), "labels": 0} for text in texts]
    items = [item | {"token_type_ids": torch.zeros_like(item["input_ids"])} for item in tokens]
    features = features_of(classifier, items)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    same, other = float(features[0] @ features[1]), float(features[0] @ features[2])
    assert same > 0.6
    assert other < 0.2
