"""``suffice study`` of a language model: the same numbers however it was run, and bad input in one line."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from suffice import InputError
from suffice.cli.main import commands
from suffice.configuration import read_configuration
from suffice.configuration.language import LanguageStudyConfig
from suffice.models.language import load_language_model
from suffice.report.pages import page_of
from suffice.report.pages.settings import command_of
from suffice.results import LanguageCell, read_result
from suffice.runs import language_study as run
from suffice.runs.folder import TABLES
from suffice.runs.language_study import continued, look_at, order_of, steady, study_language

SIZES, SEEDS = [12, 24, 48], [3, 4]
SMALL = {
    "methods": ["full", "lora(2)"],
    "sizes": SIZES,
    "seeds": 2,
    "seed": 3,
    "train_batch_size": 4,
    "warm_up": 1,
    "learning_rate": 3e-3,
    "test_samples": 30,
}


def asked(desk, **settings):
    given = {"model": str(desk / "model"), "data": str(desk / "sums.jsonl"), **SMALL}
    return read_configuration(LanguageStudyConfig, given | settings)


@pytest.fixture(scope="module")
def ran(language_desk, tmp_path_factory):
    """A finished study: its folder and result."""
    out = tmp_path_factory.mktemp("study") / "run"
    return out, study_language(asked(language_desk), out, workers=1)


def without_seconds(result):
    content = json.loads(result.model_dump_json())
    for cell in content["cells"]:
        del cell["seconds"]
    return content


def losses_in(folder):
    """The stored test losses, to the last bit."""
    return {file.name: file.read_bytes() for file in (folder / "cells").glob("*.npy")}


def test_there_is_a_training_for_each_method_seed_and_size(ran):
    out, result = ran
    expected = [(method, seed, size) for method in SMALL["methods"] for seed in SEEDS for size in SIZES]
    assert [(cell.method, cell.seed, cell.size) for cell in result.cells] == expected
    assert {cell.status for cell in result.cells} == {"finished"}
    assert {(cell.size, cell.steps) for cell in result.cells} == {(12, 3), (24, 6), (48, 12)}  # one epoch
    assert result.pool + result.test_samples == 460
    assert result.test_samples == 30
    assert len(losses_in(out)) == len(expected)
    assert all(cell.perplexity == pytest.approx(math.exp(cell.test_loss), rel=1e-4) for cell in result.cells)


def test_what_is_stored_is_the_result_and_the_table_reads_back(ran):
    out, result = ran
    assert read_result(out).model_dump_json() == result.model_dump_json()
    with (out / "cells.csv").open(newline="") as file:
        rows = [{name: text or None for name, text in row.items()} for row in csv.DictReader(file)]
    assert [LanguageCell.model_validate(row) for row in rows] == result.cells
    assert (out / TABLES).exists()


def test_curves_are_means_over_seeds_and_go_on(ran):
    _, result = ran
    for method in result.methods:
        assert method.sizes == SIZES
        for at, size in enumerate(SIZES):
            losses = [cell.test_loss for cell in result.cells if (cell.method, cell.size) == (method.method, size)]
            assert method.loss.mean[at] == pytest.approx(np.mean(losses), rel=1e-4)
            assert method.loss.low[at] < method.loss.mean[at] < method.loss.high[at]
            assert method.perplexity.mean[at] == pytest.approx(math.exp(method.loss.mean[at]), rel=1e-4)
        assert method.last_fall.value == pytest.approx(method.loss.mean[1] - method.loss.mean[2], abs=1e-4)
        assert method.predicted.sizes == [48, 96, 192, 384]
    full = result.methods[0]
    assert full.loss.mean[-1] < result.pretrained_loss  # which knows nothing


def rows_trained(monkeypatch):
    """What each training gets, without training."""
    found = []

    def keep(learner, held, rows, settings, series, batch_size):
        found.append((series.method, series.seed, rows.tolist(), settings))
        about = {"method": series.method, "seed": series.seed, "size": len(rows), "moving_parameters": 1}
        return LanguageCell(**about, status="diverged", steps=settings.steps_run(len(rows))), None

    monkeypatch.setattr(run, "train_language_cell", keep)
    return found


def test_samples_are_nested_in_a_seed_and_shared_by_methods(language_desk, tmp_path, monkeypatch):
    found = rows_trained(monkeypatch)
    study_language(asked(language_desk), tmp_path / "run", workers=1)
    of_seed = {seed: [rows for _, of, rows, _ in found if of == seed] for seed in SEEDS}
    for several in of_seed.values():
        largest = max(several, key=len)
        assert len(set(largest)) == SIZES[-1]
        assert all(rows == largest[: len(rows)] for rows in several)
    assert of_seed[3][0] != of_seed[4][0]


def test_no_sample_is_both_trained_and_tested_on(language_desk):
    work = run._Work(asked(language_desk), Path())
    trained = {
        tuple(work._tokens[row]["input_ids"].tolist()) for order in work.orders.values() for row in order.tolist()
    }
    tested = {tuple(item["input_ids"].tolist()) for item in work._held}
    assert len(tested) == 30
    assert not trained & tested


def test_an_order_is_a_permutation_that_the_seed_decides():
    pool = list(range(100, 160))
    assert sorted(order_of(pool, 0, 1)) == pool
    assert order_of(pool, 0, 1).tolist() == order_of(pool, 0, 1).tolist() != order_of(pool, 0, 2).tolist()


@pytest.mark.parametrize(
    ("settings", "steps", "samples"),
    [({}, 6, 24), ({"epochs": 3}, 18, 72), ({"steps": 5}, 5, 20), ({"steps": 7, "sizes": [24, 25]}, 7, 28)],
)
def test_epochs_and_steps_are_counted(language_desk, tmp_path, monkeypatch, settings, steps, samples):
    found = rows_trained(monkeypatch)
    config = asked(language_desk, **{"methods": ["full"], "seeds": 1, "sizes": [24], **settings})
    result = study_language(config, tmp_path / "run", workers=1)
    assert result.cells[0].steps == steps
    assert found[0][3].samples_run(24) == samples


def test_a_method_may_have_settings_of_its_own(language_desk, tmp_path, monkeypatch):
    found = rows_trained(monkeypatch)
    own = {"lora(2)": {"steps": 9, "learning_rate": 0.01, "schedule": "cosine"}}
    config = asked(language_desk, by_method=own, epochs=2, learning_rate=None, seeds=1)
    study_language(config, tmp_path / "run", workers=1)
    settings = {method: settings for method, _, _, settings in found}
    assert (settings["full"].steps, settings["full"].epochs, settings["full"].learning_rate) == (None, 2, 1e-4)
    lora = settings["lora(2)"]
    assert (lora.steps, lora.learning_rate, lora.schedule) == (9, 0.01, "cosine")


def test_a_training_is_that_of_a_plain_loop(language_desk, tmp_path):
    """AdamW over shuffled batches, the rate by the schedule, and the losses of unseen samples after it."""
    config = asked(
        language_desk, methods=["full"], sizes=[22, 24], seeds=1, epochs=2, schedule="warmup-stable-decay", warm_up=2
    )
    cell = study_language(config, tmp_path / "run", workers=1).cells[0]
    work = run._Work(config, tmp_path)
    language = load_language_model(config.model)
    chosen = work._tokens.subset(work.orders[3][:22].tolist())
    problem = language.problem(chosen, order="source")
    optimizer = torch.optim.AdamW(problem.moving.values(), weight_decay=0.01)
    steps, step = 2 * 6, 0
    for epoch in range(2):
        draw = np.random.default_rng([3, epoch])
        draw.integers(2**63)
        order = draw.permutation(22)
        for start in range(0, 22, 4):
            rate = min(1, (step + 1) / 3, (steps - step) / 2)  # the last fifth of twelve steps are two
            optimizer.param_groups[0]["lr"] = 3e-3 * rate
            optimizer.zero_grad()
            problem.losses(problem.batch(order[start : start + 4])).mean().backward()
            optimizer.step()
            step += 1
    assert step == steps == cell.steps
    expected = language.problem(work._held).all_losses(5).mean()
    assert cell.test_loss == pytest.approx(float(expected), rel=1e-4)


class InterruptedRunError(Exception):
    """Ends a run."""


def test_an_interrupted_study_ends_as_the_others(language_desk, ran, tmp_path, monkeypatch):
    out, original, begun = tmp_path / "run", run.train_language_cell, []

    def interrupted(*given):
        begun.append(given)
        if len(begun) == 8:
            raise InterruptedRunError
        return original(*given)

    monkeypatch.setattr(run, "train_language_cell", interrupted)
    with pytest.raises(InterruptedRunError):
        study_language(asked(language_desk), out, workers=1)
    assert len(losses_in(out)) == 7
    result = study_language(asked(language_desk), out, workers=1)
    assert len(begun) == 8 + 12 - 7
    assert losses_in(out) == losses_in(ran[0])
    assert without_seconds(result) == without_seconds(ran[1])


def test_a_second_run_trains_nothing(language_desk, ran, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(run, "train_language_cell", never)
    out, result = ran
    assert without_seconds(study_language(asked(language_desk), out, workers=1)) == without_seconds(result)


@pytest.mark.deep
def test_results_do_not_depend_on_the_number_of_workers(language_desk, ran, tmp_path):
    out = tmp_path / "run"
    result = study_language(asked(language_desk), out, workers=2)
    assert losses_in(out) == losses_in(ran[0])
    assert without_seconds(result) == without_seconds(ran[1])


def test_the_batch_of_an_evaluation_changes_nothing_but_rounding(language_desk, ran, tmp_path):
    config = asked(language_desk, batch_size=1, methods=["full"], seeds=1)
    result = study_language(config, tmp_path / "run", workers=1)
    for cell, other in zip(result.cells, ran[1].cells[:3], strict=True):
        assert cell.distance == other.distance  # the training is the same
        assert cell.test_loss == pytest.approx(other.test_loss, rel=2e-5)


def test_the_pretrained_loss_is_that_of_the_model_as_it_was_read(language_desk, ran):
    work = run._Work(asked(language_desk), Path())
    language = load_language_model(str(language_desk / "model"))
    expected = language.problem(work._held).all_losses(7).mean()
    assert ran[1].pretrained_loss == pytest.approx(float(expected), rel=1e-5)


def test_separate_test_data_are_tested_on_without_what_is_trained_on(language_desk, tmp_path, monkeypatch):
    rows_trained(monkeypatch)
    lines = (language_desk / "sums.jsonl").read_text().splitlines(keepends=True)
    others = [json.dumps({"prompt": f"{a} + 1?", "completion": str(a + 1)}) + "\n" for a in range(1000, 1040)]
    (tmp_path / "test.jsonl").write_text("".join(lines[:5] + others))
    config = asked(language_desk, test=str(tmp_path / "test.jsonl"), test_samples=100)
    result = study_language(config, tmp_path / "run", workers=1)
    assert (result.pool, result.test_samples) == (460, 40)
    assert any(note.startswith("5 of 45 samples of") for note in result.notes)


def test_diverged_trainings_are_told_and_have_no_curve(language_desk, tmp_path):
    config = asked(language_desk, learning_rate=1e30, methods=["full"], seeds=1)
    result = study_language(config, tmp_path / "run", workers=1)
    assert {cell.status for cell in result.cells} == {"diverged"}
    assert result.methods[0].unpredicted == "no training finished"
    assert result.notes[-1].startswith("3 of 3 trainings diverged")
    page = page_of(result)
    assert page.answer.confidence == "cannot tell"
    assert page.picture is None


def test_what_ends_while_the_rate_rises_is_said(language_desk, ran):
    (told,) = [note for note in look_at(asked(language_desk, warm_up=6, methods=["full"]), 1, None) if "rises" in note]
    assert told.startswith("full: with up to 24 samples a training ends while its learning rate rises")
    assert not [note for note in ran[1].notes if "rises" in note]


def test_trainings_that_see_a_part_of_their_samples_are_said_and_not_continued(language_desk, ran, tmp_path):
    config = asked(language_desk, steps=4, methods=["full"], seeds=2, sizes=[12, 24, 48, 96])
    result = study_language(config, tmp_path / "run", workers=1)
    (told,) = [note for note in result.notes if "sees" in note]
    assert told == (
        "full: a training on 24 samples and more sees 16 of them, in 4 steps: take --epochs in place of --steps, or at "
        "least --steps 24."
    )
    assert told in look_at(config, 1, None)
    assert [cell.seen for cell in result.cells[:4]] == [16, 16, 16, 16]
    assert result.methods[0].predicted is None
    assert result.methods[0].unpredicted == "a training on 24 samples and more sees 16 of them"
    answer = page_of(result).answer
    assert answer.confidence == "low"
    assert not [step for step in answer.next_steps if "ollect" in step]
    assert not [note for note in ran[1].notes if "sees" in note]
    assert [cell.seen for cell in ran[1].cells] == [cell.size for cell in ran[1].cells]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": [12, 431]}, "size 431: there are 430 samples to train on"),
        ({"methods": ["head"]}, r"--methods head: a language model takes last_layers\(n\), lora\(r\) or full"),
        ({"epochs": 1, "steps": 2}, "epochs and steps are two budgets: give one of them"),
        ({"test_samples": 10}, "10 samples to test on, and at least 20 are needed"),
        ({"schedule": "linear"}, "should be 'constant', 'warmup-stable-decay' or 'cosine'"),
        ({"by_method": {"lora(3)": {"steps": 2}}}, "which is not among the methods"),
        ({"methods": ["full", "last_layers(9)"]}, r"last_layers\(9\): this model has 1 layers"),
        ({"methods": ["full", "lora(x)"]}, r"'lora\(x\)' is not a way to fine-tune"),
    ],
)
def test_bad_settings_are_refused_in_one_line(language_desk, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        study_language(asked(language_desk, **settings), tmp_path / "run", workers=1)
    assert not (tmp_path / "run").exists()


def test_sizes_by_default_double_up_to_the_pool(language_desk):
    work = run._Work(asked(language_desk, sizes=None), Path())
    assert work.sizes == [13, 27, 54, 108, 215, 430]


def command(*words):
    return commands(["study", *map(str, words)], standalone_mode=False)


def test_the_command_writes_a_page_and_repeats_itself(language_desk, tmp_path, capsys):
    out = tmp_path / "run"
    words = [language_desk / "model", language_desk / "sums.jsonl", "--out", out, "--workers", "1", "--seeds", "1"]
    words += ["--sizes", "12,24", "--methods", "full", "--train-batch-size", "4", "--learning-rate", "0.003"]
    command(*words, "--dry-run")
    said = capsys.readouterr().out
    assert "of which the trainings take up to 24, with" in said
    assert "2 trainings, in 1 process: about" in said
    assert not out.exists()
    command(*words)
    sentence = page_of(read_result(out)).answer.sentence
    assert sentence in " ".join(capsys.readouterr().out.split())
    assert {file.name for file in (out / "figures").iterdir()} >= {"loss.png", "perplexity.png"}
    again = command_of(read_result(out))
    assert again.startswith(f"suffice study {language_desk / 'model'} {language_desk / 'sums.jsonl'}")
    assert "--sizes 12,24" in again


def test_flags_of_classifiers_do_not_go_with_language_models(language_desk):
    about = language_desk / "model", language_desk / "sums.jsonl"
    with pytest.raises(InputError, match="--patience is for classifiers, and --schedule for language models"):
        command(*about, "--schedule", "cosine", "--patience", "3")
    with pytest.raises(InputError, match=r"--surface is for classifiers, and .*sums.jsonl is for a language model"):
        command(*about, "--surface")
    with pytest.raises(InputError, match=r"--store: forecast and study keep the trainings of a language model in the"):
        command(*about, "--store", "memory://x/y")


def cells_of(losses, together=1):
    about = {"method": "full", "seed": 0, "status": "finished", "moving_parameters": 1}
    return [
        LanguageCell(**about, size=size, test_loss=loss, steps=-(-size // together)) for size, loss in losses.items()
    ]


def test_a_curve_goes_on_as_it_went():
    law = {size: 1 + 5 * size**-0.3 for size in (100, 200, 400, 800, 1600)}
    predicted, drawn, why = continued(cells_of(law), 0)
    assert (predicted.sizes, why) == ([1600, 3200, 6400, 12800], "")
    assert predicted.score.mean == pytest.approx([1 + 5 * size**-0.3 for size in predicted.sizes], rel=0.06)
    assert (drawn.sizes[0], drawn.sizes[-1]) == (100, 12800)


def test_a_curve_goes_on_from_where_the_format_is_learnt():
    """In the first 100 updates the loss falls faster, in a law of its own."""
    law = {size: 1 + 5 * size**-0.3 for size in (800, 1600, 3200, 6400)}
    early = {size: law[800] + 3 * np.log2(800 / size) for size in (100, 200, 400)}
    predicted, drawn, _ = continued(cells_of(early | law, together=8), 0)
    alone, _, _ = continued(cells_of(law, together=8), 0)
    assert np.array_equal(predicted.score.mean, alone.score.mean)
    assert drawn.sizes[0] == 800
    # with one such size there is no curve but through all of them
    assert {cell.size for cell in steady(cells_of(early | {800: law[800]}, together=8))} == {100, 200, 400, 800}
    assert {cell.size for cell in steady(cells_of(early | law, together=8))} == set(law)


@pytest.mark.parametrize("losses", [{100: 1.0}, {100: 1.0, 200: 1.0}, {100: 1.0, 200: 1.2, 400: 1.4, 800: 1.6}])
def test_a_curve_that_cannot_go_on_says_why(losses):
    predicted, drawn, why = continued(cells_of(losses), 0)
    assert predicted is drawn is None
    assert why
