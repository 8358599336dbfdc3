"""Classes of the data and labels of a checkpoint: matched by name, by a map, in order, or not at all."""

import numpy as np
import pytest
from tiny_checkpoints import WORDS, save_checkpoint

from suffice.data import LabelledTexts
from suffice.errors import InputError
from suffice.models import load_classifier
from suffice.models.labels import match_labels


def numbered(*names):
    return dict(enumerate(names))


@pytest.mark.parametrize(
    ("classes", "names", "labels"),
    [
        (["Negative", "Positive"], ["POSITIVE", "NEGATIVE"], (1, 0)),
        (["not spam", "Spam"], ["Spam", "NOT_SPAM"], (1, 0)),
        (["tiny-dog", "BigCat"], ["big cat", "tiny_dog"], (1, 0)),
        (["label 1", "label 0"], ["LABEL_0", "LABEL_1"], (1, 0)),
        (["Straße", "café"], ["cafe\u0301", "strasse"], (1, 0)),
        (["cat"], ["dog", "Cat", "bird"], (1,)),
        (["Yes", "yes"], ["yes", "Yes"], (1, 0)),
        (["-1", "1"], ["1", "-1"], (1, 0)),
        (["1-2", "12"], ["12", "1_2", "1-2"], (2, 0)),
    ],
)
def test_names_match_without_regard_to_case_and_separators(classes, names, labels):
    assert match_labels(classes, numbered(*names)).labels == labels


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["bad", "good"], ["LABEL_0", "LABEL_1"]),
        (["0", "1"], ["Bag", "Coat"]),
        (["-1", "0"], ["0", "1"]),
        (["1", "2"], ["0", "1"]),
        (["0.5", "1.5"], ["Bag", "Coat"]),
    ],
)
def test_numbers_are_no_names(classes, names):
    matching = match_labels(classes, numbered(*names))
    assert (matching.labels, matching.fault) == (None, None)


@pytest.mark.parametrize(
    ("classes", "names", "fault"),
    [
        (["bad", "good"], ["NEGATIVE", "POSITIVE"], "the checkpoint has no label 'bad'; it has NEGATIVE, POSITIVE"),
        (["negative", "postive"], ["NEGATIVE", "POSITIVE"], "no label 'postive'"),
        (["negative", "other"], ["other", "positive"], "no label 'negative'"),
        (["POS", "neg"], ["Pos", "pos", "neg"], "'POS' may be any of the labels Pos, pos"),
        (["Pos", "pos"], ["POS", "neg"], "the classes 'Pos' and 'pos' cannot both have the label 'POS'"),
        (["a", "b"], ["a", "a"], "'a' may be any of the labels a, a"),
        (["< 3", ">= 3"], ["1 star", "5 stars"], "no label '< 3'"),
    ],
)
def test_real_names_that_do_not_match_one_to_one_are_a_fault(classes, names, fault):
    matching = match_labels(classes, numbered(*names))
    assert matching.labels is None
    assert fault in matching.fault


def test_the_nearest_label_is_offered():
    assert 'did you mean "POSITIVE"?' in match_labels(["negative", "POSITIV"], numbered("NEGATIVE", "POSITIVE")).fault


@pytest.mark.parametrize(
    "label_map",
    [
        {"bad": "NEGATIVE", "good": "POSITIVE"},
        {"bad": 1, "good": 0},
        {"bad": "negative", "good": "0"},
        ["bad=NEGATIVE", "good=POSITIVE"],
        [" good = positive ", "bad=1"],
    ],
)
def test_a_map_gives_labels_by_name_or_by_index(label_map):
    assert match_labels(["bad", "good"], numbered("POSITIVE", "NEGATIVE"), label_map).labels == (1, 0)


def test_a_map_is_needed_only_for_classes_of_other_names():
    names = numbered("neutral", "POSITIVE", "NEGATIVE")
    assert match_labels(["bad", "neutral", "positive"], names, ["bad=negative"]).labels == (2, 0, 1)


def test_names_may_have_an_equals_sign():
    names = numbered("x=1", "x=2")
    assert match_labels(["< 3", ">= 3"], names, [">= 3=x=1", "< 3=x=2"]).labels == (1, 0)


def test_a_label_of_that_name_comes_before_one_of_that_index():
    assert match_labels(["a", "b"], numbered("1", "0"), ["a=1", "b=0"]).labels == (0, 1)
    assert match_labels(["a", "b"], numbered("1", "0"), {"a": 1, "b": 0}).labels == (1, 0)


@pytest.mark.parametrize(
    ("label_map", "said"),
    [
        (["bda=NEGATIVE", "good=POSITIVE"], "no class 'bda' in the data; did you mean \"bad\"?"),
        (["bad=NEGATIV", "good=POSITIVE"], "no label 'NEGATIV'; did you mean \"NEGATIVE\"?"),
        (["bad=2", "good=POSITIVE"], "no label '2'; it has NEGATIVE, POSITIVE"),
        ({"bad": -1, "good": 1}, "no label -1"),
        (["bad=NEGATIVE", "good=0"], "'bad' and 'good' cannot both have the label 'NEGATIVE'"),
        (["bad=NEGATIVE", "bad=POSITIVE"], "the class 'bad' is given twice"),
        (["bad=NEGATIVE"], "no label 'good'"),
        (["bad"], "'bad' has no equals sign; write CLASS=LABEL"),
    ],
)
def test_maps_that_do_not_fit_are_refused(label_map, said):
    with pytest.raises(InputError, match="^label_map: ") as refusal:
        match_labels(["bad", "good"], numbered("NEGATIVE", "POSITIVE"), label_map)
    assert said in str(refusal.value)


def texts_of(*classes):
    labels = np.arange(6) % len(classes)
    return LabelledTexts([f"{word} film" for word in WORDS[:6]], labels, classes, list(range(6)), "reviews")


def bert(folder, names, **settings):
    label2id = {name: label for label, name in enumerate(names)}
    return str(save_checkpoint("bert", folder, id2label=numbered(*names), label2id=label2id, **settings))


def test_a_checkpoint_of_upper_case_names_on_folders_of_other_order(tmp_path):
    samples = texts_of("Negative", "Positive")
    classifier = load_classifier(bert(tmp_path, ["POSITIVE", "NEGATIVE"]), samples)
    assert (classifier.labels, classifier.matched_by_name, classifier.has_new_head) == ((1, 0), True, False)
    inputs = classifier.inputs(samples, np.arange(6))
    assert [inputs[row]["labels"] for row in range(6)] == [1, 0, 1, 0, 1, 0]


def test_a_configuration_without_label2id_is_read(tmp_path):
    source = str(save_checkpoint("bert", tmp_path, id2label=numbered("POSITIVE", "NEGATIVE"), label2id=None))
    assert load_classifier(source, texts_of("negative", "positive")).labels == (1, 0)


def test_two_numbers_for_one_name_are_refused_unless_a_map_decides(tmp_path):
    names = numbered("POSITIVE", "NEGATIVE")
    source = str(save_checkpoint("bert", tmp_path, id2label=names, label2id={"POSITIVE": 1, "NEGATIVE": 0}))
    samples = texts_of("negative", "positive")
    with pytest.raises(InputError, match="id2label and label2id of its config.json have different numbers"):
        load_classifier(source, samples)
    assert load_classifier(source, samples, label_map={"negative": 1, "positive": 0}).labels == (1, 0)


def test_names_that_do_not_match_are_refused_for_a_head_that_is_kept(tmp_path):
    source, samples = bert(tmp_path, ["NEGATIVE", "POSITIVE"]), texts_of("bad", "good")
    with pytest.raises(InputError, match="no label 'bad'.* --label-map CLASS=LABEL") as refusal:
        load_classifier(source, samples)
    assert "\n" not in str(refusal.value)
    mapped = load_classifier(source, samples, label_map=["bad=negative", "good=positive"])
    assert (mapped.labels, mapped.matched_by_name, mapped.has_new_head) == ((0, 1), True, False)
    trained = load_classifier(source, samples, keep_head=False)
    assert (trained.labels, trained.matched_by_name, trained.has_new_head) == ((0, 1), False, False)


def test_some_names_that_match_are_not_enough(tmp_path):
    source = bert(tmp_path, ["negative", "neutral", "positive"])
    for classes in (("negative", "neutral", "good"), ("negative", "good")):
        with pytest.raises(InputError, match="no label 'good'"):
            load_classifier(source, texts_of(*classes))
    assert load_classifier(source, texts_of("negative", "good"), keep_head=False).has_new_head


def test_some_of_the_labels_are_enough_and_others_of_another_number_get_a_new_head(tmp_path):
    source = bert(tmp_path, ["negative", "neutral", "positive"])
    some = load_classifier(source, texts_of("Positive", "NEGATIVE"))
    assert (some.labels, some.has_new_head, some.model.classifier.out_features) == ((2, 0), False, 3)
    others = load_classifier(source, texts_of("cat", "dog"))
    assert (others.labels, others.has_new_head, others.model.classifier.out_features) == ((0, 1), True, 2)


def test_a_checkpoint_that_numbers_its_labels_is_matched_in_order(tmp_path):
    classifier = load_classifier(bert(tmp_path, ["LABEL_0", "LABEL_1"]), texts_of("bad", "good"))
    assert (classifier.labels, classifier.matched_by_name, classifier.has_new_head) == ((0, 1), False, False)


def test_a_map_for_a_checkpoint_without_a_head_is_refused(tiny_bert):
    samples = texts_of("bad", "good")
    with pytest.raises(InputError, match="has no head, so there are no labels for --label-map"):
        load_classifier(str(tiny_bert), samples, label_map=["bad=1", "good=0"])
