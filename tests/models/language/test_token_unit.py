"""The loss of a language model as the mean over tokens, against all tokens in one list."""

import numpy as np
import pytest
import torch

from suffice import Convergence, Probes, record
from suffice.data.completions import load_completions
from suffice.models.language import load_language_model, moved
from suffice.training import FineTuning, fine_tune


@pytest.fixture(scope="module")
def language(language_desk):
    return moved(load_language_model(str(language_desk / "model"), whole=True), "lora(2)")


@pytest.fixture(scope="module")
def tokens(language, language_desk):
    texts = load_completions(str(language_desk / "sums.jsonl"))
    short = [row for row in range(len(texts)) if row % 9][:30]
    return language.tokens(texts.subset(short))


def losses_of_tokens(language, tokens, rows):
    """Of each token by itself, with a softmax in float64 by hand."""
    found = []
    for row in rows:
        ids, counts = tokens[row]["input_ids"], tokens[row]["counts"]
        with torch.no_grad():
            logits = language.model(input_ids=ids[None]).logits[0].double()
        scores = logits - logits.exp().sum(1, keepdim=True).log()
        found += [-float(scores[at - 1, ids[at]]) for at in range(1, len(ids)) if counts[at]]
    return found


def test_the_mean_is_that_of_all_tokens(language, tokens):
    problem = language.problem(tokens, unit="token")
    assert np.ptp(problem.sample_weights) > 0
    every = losses_of_tokens(language, tokens, range(len(tokens)))
    assert len(every) == problem.total_weight()
    for batch_size in (1, 7):
        mean = float(problem.weighted_mean(problem.all_losses(batch_size)))
        assert mean == pytest.approx(np.mean(every), rel=1e-5)
    curves = Convergence(record(problem, Probes.sphere(problem, count=1)), resamples=10)
    assert curves.sample.center_loss == pytest.approx(np.mean(every), rel=1e-5)
    first = losses_of_tokens(language, tokens, problem.index[:21].tolist())
    before = losses_of_tokens(language, tokens, problem.index[:20].tolist())
    assert curves.in_order([20])[0, 0] == pytest.approx(abs(np.mean(first) - np.mean(before)), rel=1e-3)


def test_samples_count_alike_unless_tokens_are_asked_for(language, tokens):
    assert not language.problem(tokens).is_weighted


def test_the_training_minimises_what_is_measured(language, tokens):
    """After a few steps from the same weights, on all samples at once, either mean is lower by its own training."""
    center = language.problem(tokens).center()
    ends = {}
    for unit in ("sample", "token"):
        problem = language.problem(tokens, unit=unit)
        with problem.at({name: value.clone() for name, value in center.items()}):
            fine_tune(problem, FineTuning(steps=8, batch_size=30, learning_rate=3e-2, weight_decay=0.0))
            losses = problem.all_losses()
        ends[unit] = [float(language.problem(tokens, unit=by).weighted_mean(losses)) for by in ("sample", "token")]
    assert ends["sample"][0] < ends["token"][0]
    assert ends["token"][1] < ends["sample"][1]
