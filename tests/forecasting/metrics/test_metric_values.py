"""Metrics against scikit-learn, ties and classes that are absent included, and against definitions written out."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score, roc_auc_score

from suffice.errors import InputError
from suffice.forecasting.metrics import AUROC, Accuracy, BalancedAccuracy, MacroF1, Recall, known, metric_named
from suffice.forecasting.metrics.values import confusion, log_odds

SEEDS = st.integers(0, 2**32 - 1)
OF_CONFUSION = [Accuracy(), BalancedAccuracy(), MacroF1(), Recall(0)]
EVERY = [*OF_CONFUSION, AUROC()]


def drawn(seed, classes=None, most=30):
    """Outputs with ties, and labels that may lack classes, but for class 0."""
    random = np.random.default_rng(seed)
    classes = classes or int(random.integers(2, 6))
    samples = int(random.integers(4, most))
    outputs = random.integers(-2, 3, size=(samples, classes)).astype(float)
    labels = random.integers(classes, size=samples)
    labels[0] = 0
    return outputs, labels, classes


@given(SEEDS)
def test_metrics_of_predicted_classes_are_those_of_scikit_learn(seed):
    outputs, labels, classes = drawn(seed)
    named, truth = outputs.argmax(1), known(labels, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of classes that are absent from the labels
        balanced = balanced_accuracy_score(labels, named)
    assert Accuracy()(outputs, truth) == pytest.approx(accuracy_score(labels, named))
    assert BalancedAccuracy()(outputs, truth) == pytest.approx(balanced)
    assert MacroF1()(outputs, truth) == pytest.approx(f1_score(labels, named, average="macro", zero_division=0))
    recalls = recall_score(labels, named, average=None, labels=range(classes), zero_division=0)
    for label in np.unique(labels):
        assert Recall(int(label))(outputs, truth) == pytest.approx(recalls[label])


@given(SEEDS)
def test_the_area_under_the_curve_is_that_of_scikit_learn(seed):
    _, labels, classes = drawn(seed)
    labels = np.append(labels, np.arange(classes))
    outputs = np.random.default_rng(seed).normal(size=(len(labels), classes))
    p = softmax(outputs, axis=1)
    theirs = roc_auc_score(labels, p[:, 1]) if classes == 2 else roc_auc_score(labels, p, multi_class="ovr")
    assert AUROC()(outputs, known(labels, classes)) == pytest.approx(theirs)


@given(SEEDS)
def test_the_area_is_the_mean_over_the_classes_that_have_samples_and_ties_count_half(seed):
    outputs, labels, classes = drawn(seed)
    labels[1] = 1
    of_class = [roc_auc_score(labels == c, log_odds(outputs)[:, c]) for c in np.unique(labels)]
    theirs = of_class[1] if classes == 2 else np.mean(of_class)
    assert AUROC()(outputs, known(labels, classes)) == pytest.approx(theirs)


@given(SEEDS)
def test_uncertain_labels_count_as_fractions_of_samples(seed):
    """q of (2/3, 1/3, 0) is a sample of class 0, again, and one of class 1, a third of each."""
    outputs, labels, classes = drawn(seed)
    others = np.random.default_rng(seed).integers(classes, size=len(labels))
    truth = (2 * known(labels, classes) + known(others, classes)) / 3
    written_out = np.concatenate([outputs] * 3), known(np.concatenate([labels, labels, others]), classes)
    assert confusion(outputs, truth) == pytest.approx(confusion(*written_out) / 3)
    for metric in EVERY:
        if not isinstance(metric, AUROC) or (truth.sum(0) > 0).sum() > 1:
            assert metric(outputs, truth) == pytest.approx(metric(*written_out))


@given(SEEDS)
def test_influences_are_derivatives_by_the_weights_of_samples(seed):
    outputs, labels, classes = drawn(seed, most=12)
    truth = known(labels, classes)
    step = 1e-5
    for metric in EVERY:
        if isinstance(metric, AUROC):
            if len(set(labels.tolist())) == 1:
                continue
            _, changes = metric.areas_and_influence(outputs, truth)
        else:
            changes = metric.influence(confusion(outputs, truth))[labels, outputs.argmax(1)]
        for row, change in enumerate(changes):
            more, less = (truth * (1 + sign * step * (np.arange(len(labels)) == row))[:, None] for sign in (1, -1))
            assert change == pytest.approx((metric(outputs, more) - metric(outputs, less)) / (2 * step), abs=1e-8)


def test_a_class_that_is_never_predicted_and_one_that_has_no_samples():
    outputs = np.array([[2.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 2.0]])
    truth = known(np.array([0, 0, 1, 0]), classes=3)  # class 1 is never predicted, class 2 has no samples
    assert BalancedAccuracy()(outputs, truth) == pytest.approx((2 / 3 + 0) / 2)
    assert MacroF1()(outputs, truth) == pytest.approx((4 / 5 + 0 + 0) / 3)
    assert Recall(1)(outputs, truth) == 0.0


@pytest.mark.parametrize(
    ("metric", "said"), [(Recall(1), "recall of class 1 is not defined"), (AUROC(), "all samples are of one class")]
)
def test_what_is_not_defined_is_refused(metric, said):
    with pytest.raises(InputError, match=said):
        metric(np.zeros((3, 2)), known(np.zeros(3, dtype=np.int64), 2))


def test_metrics_have_names():
    assert [metric_named(metric.name, classes=2) for metric in EVERY] == EVERY
    with pytest.raises(InputError, match='metric "AUROCC".* did you mean "AUROC"'):
        metric_named("AUROCC", classes=2)
