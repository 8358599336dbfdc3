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
    """Some steps on all samples are those of AdamW on the mean over samples, or over tokens."""
    settings = FineTuning(steps=6, batch_size=len(tokens), learning_rate=3e-3, weight_decay=0.0)
    counts = torch.tensor(tokens.answer_tokens, dtype=torch.float64)
    own = dict(language.problem(tokens).moving)
    start = {name: weight.detach().clone() for name, weight in own.items()}

    def begin_again():
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(start[name])
                weight.grad = None

    def factors():  # those that multiply nothing at first have gradients of rounding, whose sign is chance
        return torch.cat([weight.detach().flatten() for name, weight in own.items() if "lora_B" in name])

    ends = {}
    for unit in ("sample", "token"):
        problem = language.problem(tokens, unit=unit)
        fine_tune(problem, settings)
        trained = factors()
        begin_again()
        weights = counts[problem.index] if unit == "token" else torch.ones(len(counts), dtype=torch.float64)
        optimizer = torch.optim.AdamW(own.values(), weight_decay=0.0)
        for step in range(6):
            optimizer.param_groups[0]["lr"] = settings.rate(step, 6)
            optimizer.zero_grad()
            ((weights * problem.losses(problem.batch(slice(None)))).sum() / weights.sum()).backward()
            optimizer.step()
        ends[unit] = (trained, factors())
        begin_again()
    apart = (ends["sample"][1] - ends["token"][1]).abs().max()
    for trained, by_hand in ends.values():
        assert (trained - by_hand).abs().max() < 0.1 * apart
