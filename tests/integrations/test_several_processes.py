"""A training in two processes of torchrun: each measures its share, and the recording is that of one process."""

import sys
from pathlib import Path

import numpy as np
import pytest
from launched import launched

from suffice.results import read_recording

SAMPLES, HELD = 24, 5


def of_transformers(folder, batch_size):
    from language_runs import drawn  # noqa: PLC0415 - in each process
    from test_transformers import train  # noqa: PLC0415

    from suffice.integrations.transformers import LearningCurveCallback  # noqa: PLC0415

    callback = LearningCurveCallback(holdout=drawn(HELD, 1), report_every=1e9)
    backend = {"ddp_backend": "gloo"} if batch_size == 2 else {}
    train(folder, callback, per_device_train_batch_size=batch_size, **backend)


def of_lightning(folder, batch_size):
    from language_runs import drawn  # noqa: PLC0415
    from test_lightning import train  # noqa: PLC0415
    from torch.utils.data import DataLoader  # noqa: PLC0415

    from suffice.integrations.lightning import LearningCurveCallback  # noqa: PLC0415

    devices = 4 // batch_size
    callback = LearningCurveCallback(holdout=drawn(HELD, 1), report_every=1e9)
    settings = {"strategy": "ddp", "devices": devices} if devices > 1 else {}
    train(folder, callback, loader=DataLoader, batch_size=batch_size, **settings)


TRAINERS = {"transformers": of_transformers, "lightning": of_lightning}


@pytest.mark.deep
@pytest.mark.parametrize("trainer", TRAINERS)
def test_two_processes_record_what_one_does(trainer, tmp_path):
    if trainer == "lightning":
        pytest.importorskip("pytorch_lightning", reason='needs pip install "suffice[lightning]"')
    for status, _, errors in launched(2, __file__, trainer, tmp_path / "two", seconds=300):
        assert status == 0, errors
    TRAINERS[trainer](tmp_path / "one", 4)
    found, expected = (read_recording(tmp_path / name / "learning_curve.json") for name in ("two", "one"))
    assert [(b.step, b.seen, b.samples) for b in found.batches] == [(n + 1, 8 * n, 8) for n in range(3)]
    assert sum(b.tokens for b in found.batches) == sum(b.tokens for b in expected.batches)
    assert found.pretrained == pytest.approx(expected.pretrained, rel=1e-5)
    assert len(found.pretrained) == SAMPLES
    before, known = [b.before for b in found.batches], list(found.pretrained.values())
    assert np.mean(before) == pytest.approx(np.mean(known), rel=1e-9)  # each sample is in one batch
    assert found.batches[0].loss == pytest.approx(before[0], rel=1e-5)
    assert [at.seen for at in found.holdouts] == [at.seen for at in expected.holdouts] == [0, 8, 16, 24]
    np.testing.assert_allclose(found.holdouts[0].losses, expected.holdouts[0].losses, rtol=1e-5)  # in one order
    if trainer == "transformers":  # Lightning draws another order, and averages over the tokens of each process
        np.testing.assert_allclose(before, [b.before for b in expected.batches], rtol=1e-5)
        np.testing.assert_allclose([b.loss for b in found.batches], [b.loss for b in expected.batches], rtol=1e-4)
        np.testing.assert_allclose(found.holdouts[-1].losses, expected.holdouts[-1].losses, rtol=1e-3)
    assert (tmp_path / "two" / "learning_curve.html").exists()


if __name__ == "__main__":
    TRAINERS[sys.argv[1]](Path(sys.argv[2]), 2)
