"""Groups stay in one part in every command, and splits of the data are used as what they are."""

import numpy as np
import pytest

from suffice import InputError
from suffice.configuration import AnalyzeConfig, ForecastConfig, StudyConfig
from suffice.data import groups_of
from suffice.forecasting import measure_head
from suffice.forecasting.doubts import Copies, kept_together
from suffice.forecasting.levels.folds import fold_of
from suffice.runs.analyze import analyze
from suffice.runs.forecast import forecast, prepare
from suffice.runs.watch import SILENT
from suffice.studies import StudySamples
from suffice.training.order import between_groups, together

DRAW = np.random.default_rng(0)


def write_table(folder, rows=120, groups=12, splits=None):
    lines = ["text,label,patient" + (",split" if splits else "")]
    for row in range(rows):
        word = ("good", "bad")[row % 2]
        split = f",{splits[row % len(splits)]}" if splits else ""
        lines.append(f"{word} film number {row},{word},{row % groups}{split}")
    file = folder / "table.csv"
    file.write_text("\n".join(lines))
    return str(file)


def write_images(folder, splits=("train", "train", "train", "test")):
    from PIL import Image  # noqa: PLC0415

    for row in range(80):
        name = ("cat", "dog")[row % 2]
        path = folder / splits[row // 2 % len(splits)] / name
        path.mkdir(parents=True, exist_ok=True)
        pixels = DRAW.integers(100 * (row % 2), 100 * (row % 2) + 120, size=(8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{row}.png")
    return str(folder)


def test_groups_and_copies_that_are_linked_stay_together():
    copies = Copies(np.array([0, 1, 2, 3, 0, 4]))
    groups = np.array([0, 1, 1, 2, 3, 3])
    parts = kept_together(copies, groups)
    assert len(np.unique(parts)) == 3
    assert parts[0] == parts[4] == parts[5]  # a copy links the groups 0 and 3
    assert parts[1] == parts[2]
    assert kept_together(None, None) is None
    assert kept_together(copies, None).tolist() == copies.groups.tolist()
    assert kept_together(None, groups).tolist() == groups.tolist()


def test_no_fold_of_a_head_divides_a_group():
    features = np.hstack([DRAW.normal(size=(60, 4)), np.ones((60, 1))])
    labels, groups = np.arange(60) % 2, np.arange(60) // 5
    evidence = measure_head(features, labels, 0.1, groups=groups)
    folds = fold_of(labels, 10, 0, evidence.groups)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(12))
    assert evidence.samples == 60
    alone = measure_head(features, labels, 0.1)
    assert not np.allclose(evidence.folds.outputs, alone.folds.outputs)
    assert np.allclose(evidence.own.outputs, alone.own.outputs)


def test_the_noise_of_a_level_counts_groups():
    """Samples of a group that are nearly copies tell little more than one of them."""
    base = DRAW.normal(size=(20, 3))
    features = np.hstack([np.repeat(base, 6, 0) + 1e-6 * DRAW.normal(size=(120, 3)), np.ones((120, 1))])
    labels = np.repeat((base[:, 0] + DRAW.normal(size=20) > 0).astype(np.int64), 6)
    groups = np.repeat(np.arange(20), 6)
    grouped, alone = measure_head(features, labels, 0.1, groups=groups), measure_head(features, labels, 0.1)
    assert grouped.level_noise > 1.5 * alone.level_noise
    assert grouped.unseen_loss > alone.unseen_loss


def test_order_in_whole_groups():
    groups = DRAW.integers(0, 6, size=40)
    order = together(groups)
    assert sorted(order.tolist()) == list(range(40))
    changes = int((np.diff(groups[order]) != 0).sum())
    assert changes == len(np.unique(groups)) - 1
    for size in range(41):
        cut = between_groups(groups[order], size)
        assert not set(groups[order][:cut]) & set(groups[order][cut:])
        assert cut >= size


def test_parts_of_a_study_are_of_whole_groups(tmp_path):
    config = StudyConfig(
        model="builtin:tiny-vit", data=write_table(tmp_path), group_column="patient", sizes=[20, 40], seeds=2
    )
    samples = StudySamples(config)
    groups = groups_of(samples.samples)
    parts = [set(groups[rows].tolist()) for rows in vars(samples.tasks["all"].parts).values()]
    assert all(parts)
    assert not (parts[0] & parts[1])
    assert not (parts[0] & parts[2])
    assert not (parts[1] & parts[2])
    order = groups[samples.order("all", 0)]
    assert (np.diff(order) != 0).sum() == len(np.unique(order)) - 1


def test_a_study_tests_on_the_test_split(tmp_path):
    splits = ("train",) * 6 + ("val", "val", "test", "test")
    samples = StudySamples(
        StudyConfig(model="builtin:tiny-vit", data=write_table(tmp_path, splits=splits), sizes=[20], seeds=1)
    )
    parts = samples.tasks["all"].parts
    assert [len(rows) for rows in (parts.pool, parts.validation, parts.test)] == [72, 24, 24]
    named = [samples.samples.describe(int(row)) for row in parts.test]
    lines = [int(name.split()[1]) - 2 for name in named]
    assert all(line % 10 in (8, 9) for line in lines)


def test_a_forecast_tests_on_the_test_split_and_says_so(tmp_path):
    said = []

    class Listener:
        progress = SILENT.progress

        def say(self, sentence):
            said.append(sentence)

    config = ForecastConfig(model="builtin:tiny-vit", data=write_images(tmp_path / "data"), image_size=8, l2=0.1)
    task, _ = prepare(config, tmp_path / "run", Listener())
    assert (len(task.parts.pool), len(task.parts.test)) == (60, 20)
    assert any("test loss is that of the split 'test'" in sentence for sentence in said)
    assert any("60 images of 2 classes" in sentence for sentence in said)
    assert forecast(config, tmp_path / "run").test_samples == 20


def test_an_analysis_holds_out_the_test_split(tmp_path):
    config = AnalyzeConfig(
        model="builtin:tiny-vit", data=write_images(tmp_path / "data"), image_size=8, method="head", epochs=1, probes=2
    )
    result = analyze(config, tmp_path / "run")
    assert (result.problem.samples, result.problem.held_out_samples) == (60, 20)
    assert any("own split" in note for note in result.problem.notes)


def test_too_few_groups_for_folds_are_refused():
    with pytest.raises(InputError, match="groups or copies of 4, and 5 folds are needed"):
        fold_of(np.arange(40) % 2, 5, 0, np.arange(40) // 10)
