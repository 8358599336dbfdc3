"""A real run of Trainer with the callback, which goes on from a checkpoint."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from language_runs import HELD, SAMPLES, drawn, losses_of, model, together
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from suffice import InputError
from suffice.errors import InputWarning
from suffice.integrations.listener import Listener
from suffice.integrations.samples import losses_given, names_of
from suffice.integrations.transformers import LearningCurveCallback
from suffice.results import read_recording


def train(folder, *callbacks, resume=None, stop=None, attention_dropout=0.0, samples=None, **settings):
    asked = {
        "output_dir": str(folder), "num_train_epochs": 1, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2, "learning_rate": 1e-2, "lr_scheduler_type": "constant", "save_steps": 2,
        "report_to": [], "use_cpu": True, "seed": 3, "disable_tqdm": True, "logging_steps": 1,
    }  # fmt: skip
    arguments = TrainingArguments(**asked | settings)
    trainer = Trainer(
        model(attention_dropout=attention_dropout), arguments, train_dataset=samples or drawn(SAMPLES, 0),
        eval_dataset=drawn(HELD, 1), data_collator=together, callbacks=list(callbacks),
    )  # fmt: skip
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


def test_mixed_precision_is_that_of_the_pretrained_losses(tmp_path):
    train(tmp_path, LearningCurveCallback(holdout=drawn(HELD, 1)), bf16=True)
    found = read_recording(tmp_path / "learning_curve.json")
    assert found.batches[0].loss == pytest.approx(found.batches[0].before, rel=1e-6)
    exact = losses_of(model(), drawn(HELD, 1))
    np.testing.assert_allclose(found.holdouts[0].losses, exact, rtol=2e-2)
    assert abs(found.holdouts[0].losses - exact).max() > 1e-6  # rounded to bfloat16 on the way


def test_a_live_report_is_beside_the_recording(tmp_path):
    train(tmp_path, LearningCurveCallback(holdout=drawn(HELD, 1), report_every=1e9, gain=0.1))
    page = (tmp_path / "learning_curve.html").read_text()
    assert "Cannot tell yet what more samples bring" in page or "Measured: more samples stopped paying" in page


def test_the_callback_leaves_the_training_as_it_is(tmp_path):
    with_it = train(tmp_path / "with", LearningCurveCallback(holdout=drawn(HELD, 1)), attention_dropout=0.5)
    without = train(tmp_path / "without", attention_dropout=0.5)
    for one, other in zip(with_it.model.parameters(), without.model.parameters(), strict=True):
        assert one.equal(other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_liger_kernel": True}, "Liger's fused loss gives no logits"),
        ({"fsdp": "full_shard"}, "weights are split over processes"),
        ({"_n_gpu": 2}, r"copy the model to 2 GPUs of one process: start .*\(torchrun --nproc-per-node 2 \.\.\.\), or"),
        ({"ignore_data_skip": True}, "goes on with samples that were trained on"),
    ],
)
def test_settings_that_hide_losses_are_refused_before_anything_is_measured(settings, message):
    arguments = TrainingArguments("unused", use_cpu=True)
    for name, value in settings.items():  # set later, as they need a GPU or other packages
        setattr(arguments, name, value)
    with pytest.raises(InputError, match=message):
        LearningCurveCallback().on_train_begin(arguments, TrainerState(global_step=2), TrainerControl())


class Last(TrainerCallback):
    """Measures what the callback has to, at each update."""

    def on_step_end(self, args, state, control, model=None, **others):
        self.losses = losses_of(model, drawn(HELD, 1))
        model.train()


@pytest.mark.parametrize(("patience", "seen"), [(None, 24), (1, 16)])
def test_the_last_hold_out_is_of_the_last_weights_and_not_of_the_best(tmp_path, patience, seen):
    last = Last()
    callbacks = [LearningCurveCallback(holdout=drawn(HELD, 1)), last]
    trainer = train(
        tmp_path, *callbacks, *([] if patience is None else [EarlyStoppingCallback(patience)]), eval_strategy="steps",
        eval_steps=2, load_best_model_at_end=True, greater_is_better=True, metric_for_best_model="eval_loss",
    )  # fmt: skip
    found = read_recording(tmp_path / "learning_curve.json").holdouts[-1]
    assert found.seen == seen
    np.testing.assert_allclose(found.losses, last.losses, rtol=1e-5)
    assert abs(found.losses - losses_of(trainer.model, drawn(HELD, 1))).max() > 1e-2  # of the first checkpoint


UNLABELLED = {"input_ids": [2, 3, 4, 5], "labels": [-100] * 4}


@pytest.mark.filterwarnings("ignore:the loss of batch")
def test_a_training_sample_without_a_label_leaves_a_recording_that_is_read(tmp_path):
    train(tmp_path, LearningCurveCallback(holdout=drawn(HELD, 1)), samples=[*drawn(SAMPLES - 1, 0), UNLABELLED])
    found = read_recording(tmp_path / "learning_curve.json")
    assert len(found.pretrained) == SAMPLES - 1
    assert len(found.skipped) == 1
    assert all(batch.before is not None for batch in found.batches)


def test_a_hold_out_that_cannot_be_measured_is_refused_before_anything_is(tmp_path):
    with pytest.raises(InputError, match=r"holdout\[3\] has no label"):
        train(tmp_path, LearningCurveCallback(holdout=[*drawn(3, 1), UNLABELLED]))
    with pytest.raises(InputError, match="two samples at least"):
        train(tmp_path, LearningCurveCallback(holdout=drawn(1, 1)))
    assert not (tmp_path / "learning_curve.json").exists()


def test_a_hold_out_of_another_size_is_refused_before_the_run_goes_on(tmp_path):
    train(tmp_path, LearningCurveCallback(holdout=drawn(HELD, 1)), max_steps=2)
    with pytest.raises(InputError, match="its hold-out has 5 samples, and now there are 4: give the same samples"):
        train(tmp_path, LearningCurveCallback(holdout=drawn(4, 1)), resume=True)


def test_a_hold_out_without_finite_losses_is_left_out_and_the_training_goes_on(tmp_path, monkeypatch):
    measured, looks = Listener._measured, []

    def overflowing(self, dataset, with_names):
        losses, *others = measured(self, dataset, with_names)
        if not with_names:
            looks.append(len(looks))
            losses[3] = np.inf if looks[-1] in (1, 2) else losses[3]
        return losses, *others

    monkeypatch.setattr(Listener, "_measured", overflowing)
    with pytest.warns(InputWarning, match=r"after 4 samples the loss of holdout\[3\] is inf: .* training goes") as said:
        train(tmp_path, LearningCurveCallback(holdout=drawn(HELD, 1)))
    assert len([warning for warning in said if issubclass(warning.category, InputWarning)]) == 1
    found = read_recording(tmp_path / "learning_curve.json")
    assert [at.seen for at in found.holdouts] == [0, 12, 24]
    assert len(found.batches) == 6


def test_a_loss_without_logits_or_labels_is_refused():
    labels = torch.tensor([[-100, 5, 2]])
    with pytest.raises(InputError, match="gives no logits, as with fused losses"):
        losses_given({"labels": labels}, SimpleNamespace(logits=None))
    with pytest.raises(InputError, match="called without labels"):
        losses_given({}, SimpleNamespace(logits=torch.zeros(1, 3, 8)))


def test_several_examples_in_a_row_are_refused_and_padding_is_not():
    outputs = SimpleNamespace(logits=torch.zeros(1, 4, 8))
    labels, packed = torch.tensor([[-100, 5, 2, 3]]), torch.tensor([[0, 1, 0, 1]])
    with pytest.raises(InputError, match="several examples share a row"):
        losses_given({"labels": labels, "position_ids": packed}, outputs)
    padded = {"labels": labels, "position_ids": packed, "attention_mask": torch.tensor([[1, 1, 0, 0]])}
    assert losses_given(padded, outputs).tolist() == pytest.approx([np.log(8)])
    left = torch.tensor([[0, 0, 1, 2]])
    assert losses_given({"labels": labels, "position_ids": left}, outputs).tolist() == pytest.approx([np.log(8)])
