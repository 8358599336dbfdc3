"""Recordings in tokens, and those of versions before there were numbers of tokens."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice import InputError
from suffice.results import Holdout, OnlineBatch, Recording, check_recording, in_tokens, read_recording


@given(seed=st.integers(0, 2**32 - 1))
def test_a_hold_out_in_tokens_has_the_mean_of_tokens_and_the_error_of_the_ratio(seed):
    draw = np.random.default_rng(seed)
    tokens = draw.integers(1, 30, 50)
    losses = draw.normal(2, 1, (2, 50)) + 5 / tokens
    holdouts = [Holdout(seen=8 * (at + 1), losses=own) for at, own in enumerate(losses)]
    found = np.array([at.losses for at in in_tokens(
        Recording(samples=16, holdouts=holdouts, holdout_tokens=tokens.tolist())
    ).holdouts])  # fmt: skip
    means = (tokens * losses).sum(1) / tokens.sum()
    np.testing.assert_allclose(found.mean(1), means, rtol=1e-12)
    relative = tokens / tokens.mean()
    np.testing.assert_allclose(found.var(1), (relative**2 * (losses - means[:, None]) ** 2).mean(1), rtol=1e-10)
    difference = relative**2 * (losses[0] - losses[1] - means[0] + means[1]) ** 2
    np.testing.assert_allclose((found[0] - found[1]).var(), difference.mean(), rtol=1e-10)


def test_samples_of_equal_length_stay_as_they_are():
    held = Holdout(seen=4, losses=np.array([1.0, 2.5, 4.0]))
    (found,) = in_tokens(Recording(samples=4, holdouts=[held], holdout_tokens=[7, 7, 7])).holdouts
    assert found.losses.tolist() == pytest.approx([1.0, 2.5, 4.0], rel=1e-15)


def test_a_recording_of_an_earlier_version_is_read(tmp_path):
    batch = OnlineBatch(step=1, seen=0, samples=4, tokens=9, loss=2.0)
    run = Recording(samples=4, batches=[batch], holdouts=[Holdout(seen=4, losses=np.array([1.0, 2.0]))])
    plain = json.loads(run.model_dump_json())
    for name in ("token_loss", "token_before"):
        del plain["batches"][0][name]
    del plain["holdout_tokens"]
    (tmp_path / "old.json").write_text(json.dumps(plain))
    assert read_recording(tmp_path / "old.json").model_dump_json() == run.model_dump_json()
    check_recording(run)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pretrained": {"a": np.nan}}, "pretrained loss of a: it is nan; leave it out"),
        ({"dropout": np.inf}, "dropout = inf: give a share from 0 to 1"),
    ],
)
def test_numbers_that_are_not_finite_are_refused_by_name(values, said):
    with pytest.raises(InputError, match=said):
        check_recording(Recording(samples=4, **values))
