"""Text checkpoints: with and without a head, a tokenizer, padding, an adapter."""

import dataclasses
import shutil

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from suffice.data import Reading, load_samples, read_texts
from suffice.errors import InputError
from suffice.models import load_classifier, moving_parameters
from suffice.models.checkpoint import MEAN_OF_TOKENS

SMALL = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture
def samples(reviews):
    return read_texts(reviews)


@pytest.fixture
def copy(tiny_bert, tmp_path):
    """A copy of the small encoder, to be spoilt."""
    return shutil.copytree(tiny_bert, tmp_path / "copy")


def gpt2(folder, save_tokenizer):
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=20, n_embd=16, n_layer=2, n_head=2, n_positions=40, initializer_range=0.5)
    GPT2ForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(folder, pad_token=None, eos_token="[EOS]")  # noqa: S106
    return folder


def roberta(folder, save_tokenizer):
    torch.manual_seed(0)
    RobertaForSequenceClassification(
        RobertaConfig(**SMALL, max_position_embeddings=11, pad_token_id=0, initializer_range=0.5)
    ).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(params=["bert", "roberta", "gpt2"])
def folder(request, tmp_path, tiny_bert, save_tokenizer):
    makers = {"roberta": roberta, "gpt2": gpt2}
    return tiny_bert if request.param == "bert" else makers[request.param](tmp_path, save_tokenizer)


def logits_of(classifier, items):
    with torch.no_grad():
        return classifier.predict(classifier.model, classifier.collate(items))


def check_padding(classifier, samples, rows):
    inputs = classifier.inputs(samples, rows)
    items = [inputs[row] for row in range(len(rows))]
    assert len({len(item["input_ids"]) for item in items}) > 3
    together, alone = logits_of(classifier, items), torch.cat([logits_of(classifier, [item]) for item in items])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5 * float(alone.abs().max()))
    assert alone.std(0).min() > 1e-3 * alone.abs().max()


def test_batches_do_not_change_the_logits(folder, samples):
    check_padding(load_classifier(str(folder), samples), samples, np.arange(60))


def test_batches_do_not_change_the_logits_of_a_real_model(shared):
    file = shared / "data" / "movie-reviews" / "movieReviewSnippets_GroundTruth.txt"
    samples = load_samples(str(file), Reading("3", label_column="2", threshold=0))
    classifier = load_classifier(str(shared / "models" / "minilm-l6-v2"), samples)
    assert (classifier.has_new_head, classifier.longest, classifier.notes) == (True, 512, ())
    assert moving_parameters(classifier.model, "head") == ["classifier.weight", "classifier.bias"]
    check_padding(classifier, samples, np.arange(16))


def test_inputs_agree_with_the_library(folder, samples):
    classifier = load_classifier(str(folder), samples)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    model.load_state_dict(classifier.model.state_dict())
    inputs = classifier.inputs(samples, np.array([7, 2]))
    tokens = classifier.tokenizer(samples[2], return_tensors="pt")
    with torch.no_grad():
        expected = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).logits
    torch.testing.assert_close(logits_of(classifier, [inputs[1]]), expected)
    assert inputs[1]["labels"] == samples.labels[2]
    assert inputs.describe(1) == samples.describe(2)
    assert len(inputs) == 2


@pytest.mark.parametrize(("make", "longest"), [(None, 10), (roberta, 10)], ids=["bert", "roberta"])
def test_long_texts_are_cut_where_the_model_ends_and_counted(
    make, longest, tmp_path, tiny_bert, save_tokenizer, samples
):
    classifier = load_classifier(str(make(tmp_path, save_tokenizer) if make else tiny_bert), samples)
    inputs = classifier.inputs(samples, np.arange(60))
    lengths = [len(inputs[row]["input_ids"]) for row in range(60)]
    assert classifier.longest == longest == max(lengths)
    assert inputs.notes == ("20 of 60 texts are longer than the model's 10 tokens: cut there.",)
    ends = {int(inputs[row]["input_ids"][-1]) for row in range(60)}
    assert ends == {classifier.tokenizer.sep_token_id}
    assert logits_of(classifier, [inputs[row] for row in range(60)]).isfinite().all()
    assert classifier.inputs(samples, np.arange(3)).notes == ()


def test_encoder_gets_a_head_by_the_seed(tiny_bert, samples):
    heads = [load_classifier(str(tiny_bert), samples, seed=seed).model.classifier.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_classes_are_matched_by_name(tmp_path, save_tokenizer, samples):
    names = {0: "good", 1: "bad"}
    model = BertForSequenceClassification(BertConfig(**SMALL, id2label=names, label2id={"good": 0, "bad": 1}))
    model.save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    classifier = load_classifier(str(tmp_path), samples)
    assert (classifier.matched_by_name, classifier.has_new_head, classifier.labels) == (True, False, (1, 0))
    inputs = classifier.inputs(samples, np.arange(4))
    assert [inputs[row]["labels"] for row in range(4)] == [1, 0, 1, 0]


def test_head_of_another_task_is_left_behind_and_missing_weights_are_listed(tmp_path, save_tokenizer, samples):
    BertForMaskedLM(BertConfig(**SMALL)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    without_pooler = load_classifier(str(tmp_path), samples)
    assert (without_pooler.has_new_head, without_pooler.notes) == (True, (MEAN_OF_TOKENS,))
    assert not [name for name, _ in without_pooler.model.named_parameters() if "pooler" in name]
    weights = load_file(tmp_path / "model.safetensors")
    lost = {key: value for key, value in weights.items() if "layer.1.output" not in key}
    save_file(lost, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks \d+ weights of the model: bert\.encoder\.layer\.1\.output"):
        load_classifier(str(tmp_path), samples)
    weights |= {"bert.pooler.dense.weight": torch.eye(16), "bert.pooler.dense.bias": torch.zeros(16)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    classifier = load_classifier(str(tmp_path), samples)
    assert classifier.has_new_head
    assert classifier.notes == ()


def test_weights_without_a_place_are_noted(copy, samples):
    weights = load_file(copy / "model.safetensors")
    more = {key.replace("layer.1", "layer.2"): value.clone() for key, value in weights.items() if "layer.1" in key}
    save_file(weights | more, copy / "model.safetensors", metadata={"format": "pt"})
    (note,) = load_classifier(str(copy), samples).notes
    assert note.startswith(f"{len(more)} weights of the checkpoint have no place in the model: encoder.layer.2.")


def test_missing_padding_token_is_replaced_and_noted(tmp_path, save_tokenizer, samples):
    classifier = load_classifier(str(gpt2(tmp_path, save_tokenizer)), samples)
    assert classifier.notes == ("The tokenizer has no token for padding: '[EOS]' is used, and masked.",)


def test_folder_without_a_tokenizer_is_refused(copy, samples):
    for file in copy.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        load_classifier(str(copy), samples)


def test_tokenizer_of_another_model_is_refused(copy, save_tokenizer, samples):
    save_tokenizer(copy, [f"word{place}" for place in range(30)] + ["good", "bad"])
    classifier = load_classifier(str(copy), samples)
    with pytest.raises(InputError, match=r"line \d+ of .*: token number 3\d, and the model has 20"):
        classifier.inputs(samples, np.arange(60))


def test_model_of_images_takes_no_texts_and_the_other_way_round(tiny_bert, samples):
    with pytest.raises(InputError, match="the data are texts, and 'vit' models take none"):
        load_classifier("builtin:tiny-vit", samples)
    with pytest.raises(InputError, match="the data are images, and 'bert' models take none"):
        load_classifier(str(tiny_bert), load_samples("builtin:digits"))
    with pytest.raises(InputError, match="image_size = 3: the data are texts"):
        load_classifier(str(tiny_bert), samples, image_size=3)


@pytest.mark.parametrize("own_tokenizer", [True, False])
def test_adapter_is_read_with_its_head(tmp_path, save_tokenizer, samples, own_tokenizer):
    base = roberta(tmp_path / "base", save_tokenizer)
    model = RobertaForSequenceClassification.from_pretrained(base)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"]))
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1
    wrapped.save_pretrained(tmp_path / "adapter")
    if own_tokenizer:
        save_tokenizer(tmp_path / "adapter")
        for file in base.glob("tokenizer*"):
            file.unlink()
    # as base models are published: without a head
    weights = {key: value for key, value in load_file(base / "model.safetensors").items() if "classifier" not in key}
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    classifier = load_classifier(str(tmp_path / "adapter"), samples)
    assert not classifier.has_new_head
    trained = [name for name, parameter in wrapped.named_parameters() if parameter.requires_grad]
    assert moving_parameters(classifier.model, "all") == trained
    inputs = classifier.inputs(samples, np.arange(9))
    batch = classifier.collate([inputs[row] for row in range(9)])
    with torch.no_grad():
        expected = wrapped.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        torch.testing.assert_close(classifier.predict(classifier.model, batch), expected)


def test_fingerprint_of_inputs_follows_tokens_labels_and_rows(tiny_bert, tmp_path, reviews):
    content = reviews.read_text()

    def fingerprint(content=content, rows=(0, 1, 2), longest=None):
        (tmp_path / "reviews.csv").write_text(content)
        samples = read_texts(tmp_path / "reviews.csv")
        classifier = load_classifier(str(tiny_bert), samples)
        if longest is not None:
            classifier = dataclasses.replace(classifier, longest=longest)
        return classifier.inputs(samples, np.array(rows)).fingerprint()

    first, second, *rest = content.split("\n")
    text, label = second.rsplit(",", 1)
    other = {"good": "bad", "bad": "good"}[label]
    others = [
        fingerprint("\n".join([first, f"long {text},{label}", *rest])),
        fingerprint("\n".join([first, f"{text},{other}", *rest])),
        fingerprint(rows=(1, 0, 2)),
        fingerprint(longest=3),
    ]
    assert fingerprint() == fingerprint()
    assert len({fingerprint(), *others}) == 5
