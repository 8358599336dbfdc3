"""The loss of a text in a padded batch is the library's own loss of that text alone."""

import numpy as np
import pytest
import torch
from tiny_checkpoints import CLASSES, SEE_PADDING, TEXTS, WORDS, make_samples, make_tokenizer, save_checkpoint
from transformers import AutoModelForSequenceClassification, AutoTokenizer, XLMConfig, XLMForSequenceClassification

from suffice import Problem
from suffice.data import LabelledTexts
from suffice.errors import InputError
from suffice.models import load_classifier

SOUND = sorted(TEXTS.keys() - SEE_PADDING)


def texts_of(*texts):
    labels = np.arange(len(texts)) % len(CLASSES)
    return LabelledTexts(texts, labels, CLASSES, list(range(1, len(texts) + 1)), "reviews")


REVIEWS = texts_of("good", "a very long film", "bad bad", "great film but very very long", "dull", "a a a")


def losses_in_batches(source, samples, size):
    classifier = load_classifier(str(source), samples)
    inputs = classifier.inputs(samples, np.arange(len(samples)))
    problem = Problem(classifier.model, inputs, predict=classifier.predict, order="source", collate=classifier.collate)
    with problem.measuring():
        batches = [problem.batch(slice(start, start + size)) for start in range(0, len(samples), size)]
        return torch.cat([problem.losses(batch) for batch in batches]), classifier


@torch.no_grad()
def losses_of_the_library(source, samples):
    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    rows = zip(samples.texts, samples.labels.tolist(), strict=True)
    return torch.stack(
        [
            model(**tokenizer(text, return_tensors="pt"), labels=torch.tensor([label])).loss.double()
            for text, label in rows
        ]
    )


def check(source, samples, size=None):
    """The classifier, once its losses are found to be those of the library, and to differ from text to text."""
    found, classifier = losses_in_batches(source, samples, size or len(samples))
    expected = losses_of_the_library(source, samples)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert len(expected.round(decimals=4).unique()) > len(expected) / 2
    return classifier


@pytest.mark.parametrize("name", SOUND)
def test_padding_does_not_change_the_loss(name, tmp_path):
    check(save_checkpoint(name, tmp_path), make_samples(name, 8))


@pytest.mark.parametrize("name", sorted(SEE_PADDING))
def test_models_that_see_padding_are_right_where_there_is_none(name, tmp_path):
    source, samples = save_checkpoint(name, tmp_path), make_samples(name)
    check(source, samples, size=1)
    together, _ = losses_in_batches(source, samples, len(samples))
    assert not torch.allclose(together, losses_of_the_library(source, samples), rtol=1e-5, atol=1e-5)


def folder_with(name, folder, text, tokenizer=None, **settings):
    """A checkpoint of a model with a tokenizer of another kind."""
    save_checkpoint(name, folder, **settings)
    make_tokenizer(text, **(tokenizer or {})).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("pad_token", [None, "</s>"])
def test_heads_that_count_ends_are_padded_with_the_models_own_token(name, pad_token, tmp_path):
    classifier = check(folder_with(name, tmp_path, "text </s>", {"pad_token": pad_token}), REVIEWS)
    assert (classifier.padding.token, classifier.notes) == (0, ())


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_heads_that_count_ends_are_never_padded_with_one(name, tmp_path):
    source = folder_with(name, tmp_path, "text </s>", {"pad_token": None}, pad_token_id=2)
    assert check(source, REVIEWS).padding.token not in (2, None)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_text_with_an_end_in_it_is_refused_by_name(name, tmp_path):
    samples = texts_of("good film", "bad </s> film", "dull")
    source = save_checkpoint(name, tmp_path)
    classifier = load_classifier(str(source), samples)
    with pytest.raises(InputError, match="line 2 of reviews: has '</s>', which tells the model where a text ends"):
        classifier.inputs(samples, np.arange(3))


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_texts_without_an_end_are_refused_in_one_line(name, tmp_path):
    with pytest.raises(InputError, match="the model does not take these texts: .*<eos>") as refusal:
        losses_in_batches(folder_with(name, tmp_path, "<s> text"), REVIEWS, 3)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox"])
@pytest.mark.parametrize("pad_token", [None, "</s>", "<unk>"])
def test_ends_are_read_where_the_model_has_no_token_for_padding(name, pad_token, tmp_path):
    classifier = check(folder_with(name, tmp_path, "text </s>", {"pad_token": pad_token}), REVIEWS)
    assert classifier.padding.token != 2
    assert bool(classifier.notes) == (pad_token is None)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_models_own_token_comes_before_that_of_the_tokenizer(name, tmp_path):
    # the library reads such a text before its last token, and so it was trained
    assert check(folder_with(name, tmp_path, "text </s>", pad_token_id=2), REVIEWS).padding.token == 2


def test_a_token_that_the_model_does_not_have_is_none(tmp_path):
    assert check(folder_with("llama", tmp_path, "<s> text", {"pad_token": None}, pad_token_id=-1), REVIEWS)


def test_a_token_that_stands_in_a_text_is_not_used_for_padding(tmp_path):
    samples = texts_of("good <pad>", "a very long film", "bad </s>", "<unk> film", "dull <s>", "a a a")
    assert check(folder_with("gpt2", tmp_path, "text"), samples).padding.token == 23


def test_texts_that_use_all_tokens_are_refused(tmp_path):
    source = folder_with("gpt2", tmp_path, "text", {"pad_token": None}, vocab_size=14)
    samples = texts_of("<pad> <s> </s> <unk>", " ".join(WORDS), "good")
    with pytest.raises(InputError, match="no token is left for padding, as the texts use all 14"):
        load_classifier(str(source), samples)


def test_other_texts_with_the_token_for_padding_are_refused_by_name(tmp_path):
    classifier = load_classifier(str(folder_with("gpt2", tmp_path, "text")), REVIEWS)
    with pytest.raises(InputError, match="line 2 of reviews: has '<pad>', which is used for padding"):
        classifier.inputs(texts_of("good", "bad <pad>", "a"), np.arange(3))


TYPES = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("types", [{}, TYPES])
def test_xlnet_is_padded_on_the_left_by_any_tokenizer(side, types, tmp_path):
    source = folder_with("xlnet", tmp_path, "text </s> <s>:2", {"padding_side": side} | types)
    classifier = check(source, REVIEWS)
    assert (classifier.padding.side, classifier.padding.token_type) == ("left", 0 if types else None)
    assert classifier.longest is None


def test_xlnet_that_reads_the_first_position_is_padded_on_the_right(tmp_path):
    assert check(save_checkpoint("xlnet", tmp_path, summary_type="first"), REVIEWS).padding.side == "right"


def test_models_of_absolute_positions_that_read_the_last_one_are_given_positions(tmp_path):
    sizes = {"emb_dim": 16, "n_layers": 2, "n_heads": 2, "n_words": 24, "max_position_embeddings": 40, "pad_index": 0}
    torch.manual_seed(0)
    config = XLMConfig(**sizes, summary_type="last", num_labels=3, init_std=0.5, embed_init_std=0.5, pad_token_id=0)
    XLMForSequenceClassification(config).save_pretrained(tmp_path)
    make_tokenizer("<s> text </s>").save_pretrained(tmp_path)
    padding = check(tmp_path, REVIEWS).padding
    assert (padding.side, padding.has_positions) == ("left", True)


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "llama", "funnel"])
def test_token_types_are_passed_on_as_the_tokenizer_gives_them(name, tmp_path):
    settings = {"type_vocab_size": 3} if name in ("bert", "roberta") else {}
    source = folder_with(name, tmp_path, "<s>:2 text:1 </s>:0", TYPES, **settings)
    classifier = check(source, REVIEWS, size=1 if name in SEE_PADDING else None)
    assert (classifier.padding.token_type is None) == (name == "llama")


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_others_are_padded_on_the_right_whatever_the_tokenizer_does(name, tmp_path):
    source = folder_with(name, tmp_path, "<s> text </s>", {"padding_side": "left"})
    assert check(source, REVIEWS).padding.side == "right"


@pytest.mark.parametrize(
    ("name", "limit", "longest"),
    [
        ("bert", None, 40), ("bert", 30, 30), ("bert", 50, 40), ("bert", -1, 40),
        ("t5", None, None), ("t5", 30, 30), ("bloom", -1, None), ("xlnet", -1, None), ("xlnet", 30, 30),
    ],
)  # fmt: skip
def test_the_limit_is_the_lesser_of_those_that_are_stated(name, limit, longest, tmp_path):
    settings = {} if limit is None else {"model_max_length": limit}
    classifier = load_classifier(str(folder_with(name, tmp_path, "text </s>", settings)), REVIEWS)
    assert classifier.longest == longest
