"""A real run of Trainer with the callback, which goes on from a checkpoint."""

import json

import numpy as np
import pytest
from language_runs import HELD, SAMPLES, drawn, losses_of, model, together
from transformers import Trainer, TrainingArguments

from suffice import InputError
from suffice.integrations.samples import names_of
from suffice.integrations.transformers import LearningCurveCallback
from suffice.results import read_recording


def train(folder, callback, resume=None, stop=None, **settings):
    arguments = TrainingArguments(
        output_dir=str(folder), num_train_epochs=1, per_device_train_batch_size=2, gradient_accumulation_steps=2,
        learning_rate=1e-2, lr_scheduler_type="constant", save_steps=2, report_to=[], use_cpu=True, seed=3,
        disable_tqdm=True, logging_steps=1, **settings,
    )  # fmt: skip
    trainer = Trainer(model(), arguments, train_dataset=drawn(SAMPLES, 0), data_collator=together, callbacks=[callback])
    if stop is not None:
        step = trainer.training_step

        def interrupted(*given, **named):
            if trainer.state.global_step == stop:
                raise KeyboardInterrupt
            return step(*given, **named)

        trainer.training_step = interrupted
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    trainer = train(folder, LearningCurveCallback(holdout=drawn(HELD, 1)))
    return trainer, read_recording(folder / "learning_curve.json")


def test_a_run_is_recorded(whole):
    trainer, found = whole
    assert found.samples == SAMPLES
    assert [(batch.step, batch.seen, batch.samples) for batch in found.batches] == [(n + 1, 4 * n, 4) for n in range(6)]
    assert all(batch.rate == pytest.approx(1e-2) for batch in found.batches)
    assert [at.seen for at in found.holdouts] == [0, 4, 8, 12, 24]
    assert found.dropout == 0
    np.testing.assert_allclose(found.holdouts[0].losses, losses_of(model(), drawn(HELD, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.holdouts[-1].losses, losses_of(trainer.model, drawn(HELD, 1)), rtol=1e-5)


def test_losses_before_each_update_and_those_of_the_pretrained_model(whole):
    trainer, found = whole
    # before the first update the model is the pretrained one
    assert found.batches[0].loss == pytest.approx(found.batches[0].before, rel=1e-5)
    assert all(abs(batch.loss - batch.before) > 1e-3 for batch in found.batches[1:])
    own = dict(zip((names_of(together([sample]))[0] for sample in drawn(SAMPLES, 0)),
                   losses_of(model(), drawn(SAMPLES, 0)), strict=True))  # fmt: skip
    assert found.pretrained.keys() == own.keys()
    assert all(found.pretrained[name] == pytest.approx(own[name], rel=1e-5) for name in own)
    assert sum(batch.tokens for batch in found.batches) == sum(len(s["input_ids"]) - 2 for s in drawn(SAMPLES, 0))
    assert np.mean([batch.before for batch in found.batches]) == pytest.approx(np.mean(list(own.values())), rel=1e-6)
    first = next(row["loss"] for row in trainer.state.log_history if "loss" in row)
    assert found.batches[0].loss == pytest.approx(first, rel=0.1)  # of tokens there, of samples here


def test_a_run_that_was_interrupted_goes_on_in_its_recording(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, LearningCurveCallback(holdout=drawn(HELD, 1)), stop=3)
    assert len(read_recording(tmp_path / "learning_curve.json").batches) == 3  # and the checkpoint is of two updates
    train(tmp_path, LearningCurveCallback(holdout=drawn(HELD, 1)), resume=True)
    found, expected = read_recording(tmp_path / "learning_curve.json"), whole[1]
    assert [batch.seen for batch in found.batches] == [batch.seen for batch in expected.batches]
    np.testing.assert_allclose([b.loss for b in found.batches], [b.loss for b in expected.batches], rtol=1e-5)
    np.testing.assert_allclose([b.before for b in found.batches], [b.before for b in expected.batches], rtol=1e-6)
    for one, other in zip(found.holdouts, expected.holdouts, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)


def test_without_the_pretrained_model(tmp_path):
    train(tmp_path, LearningCurveCallback(tmp_path / "curve.json", baseline=False))
    found = read_recording(tmp_path / "curve.json")
    assert (found.pretrained, found.holdouts, {batch.before for batch in found.batches}) == ({}, [], {None})
    assert json.loads((tmp_path / "curve.json").read_text())["format"] == "suffice recording"


def test_labels_that_the_model_does_not_see(tmp_path):
    with pytest.raises(InputError, match="label smoothing hides the losses"):
        train(tmp_path, LearningCurveCallback(baseline=False), label_smoothing_factor=0.1)
