"""A real run of Lightning's Trainer with the callback, which goes on from a checkpoint."""

import numpy as np
import pytest
import torch
from language_runs import HELD, SAMPLES, drawn, losses_of, model, together
from torch.utils.data import DataLoader

from suffice import InputError
from suffice.results import read_recording

lightning = pytest.importorskip("pytorch_lightning", reason='needs pip install "suffice[lightning]"')

from suffice.integrations.lightning import LearningCurveCallback  # noqa: E402


class Module(lightning.LightningModule):
    def __init__(self, stop=None):
        super().__init__()
        self.language, self.stop = model(), stop

    def training_step(self, batch, index):
        if self.trainer.global_step == self.stop:
            raise KeyboardInterrupt
        return self.language(**batch).loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.language.parameters(), 1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 if step >= 4 else 1.0)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class Resumable(DataLoader):
    skipped = done = 0

    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state):
        self.skipped = state["done"]

    def __iter__(self):
        skipped, self.skipped = self.skipped, 0
        for number, batch in enumerate(super().__iter__(), 1):
            self.done = number
            if number > skipped:
                yield batch


def train(
    folder, callback, stop=None, resume=None, module=None, accumulate=2, loader=Resumable, batch_size=2, **settings
):
    loader = loader(drawn(SAMPLES, 0), batch_size=batch_size, shuffle=False, collate_fn=together)
    keep = lightning.callbacks.ModelCheckpoint(
        folder, save_last=True, every_n_train_steps=2, save_top_k=-1, filename="{step}"
    )
    trainer = lightning.Trainer(
        default_root_dir=folder, max_epochs=1, accelerator="cpu", accumulate_grad_batches=accumulate, logger=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[callback, keep], **settings,
    )  # fmt: skip
    module = module or Module(stop)
    trainer.fit(module, loader, ckpt_path=resume)
    return module


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(folder, LearningCurveCallback(holdout=drawn(HELD, 1))), read_recording(folder / "learning_curve.json")


def test_a_run_is_recorded_as_by_the_callback_of_transformers(whole):
    module, found = whole
    assert found.samples == SAMPLES
    assert [(batch.step, batch.seen, batch.samples) for batch in found.batches] == [(n + 1, 4 * n, 4) for n in range(6)]
    assert [batch.rate for batch in found.batches] == pytest.approx([1e-2] * 4 + [5e-3] * 2)
    assert [at.seen for at in found.holdouts] == [0, 4, 8, 12, 24]
    assert found.batches[0].loss == pytest.approx(found.batches[0].before, rel=1e-5)
    np.testing.assert_allclose(found.holdouts[0].losses, losses_of(model(), drawn(HELD, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.holdouts[-1].losses, losses_of(module.language, drawn(HELD, 1)), rtol=1e-5)
    before = losses_of(model(), drawn(SAMPLES, 0))
    np.testing.assert_allclose([b.before for b in found.batches], np.reshape(before, (6, 4)).mean(1), rtol=1e-5)
    assert [batch.tokens for batch in found.batches] == [
        sum(len(sample["input_ids"]) - 2 for sample in drawn(SAMPLES, 0)[4 * n : 4 * n + 4]) for n in range(6)
    ]


def test_a_run_that_was_interrupted_goes_on_in_its_recording(whole, tmp_path):
    callback = LearningCurveCallback(holdout=drawn(HELD, 1))
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, callback, stop=3)
    train(tmp_path, callback, resume=tmp_path / "step=2.ckpt")
    found, expected = read_recording(tmp_path / "learning_curve.json"), whole[1]
    assert [(batch.step, batch.seen) for batch in found.batches] == [(b.step, b.seen) for b in expected.batches]
    np.testing.assert_allclose([b.loss for b in found.batches], [b.loss for b in expected.batches], rtol=1e-5)
    np.testing.assert_allclose([b.before for b in found.batches], [b.before for b in expected.batches], rtol=1e-6)
    for one, other in zip(found.holdouts, expected.holdouts, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)


def test_a_run_that_goes_on_with_samples_that_it_had_is_refused(tmp_path):
    callback = LearningCurveCallback(baseline=False)
    train(tmp_path, callback, loader=DataLoader)
    with pytest.raises(InputError, match="goes on after 4 batches of an epoch, and its loader begins anew"):
        train(tmp_path, callback, resume=tmp_path / "step=2.ckpt", loader=DataLoader)


def test_the_last_update_of_an_epoch_may_have_fewer_batches_and_precision_may_be_mixed(tmp_path):
    module = train(tmp_path, LearningCurveCallback(holdout=drawn(HELD, 1)), accumulate=5, precision="bf16-mixed")
    found = read_recording(tmp_path / "learning_curve.json")
    assert [(batch.seen, batch.samples) for batch in found.batches] == [(0, 10), (10, 10), (20, 4)]
    assert found.batches[0].loss == pytest.approx(found.batches[0].before, rel=1e-6)  # in the same precision
    np.testing.assert_allclose(found.holdouts[-1].losses, losses_of(module.language, drawn(HELD, 1)), rtol=2e-2)


class Manual(Module):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


class Without(Module):
    def __init__(self):
        super().__init__()
        self.other = model()


@pytest.mark.parametrize(
    ("module", "message"), [(Manual, "takes one optimiser"), (Without, "the module has 2 models of Hugging Face")]
)
def test_what_cannot_be_recorded_is_refused_before_anything_is_measured(tmp_path, module, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path, LearningCurveCallback(), module=module(), accumulate=1)
    assert not (tmp_path / "learning_curve.json").exists()
