"""A real run of TRL's SFTTrainer with the callback; its fused head gives log-probabilities in place of logits."""

import numpy as np
import pytest
from datasets import Dataset

from suffice import InputError
from suffice.integrations.transformers import LearningCurveCallback
from suffice.models.language import load_language_model
from suffice.results import read_recording

trl = pytest.importorskip("trl", reason="TRL is not installed")

SAMPLES, HELD = 24, 6


def sums(count, first):
    pairs = [(first + n, 3 * n + 1) for n in range(count)]
    return Dataset.from_list(
        [{"prompt": f"What is {a} + {b}?", "completion": f" {a} + {b} = {a + b}", "source": "made"} for a, b in pairs]
    )


def trainer_of(folder, **settings):
    language = load_language_model("builtin:tiny-lm")
    arguments = trl.SFTConfig(
        str(folder), num_train_epochs=1, per_device_train_batch_size=2, gradient_accumulation_steps=2, use_cpu=True,
        learning_rate=1e-3, lr_scheduler_type="constant", report_to=[], bf16=False, disable_tqdm=True, **settings,
    )  # fmt: skip
    return trl.SFTTrainer(
        language.model, arguments, train_dataset=sums(SAMPLES, 10), eval_dataset=sums(HELD, 50),
        processing_class=language.encoding.tokenizer,
    )  # fmt: skip


def test_a_run_of_the_trainer_is_recorded(tmp_path):
    trainer = trainer_of(tmp_path)
    trainer.add_callback(LearningCurveCallback(holdout=trainer.eval_dataset))
    trainer.train()
    found = read_recording(tmp_path / "learning_curve.json")
    assert [(batch.seen, batch.samples) for batch in found.batches] == [(4 * n, 4) for n in range(6)]
    assert [at.seen for at in found.holdouts] == [0, 4, 8, 12, 24]
    assert found.batches[0].loss == pytest.approx(found.batches[0].before, rel=1e-5)  # one fused, one from logits
    assert len(found.pretrained) == SAMPLES
    assert np.mean([b.before for b in found.batches]) == pytest.approx(np.mean(list(found.pretrained.values())))
    assert found.holdouts[-1].losses.mean() < found.holdouts[0].losses.mean()


def test_packed_examples_are_refused(tmp_path):
    trainer = trainer_of(tmp_path, padding_free=True, max_length=None)
    trainer.add_callback(LearningCurveCallback(baseline=False))
    with pytest.raises(InputError, match="several examples share a row, as with packing and padding_free"):
        trainer.train()
