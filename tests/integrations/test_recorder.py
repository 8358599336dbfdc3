"""A recorder in a loop: what it writes, when a hold-out is due, and how it goes on."""

import json

import numpy as np
import pytest
import torch

from suffice import InputError
from suffice.errors import InputWarning
from suffice.integrations import Recorder, sample_losses
from suffice.results import is_recording, read_recording


def run(recorder, steps, start=0):
    for step in range(start, steps):
        recorder.batch(np.full(5, 3.0 - step), tokens=50, rate=0.1, before=np.full(5, 4.0))
        if recorder.is_due:
            recorder.holdout(np.arange(3.0) - step)
    recorder.save()


def test_what_is_recorded(tmp_path):
    run(Recorder(tmp_path / "new" / "run.json", samples=40), 8)
    found = read_recording(tmp_path / "new" / "run.json")
    assert [batch.seen for batch in found.batches] == list(range(0, 40, 5))
    assert [batch.loss for batch in found.batches] == [3.0 - step for step in range(8)]
    assert (found.batches[3].step, found.batches[3].before, found.batches[3].tokens) == (4, 4.0, 50)
    assert [at.seen for at in found.holdouts] == [5, 10, 20, 40]
    assert found.holdouts[1].losses.tolist() == [-1.0, 0.0, 1.0]
    assert is_recording(tmp_path / "new" / "run.json")
    assert not is_recording(tmp_path)


def test_tokens_of_each_sample_give_the_losses_of_tokens(tmp_path):
    recorder = Recorder(tmp_path / "run.json", samples=4)
    recorder.batch([1.0, 3.0], tokens=[1, 3], before=np.array([2.0, 4.0]))
    recorder.holdout([1.0, 2.0, 3.0], tokens=torch.tensor([5, 6, 7]))
    recorder.batch([1.0, 3.0], tokens=np.array([1, 1]))
    recorder.holdout([1.0, 2.0, 3.0])
    found = read_recording(tmp_path / "run.json")
    first, second = found.batches
    assert (first.tokens, first.loss, first.token_loss, first.token_before) == (4, 2.0, 2.5, 3.5)
    assert (second.tokens, second.token_loss, second.token_before) == (2, 2.0, None)
    assert found.holdout_tokens == [5, 6, 7]
    assert Recorder(tmp_path / "run.json", samples=4, resume=1).recording.holdout_tokens == [5, 6, 7]
    for tokens in ([1], [0, 3]):
        with pytest.raises(InputError, match="tokens: give a number of at least 1 for each of the 2 samples"):
            recorder.batch([1.0, 3.0], tokens=tokens)


@pytest.mark.parametrize("tokens", [57, 57.0, np.int64(57), np.array(57), torch.tensor(57), torch.tensor(57.0)])
def test_tokens_of_all_samples_together_are_a_number_of_any_kind(tmp_path, tokens):
    recorder = Recorder(tmp_path / "run.json", samples=4)
    recorder.batch([1.0, 3.0], tokens=tokens, samples=3)
    recorder.save()
    (batch,) = read_recording(tmp_path / "run.json").batches
    assert (batch.tokens, batch.token_loss, batch.samples) == (57, None, 3)
    with pytest.raises(InputError, match=r"tokens: give a number for each of the 2 samples of the hold-out"):
        recorder.holdout([1.0, 2.0], tokens=tokens)


def test_half_a_token_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"tokens = 0\.5: give a whole number"):
        Recorder(tmp_path / "run.json", samples=4).batch([1.0], tokens=torch.tensor(0.5))


@pytest.mark.filterwarnings("ignore:the loss of batch")
def test_what_is_not_finite_is_not_stored(tmp_path):
    recorder = Recorder(tmp_path / "run.json", samples=4)
    recorder.pretrained = {"a": 1.5, "b": float("nan"), "c": float("inf")}
    recorder.batch([1.0, 3.0], rate=float("nan"), before=[1.5, 2.0])
    recorder.batch([1.0, 3.0], before=[1.5, float("nan")])
    recorder.save()
    found = read_recording(tmp_path / "run.json")
    assert found.pretrained == recorder.pretrained == {"a": 1.5}
    assert [batch.rate for batch in found.batches] == [None]
    assert found.skipped == [2]
    with pytest.raises(InputError, match="dropout = nan: give a share from 0 to 1"):
        Recorder(tmp_path / "run.json", samples=4, dropout=float("nan"))


def test_a_run_that_goes_on_from_a_checkpoint_is_one_that_was_not_interrupted(tmp_path):
    run(Recorder(tmp_path / "whole.json", samples=40), 8)
    run(Recorder(tmp_path / "parts.json", samples=40), 6)  # two updates after the checkpoint are lost
    run(Recorder(tmp_path / "parts.json", samples=40, resume=4), 8, start=4)
    assert (tmp_path / "whole.json").read_bytes() == (tmp_path / "parts.json").read_bytes()


def test_what_cannot_go_on(tmp_path):
    with pytest.raises(InputError, match=r"run.json: cannot be read"):
        Recorder(tmp_path / "run.json", samples=40, resume=4)
    run(Recorder(tmp_path / "run.json", samples=40), 3)
    with pytest.raises(InputError, match="holds 3 of the 4 updates before"):
        Recorder(tmp_path / "run.json", samples=40, resume=4)
    with pytest.raises(InputError, match="of a run on 40 samples, and now there are 50"):
        Recorder(tmp_path / "run.json", samples=50, resume=2)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="no recording of this version"):
        Recorder(tmp_path / "run.json", samples=40, resume=2)


def test_a_loss_that_is_not_finite_is_named_and_left_out(tmp_path):
    recorder = Recorder(tmp_path / "run.json", samples=40)
    recorder.batch([1.0, 2.0])
    with pytest.warns(InputWarning, match="the loss of batch 2 is not finite"):
        recorder.batch(torch.tensor([1.0, float("nan")]))
    recorder.batch([1.0, 2.0])
    recorder.save()
    found = read_recording(tmp_path / "run.json")
    assert ([batch.seen for batch in found.batches], found.skipped) == ([0, 4], [2])
    assert len(Recorder(tmp_path / "run.json", samples=40, resume=3).recording.batches) == 2


def test_numbers_that_are_none(tmp_path):
    recorder = Recorder(tmp_path / "run.json", samples=40)
    with pytest.raises(InputError, match="losses: give one number for each sample"):
        recorder.batch(torch.ones(2, 2))
    with pytest.raises(InputError, match="2 losses and 3 of the pretrained model"):
        recorder.batch([1.0, 2.0], before=[1.0, 2.0, 3.0])
    recorder.batch([1.0, 2.0])
    recorder.holdout([1.0, 2.0])
    with pytest.raises(InputError, match="3 losses of the hold-out, where there were 2"):
        recorder.holdout([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="samples = 0"):
        Recorder(tmp_path / "run.json", samples=0)


def test_losses_of_samples_by_hand():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 5), torch.tensor([[-100, 1, 2, -100], [3, 4, -100, 0]])
    scores = logits.double() - logits.double().exp().sum(-1, keepdim=True).log()
    expected = [-(scores[0, 0, 1] + scores[0, 1, 2]) / 2, -(scores[1, 0, 4] + scores[1, 2, 0]) / 2]
    torch.testing.assert_close(sample_losses(logits, labels), torch.stack(expected), rtol=1e-6, atol=0)


def skipping(recorder, steps, start=0):
    """Updates with losses of a few samples each, of which the second and third are not finite."""
    for step in range(start, steps):
        recorder.batch(np.full(4 + step, np.nan if step in (1, 2) else 2.0))
        recorder.holdout(np.arange(3.0) + step)
    recorder.save()


@pytest.mark.filterwarnings("ignore:the loss of batch")
@pytest.mark.parametrize("after", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("reached", [0, 1])
def test_a_run_goes_on_after_updates_that_were_left_out(tmp_path, after, reached):
    skipping(Recorder(tmp_path / "whole.json", samples=40), 6)
    skipping(Recorder(tmp_path / "parts.json", samples=40), after + reached)
    skipping(Recorder(tmp_path / "parts.json", samples=40, resume=after), 6, start=after)
    found = read_recording(tmp_path / "parts.json")
    assert (found.skipped, found.skipped_samples) == ([2, 3], [5, 6])
    assert [at.seen for at in found.holdouts] == [4, 9, 15, 22, 30, 39]
    assert (tmp_path / "whole.json").read_bytes() == (tmp_path / "parts.json").read_bytes()


@pytest.mark.filterwarnings("ignore:the loss of batch")
def test_a_recording_that_does_not_say_how_many_samples_were_left_out_goes_on_where_that_follows(tmp_path):
    file = tmp_path / "old.json"
    skipping(Recorder(file, samples=40), 4)
    whole = read_recording(file)
    file.write_text(whole.model_copy(update={"skipped_samples": []}).model_dump_json())
    for after, seen in ((1, 4), (3, 15), (4, 22)):
        assert Recorder(file, samples=40, resume=after).reached == (seen, seen)
    with pytest.raises(InputError, match=r"old.json: the loss of update 2 was not finite, and an earlier version"):
        Recorder(file, samples=40, resume=2)
    going_on = Recorder(file, samples=40, resume=4)
    skipping(going_on, 6, start=4)
    assert [batch.seen for batch in going_on.recording.batches] == [0, 15, 22, 30]


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9, 0.999])
def test_one_flipped_bit_of_a_recording_is_noticed(tmp_path, place):
    file = tmp_path / "run.json"
    run(Recorder(file, samples=40), 8)
    held = bytearray(file.read_bytes())
    held[int(place * len(held))] ^= 1
    file.write_bytes(held)
    with pytest.raises(InputError, match=r"run\.json( is damaged, or was edited|: no recording of this version)"):
        read_recording(file)


def test_an_edited_recording_is_refused_and_one_without_a_checksum_is_read(tmp_path):
    file = tmp_path / "run.json"
    run(Recorder(file, samples=40), 8)
    content = json.loads(file.read_bytes())
    content["batches"][3]["loss"] += 1
    for indent in (None, 2):
        file.write_text(json.dumps(content, indent=indent) + "\n")
        with pytest.raises(InputError, match=r"run\.json is damaged, or was edited \(its checksum does not match\)"):
            read_recording(file)
    del content["checksum"]
    file.write_text(json.dumps(content))
    assert read_recording(file).batches[3].loss == content["batches"][3]["loss"]
