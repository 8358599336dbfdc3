"""`suffice forecast` of a language model: one recorded fine-tuning, resumed, refused and told."""

import json
import re
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import yaml

from suffice import InputError
from suffice.cli.main import commands
from suffice.configuration.language import LanguageForecastConfig
from suffice.errors import InputWarning
from suffice.forecasting.one_run import forecast_one_run
from suffice.models.language import load_language_model
from suffice.report.pages import page_of
from suffice.report.pages.settings import command_of
from suffice.results import OnlineBatch, Recording, read_recording, recording_as_json
from suffice.runs import recorded_training
from suffice.runs.demo import DEMO_LANGUAGE
from suffice.runs.language import _check_warm_up, epoch_of, estimate, forecast_language, prepare
from suffice.runs.recorded_training import losses_of
from suffice.runs.status import status_of
from suffice.runs.texts import is_of_language
from suffice.runs.watch import Silent
from suffice.storage import write_sealed

SAMPLES = 460
"""Those of ``desk``."""


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def asked(desk, **settings):
    given = {"model": str(desk / "model"), "data": str(desk / "sums.jsonl"), "method": "full", "train_batch_size": 4}
    return LanguageForecastConfig(**{**given, "learning_rate": 3e-3, **settings})


@pytest.fixture(scope="module")
def ran(language_desk, tmp_path_factory):
    """A finished run: its folder and result."""
    out = tmp_path_factory.mktemp("ran") / "run"
    return out, forecast_language(asked(language_desk), out)[1]


def test_one_run_says_what_a_doubling_brings(language_desk, ran):
    out, result = ran
    run, recording = result.one_run, read_recording(out / "recording.json")
    assert run.samples == recording.samples == result.predicted.sizes[0]
    assert run.steps == -(-run.samples // 4) == len(recording.batches)
    assert (run.trained, result.sources) == (f"{language_desk / 'model'} (full)", [str(language_desk / "sums.jsonl")])
    assert result.predicted.sizes == [run.samples * times for times in (1, 2, 4, 8)]
    held = [at.losses.mean() for at in recording.holdouts]
    assert result.predicted.score.mean[0] == pytest.approx(held[-1], abs=0.02)
    assert held[0] > held[-1] + 1  # the random model has learnt the form of the answers
    answer = page_of(result).answer
    low, high = run.slope.low, run.slope.high
    begins = "This run cannot tell what more samples bring: d" if low <= 0 else "D"
    assert answer.sentence.startswith(
        f"{begins}oubling the {run.samples:,} samples lowers the test loss by {run.slope.value:.2g} ({low:.2g} to "
        f"{high:.2g})"
    )
    brings = f"{3 * run.samples:,} samples more should bring the perplexity from"
    assert (brings in answer.sentence) == (low > 0)
    flat = "Measure more before you collect: a run on more samples, or one with a larger hold-out."
    named = "Name the loss that you need (`--target-loss`), and the answer is a number of samples."
    assert answer.next_steps == [flat if low <= 0 else named]


def test_the_record_holds_what_a_loop_of_its_own_would(language_desk, ran):
    """The first batches and the pretrained losses, by plain steps of AdamW."""
    recording = read_recording(ran[0] / "recording.json")
    prepared = prepare(asked(language_desk))
    problem = prepared.problem
    assert recording.holdouts[0].losses == pytest.approx(losses_of(prepared.held, 16), rel=1e-6)
    before = problem.all_losses(3).numpy()
    order = np.random.default_rng([0, 0]).permutation(len(problem))
    optimizer = torch.optim.AdamW(problem.moving.values(), weight_decay=0.01)
    problem.model.train()
    for step, batch in enumerate(recording.batches[:4]):
        rows = order[4 * step : 4 * step + 4]
        rate = 3e-3 * (step + 1) / 11
        optimizer.param_groups[0]["lr"] = rate
        losses = problem.losses(problem.batch(rows))
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        assert (batch.step, batch.seen, batch.samples, batch.rate) == (step + 1, 4 * step, 4, pytest.approx(rate))
        assert batch.loss == pytest.approx(float(losses.mean()), rel=1e-5)
        assert batch.before == pytest.approx(before[rows].mean(), rel=1e-6)
        assert batch.tokens == sum(problem.dataset.answer_tokens[row] for row in rows)
    assert [at.seen for at in recording.holdouts][1:] == [52, 104, 208, len(problem)]


def stored(folder):
    """The record of a run, to the last bit."""
    return json.loads((folder / "recording.json").read_text())


class InterruptedRunError(Exception):
    """Ends a run."""


class Impatient(Silent):
    """A watch that ends a run after so many training samples."""

    def __init__(self, samples):
        self.left = samples

    def progress(self, what, total=None):
        return nullcontext(self.count if what == "training" else lambda done: None)

    def count(self, done):
        self.left -= done
        if self.left < 0:
            raise InterruptedRunError


def test_a_run_that_was_interrupted_ends_as_the_others(language_desk, ran, tmp_path, monkeypatch):
    monkeypatch.setattr(recorded_training, "PATIENCE", 0.0)
    with pytest.raises(InterruptedRunError):
        forecast_language(asked(language_desk), tmp_path / "run", watch=Impatient(150))
    assert (tmp_path / "run" / "fine_tuning.pt").exists()
    again = forecast_language(asked(language_desk), tmp_path / "run")[1]
    assert stored(tmp_path / "run") == stored(ran[0])
    assert again.predicted.model_dump_json() == ran[1].predicted.model_dump_json()
    assert (again.one_run, again.notes) == (ran[1].one_run, ran[1].notes)


def test_a_damaged_checkpoint_begins_the_training_anew(language_desk, ran, tmp_path):
    with pytest.raises(InterruptedRunError):
        forecast_language(asked(language_desk), tmp_path / "run", watch=Impatient(300))
    file = tmp_path / "run" / "fine_tuning.pt"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.warns(UserWarning, match="is damaged .*: the training begins anew"):
        forecast_language(asked(language_desk), tmp_path / "run")
    assert stored(tmp_path / "run") == stored(ran[0])


def test_a_sealed_checkpoint_that_is_none_begins_the_training_anew(language_desk, ran, tmp_path):
    with pytest.raises(InterruptedRunError):
        forecast_language(asked(language_desk), tmp_path / "run", watch=Impatient(300))
    write_sealed(tmp_path / "run" / "fine_tuning.pt", b"junk")
    with pytest.warns(InputWarning, match=r"fine_tuning\.pt .*: the training begins anew"):
        forecast_language(asked(language_desk), tmp_path / "run")
    assert stored(tmp_path / "run") == stored(ran[0])


def test_a_record_that_was_changed_is_made_anew(language_desk, ran, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(ran[0], out)
    file = out / "recording.json"
    whole = file.read_bytes()
    stored = json.loads(whole)
    stored["holdouts"][-1]["losses"] = [loss / 2 for loss in stored["holdouts"][-1]["losses"]]
    file.write_text(json.dumps(stored))
    assert "recording.json is damaged, or was edited" in status_of(out, verify=True).damaged[0]
    with pytest.warns(InputWarning, match=r"recording\.json is missing or was changed: it is written again from the"):
        result = forecast_language(asked(language_desk), out)[1]
    assert file.read_bytes() == whole
    assert result.predicted.model_dump_json() == ran[1].predicted.model_dump_json()
    file.unlink()
    (out / "fine_tuning.pt").unlink()
    assert status_of(out, verify=True).damaged == [f"{file} is missing: the same command writes it again"]
    with pytest.warns(InputWarning, match=r"recording\.json is missing or was changed: the training begins anew"):
        forecast_language(asked(language_desk), out)
    assert file.read_bytes() == whole


@pytest.fixture(scope="module")
def interrupted(language_desk, tmp_path_factory):
    """A run that was interrupted after its first hold-outs."""
    out = tmp_path_factory.mktemp("interrupted") / "run"
    with pytest.raises(InterruptedRunError):
        forecast_language(asked(language_desk), out, watch=Impatient(130))
    return out


def flipped(held):
    at = held.index(b'"loss":') + 10
    return held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :]


@pytest.mark.parametrize(
    "harm",
    [
        "flipped",
        "deleted",
        *(pytest.param(harm, marks=pytest.mark.deep) for harm in ("truncated", "emptied", "another")),
    ],
)
def test_the_record_of_an_interrupted_run_is_that_of_its_checkpoint(language_desk, ran, interrupted, tmp_path, harm):
    out = tmp_path / "run"
    shutil.copytree(interrupted, out)
    assert status_of(out, verify=True).damaged == []
    file = out / "recording.json"
    held = file.read_bytes()
    recording = read_recording(file)
    other = recording.model_copy(update={"batches": [b.model_copy(update={"loss": 1.0}) for b in recording.batches]})
    harmed = {
        "flipped": flipped(held),
        "truncated": held[: len(held) // 2],
        "emptied": b"",
        "deleted": None,
        "another": recording_as_json(other),
    }[harm]
    file.unlink() if harmed is None else file.write_bytes(harmed)
    assert len(status_of(out, verify=True).damaged) == (harm in ("flipped", "truncated", "emptied"))
    with pytest.warns(InputWarning, match=r"recording\.json is missing or was changed: it is written again from the"):
        forecast_language(asked(language_desk), out)
    assert stored(out) == stored(ran[0])


def test_the_checkpoint_of_another_run_is_not_taken(language_desk, ran, interrupted, tmp_path):
    out, other = tmp_path / "run", tmp_path / "other"
    lines = (language_desk / "sums.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "others.jsonl").write_text("".join(lines[::-1]))
    with pytest.raises(InterruptedRunError):
        forecast_language(asked(language_desk, data=str(tmp_path / "others.jsonl")), other, watch=Impatient(130))
    shutil.copytree(interrupted, out)
    for name in ("fine_tuning.pt", "recording.json"):
        shutil.copy(other / name, out / name)
    with pytest.warns(InputWarning, match=r"fine_tuning\.pt belongs to a training of another run, or of other samples"):
        forecast_language(asked(language_desk), out)
    assert stored(out) == stored(ran[0])


def test_another_target_needs_no_training_and_another_rate_is_refused(language_desk, ran, tmp_path, monkeypatch):
    out, first = tmp_path / "run", ran[1]
    shutil.copytree(ran[0], out)
    monkeypatch.setattr(recorded_training, "set_gradients", None)  # nothing can be trained
    result = forecast_language(asked(language_desk, target_loss=1.0, sizes="900,2000", assurance=0.8), out)[1]
    assert result.predicted.sizes == [first.one_run.samples, 900, 2000]
    assert (result.answer.tolerance, result.answer.assurance) == (1.0, 0.8)
    costly = forecast_language(asked(language_desk, cost_per_sample=1e-9), out)[1].answer
    dear = forecast_language(asked(language_desk, cost_per_sample=10.0), out)[1].answer
    assert (dear.criterion, dear.status) == ("cost_per_sample", "reached")
    assert costly.size > dear.size
    with pytest.raises(InputError, match=r"sizes = 3: the run tells of \d+ samples and more"):
        forecast_language(asked(language_desk, sizes="3,900"), out)
    with pytest.raises(InputError, match=r"holds a run with other settings \(learning_rate"):
        forecast_language(asked(language_desk, learning_rate=1e-3), out)


@pytest.mark.deep
def test_short_runs_begin_anew_and_are_added_to_a_run_that_is_there(language_desk, ran, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(ran[0], out)
    with pytest.raises(InterruptedRunError):
        forecast_language(asked(language_desk, short_runs=True), out, watch=Impatient(414 + 250))
    result = forecast_language(asked(language_desk, short_runs=True), out)[1]
    assert stored(out) == stored(ran[0])
    assert result.one_run.shorter == [103, 207]
    assert result.one_run.narrowed is None
    assert result.one_run.slope != ran[1].one_run.slope
    long = read_recording(out / "recording.json")
    for size in (103, 207):
        short = read_recording(out / "short" / str(size) / "recording.json")
        # from the pretrained weights, and tested on the same samples
        assert short.holdouts[0].losses == pytest.approx(long.holdouts[0].losses, rel=1e-6)
        assert (short.samples, short.batches[-1].seen) == (size, 4 * ((size - 1) // 4))
        first = short.batches[0]
        assert first.loss == pytest.approx(first.before, rel=1e-5)
    assert "--short-runs" in command_of(result)
    found = status_of(out, verify=True)
    assert [(part.name, part.done) for part in found.parts if part.unit == "piece"] == [
        ("evidence", 1),
        ("short/103/evidence", 1),
        ("short/207/evidence", 1),
    ]
    assert found.damaged == []
    for name in ("fine_tuning.pt", "recording.json", "evidence/recording.json"):
        file = out / "short" / "103" / name
        file.write_bytes(file.read_bytes()[:-1])
    assert len(status_of(out, verify=True).damaged) == 3
    # a run that replaces this one brings its own short runs
    again = forecast_language(asked(language_desk, short_runs=True), out, overwrite=True)[1]
    assert again.predicted.model_dump_json() == result.predicted.model_dump_json()
    assert status_of(out, verify=True).damaged == []
    assert sorted(folder.name for folder in (out / "short").iterdir()) == ["103", "207"]
    # the short runs of one size are not taken for those of another
    shutil.rmtree(out / "short" / "103")
    shutil.copytree(out / "short" / "207", out / "short" / "103")
    with pytest.warns(
        InputWarning, match=r"103/fine_tuning\.pt belongs to a training of another run, or of other samp"
    ):
        again = forecast_language(asked(language_desk, short_runs=True), out)[1]
    assert again.predicted.model_dump_json() == result.predicted.model_dump_json()


def test_the_folder_says_how_it_is_repeated(language_desk, ran):
    out, result = ran
    written = yaml.safe_load((out / "config.yaml").read_text())
    assert {"data", "weights", "tokenizer"} <= set(written["contents"])
    assert LanguageForecastConfig.model_validate(written).asked() == asked(language_desk).asked()
    assert re.fullmatch(
        r"suffice forecast \S+model \S+sums\.jsonl --method full --train-batch-size 4 --learning-rate 0\.003",
        command_of(result),
    )


def test_without_the_baseline_the_pretrained_model_is_not_measured(language_desk, tmp_path):
    config = asked(language_desk, baseline=False, method="lora(2)")
    result = forecast_language(config, tmp_path / "run")[1]
    assert result.one_run.covariate is None
    assert not (tmp_path / "run" / "evidence" / "pretrained").exists()
    assert any("pretrained model was not measured" in note for note in result.notes)
    assert "--no-baseline" in command_of(result)


def test_copies_are_not_trained_on_and_tested_on(language_desk, tmp_path):
    rows = [json.loads(line) for line in (language_desk / "sums.jsonl").read_text().splitlines()]
    write(tmp_path / "twice.jsonl", rows + rows)
    found = prepare(asked(language_desk, data=str(tmp_path / "twice.jsonl"), test_samples=30))
    own = {found.problem.dataset._texts[row] for row in range(len(found.problem))}
    held = [found.held.dataset._texts[row] for row in range(len(found.held))]
    assert len(held) == 30
    assert not own & set(held)
    assert len(own) == len(found.problem) == SAMPLES - 30
    assert f"{SAMPLES} of {2 * SAMPLES} samples are copies of others: sizes count different ones." in found.notes
    write(tmp_path / "test.jsonl", rows[:10] + [{"prompt": f"{n} + 0?", "completion": str(n)} for n in range(40)])
    found = prepare(asked(language_desk, test=str(tmp_path / "test.jsonl")))
    assert len(found.held) == 40
    assert len(found.problem) == SAMPLES
    assert any(note.startswith("10 of 50 samples of") and "they are not tested on" in note for note in found.notes)
    assert set(found.contents) >= {"data", "test data"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train_batch_size": 8}, r"414 samples in batches of 8 are 52 updates, .*: take --train-batch-size 4$"),
        ({"samples": 60}, r"60 updates|60 samples in batches of 4 are 15 updates, .*: give at least 100 samples"),
        ({"warm_up": 200}, r"--warm-up 200: of the 104 updates too few .*: take --warm-up 36 at most, or sm"),
        ({"warm_up": 30, "short_runs": True}, r"--warm-up 30: of the 104 updates .*: take --warm-up 25 at most"),
        ({"samples": 450}, r"samples = 450: .*sums.jsonl has 414 to train on"),
        ({"held_out": 0.01}, "5 samples to test on, and at least 20 are needed: .* a larger --held-out"),
        ({"method": "head"}, r"--method head: a language model takes last_layers\(n\), lora\(r\) or full"),
        ({"target_loss": 1.0, "cost_per_sample": 1e-6}, "--target-loss and --cost-per-sample: give one of them"),
        ({"assurance": 0.8}, "--assurance is the probability to reach a target"),
        ({"prompt_column": "task"}, "--prompt-column goes with --completion-column: give both"),
        ({"prompt_column": "task", "completion_column": "completion"}, "task.*there are.*prompt.*completion"),
        ({"messages_column": "prompt"}, 'line 1: messages are a list of objects with "role" and "content"'),
        ({"eos": "<nothing>"}, "the tokenizer has no token '<nothing>': give one of its tokens with --eos"),
        ({"max_length": 10**6}, r"max_length = 1000000: the model takes \d+ tokens at most; give no more"),
        ({"max_length": 4}, r"nothing of the answer is left within 4 tokens, as in .* give a larger --max-length"),
        ({"learning_rate": 1e30}, r"update \d+: the loss of .*, line \d+ is not finite: take a smaller --lear"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(language_desk, tmp_path, settings, said):
    with pytest.raises(InputError, match=said) as error:
        forecast_language(asked(language_desk, **settings), tmp_path / "run")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("samples", "batch_size"), [(100, 1), (414, 4), (1000, 10), (4321, 7)])
def test_the_longest_warm_up_that_is_taken_leaves_a_slope(samples, batch_size):
    config = LanguageForecastConfig(model="m", data="d", train_batch_size=batch_size, warm_up=samples)
    with pytest.raises(InputError, match="take --warm-up") as refused:
        _check_warm_up(samples, config)
    longest = int(re.search(r"take --warm-up (\d+)", str(refused.value))[1])
    config = config.model_copy(update={"warm_up": longest})
    _check_warm_up(samples, config)
    with pytest.raises(InputError, match=f"take --warm-up {longest} at most"):
        _check_warm_up(samples, config.model_copy(update={"warm_up": longest + 1}))
    steps, settings = -(-samples // batch_size), epoch_of(config).training
    draw = np.random.default_rng(0)
    batches = [
        OnlineBatch(
            step=step + 1, seen=step * batch_size, samples=min(batch_size, samples - step * batch_size),
            loss=3 - 0.2 * np.log2(step + 1) + 0.01 * draw.normal(), rate=settings.rate(step, steps),
        )
        for step in range(steps)
    ]  # fmt: skip
    assert forecast_one_run(Recording(samples=samples, batches=batches)).slope.value == pytest.approx(0.2, rel=0.5)


def test_a_batch_of_the_evaluation_that_is_larger_than_the_data_is_timed(language_desk):
    config = asked(language_desk, batch_size=10**4)
    assert estimate(prepare(config), config).pretrained > 0


def test_a_pretrained_model_without_finite_losses_names_the_sample(language_desk, tmp_path):
    found = load_language_model(str(language_desk / "model"))
    with torch.no_grad():
        found.model.model.embed_tokens.weight[found.encoding.tokenizer("7 +")["input_ids"][0]] = torch.nan
    found.model.save_pretrained(tmp_path / "broken")
    found.encoding.tokenizer.save_pretrained(tmp_path / "broken")
    with pytest.raises(InputError, match="not finite"):
        forecast_language(asked(language_desk, model=str(tmp_path / "broken")), tmp_path / "run")


def test_a_recording_of_which_no_loss_is_finite_is_refused(tmp_path):
    file = tmp_path / "run.json"
    file.write_text(Recording(samples=400, skipped=list(range(1, 101))).model_dump_json())
    with pytest.raises(
        InputError,
        match=r"no batch of the run on 400 samples has a finite loss \(the first is that of update 1\), .*: train with",
    ):
        command("forecast", "--from", str(file), "--out", str(tmp_path / "out"))


def test_texts_that_are_cut_are_counted(language_desk):
    notes = prepare(asked(language_desk, max_length=10)).notes
    assert any(
        re.match(r"\d+ of 414 samples are longer than 10 tokens: cut there; \d+ lose a part", note) for note in notes
    )


def test_the_demo_has_enough_updates_and_refuses_other_tasks():
    found = prepare(DEMO_LANGUAGE)
    assert found.notes == []
    assert (len(found.problem), len(found.held)) == (1980, 220)
    with pytest.raises(InputError, match=r'--task languages: give images or language; did you mean "language"\?'):
        command("demo", "--task", "languages")


def test_model_and_data_tell_language_from_classification(language_desk, tiny_bert, tmp_path):
    model, sums = str(language_desk / "model"), str(language_desk / "sums.jsonl")
    write(tmp_path / "labelled.jsonl", [{"text": "A", "label": "b"}])
    write(tmp_path / "texts.jsonl", [{"text": "A"}])
    assert is_of_language(model, sums)
    assert is_of_language("builtin:tiny-lm", str(tmp_path / "texts.jsonl"))
    assert not is_of_language(model, str(tmp_path / "labelled.jsonl"))
    assert not is_of_language(model, "builtin:digits")
    assert not is_of_language(str(tiny_bert), sums)


def command(*words):
    return commands([*words], standalone_mode=False)


def test_the_command_of_a_classifier_with_prompts_and_the_other_way_round(language_desk, tiny_bert, tmp_path):
    model, sums, out = str(language_desk / "model"), str(language_desk / "sums.jsonl"), str(tmp_path / "out")
    with pytest.raises(InputError, match="Bert.* is no causal language model: give one, or data with labels"):
        command("forecast", str(tiny_bert), sums, "--prompt-column", "prompt", "--completion-column", "completion")
    with pytest.raises(
        InputError, match="--l2 is for classifiers, and --baseline for language models: leave one of them out"
    ):
        command("forecast", model, sums, "--no-baseline", "--l2", "0.1", "--out", out)
    with pytest.raises(InputError, match="trained once, in one process: leave out --workers and --engine"):
        command("forecast", model, sums, "--workers", "2", "--out", out)
    with pytest.raises(InputError, match="there are 'prompt', 'completion'"):
        command("forecast", str(tiny_bert), sums, "--out", out)
    with pytest.raises(InputError, match=r"column .*note|note.*there are"):
        command("forecast", model, sums, "--text-column", "note", "--whole-text", "--out", out)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--target-accuracy", "0.9"], "--target-accuracy is for classifiers, and .*sums.jsonl is for a lang.*: "
         "give --target-loss instead, the logarithm of a perplexity; --answer-pattern measures accuracy"),
        (["--target-accuracy", "0.9", "--eos", "a"], "--target-accuracy is for classifiers, and --eos for .*: give"),
        (["--metrics", "macro F1"], "--metrics is for classifiers, .*: leave it out; --answer-pattern measures accu"),
        (["--l2", "0.1"], r"--l2 is for classifiers, and .*sums\.jsonl is for a language model: leave it out$"),
        (["--label-column", "completion"], "no column 'text'|completion"),
    ],
)  # fmt: skip
def test_flags_of_classifiers_on_prompts_say_what_to_give(language_desk, tmp_path, flags, said):
    with pytest.raises(InputError, match=said):
        command("forecast", str(language_desk / "model"), str(language_desk / "sums.jsonl"), *flags,
                "--out", str(tmp_path / "out"))  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--assurance", "0.8"], "--assurance is the probability to reach a target"),
        (["--method", "head"], "--method head: a language model takes"),
        (["--answer-pattern", "("], "--answer-pattern"),
        (["--fail-if", "accuracy<0.5 at 800"], "--fail-if"),
    ],
)
def test_a_dry_run_checks_the_flags_as_well(language_desk, flags, said):
    with pytest.raises(InputError, match=said):
        command("forecast", str(language_desk / "model"), str(language_desk / "sums.jsonl"), *flags, "--dry-run")


@pytest.mark.parametrize("flags", [["--dry-run"], ["--config", "absent.yaml"]])
def test_a_recording_needs_neither_a_configuration_nor_a_dry_run(flags):
    with pytest.raises(InputError, match="--from reads a recording at once: leave out --config and --dry-run"):
        command("forecast", "--from", "run.json", *flags)


def test_a_table_with_semicolons_is_read_and_its_delimiter_may_be_given(language_desk, tmp_path):
    rows = [json.loads(line) for line in (language_desk / "sums.jsonl").read_text().splitlines()]
    lines = [f"{row['prompt']}, please;{row['completion']}" for row in rows]
    (tmp_path / "sums.csv").write_text("\n".join(["prompt;completion", *lines]))
    (tmp_path / "bars.csv").write_text("\n".join(["prompt|completion", *lines]).replace(";", "|"), encoding="utf-16")
    found = prepare(asked(language_desk, data=str(tmp_path / "sums.csv")))
    assert "sums.csv is separated by semicolons." in found.notes
    assert is_of_language(str(language_desk / "model"), str(tmp_path / "bars.csv"), None, "bar", "utf-16")
    named = prepare(asked(language_desk, data=str(tmp_path / "bars.csv"), delimiter="bar", encoding="utf-16"))
    assert named.in_words == found.in_words
    with pytest.raises(InputError, match="--delimiter is for .csv, .tsv, .txt; leave it out"):
        prepare(asked(language_desk, delimiter=";"))


def test_the_command_answers_and_judges(language_desk, tmp_path, capsys):
    model, sums, out = str(language_desk / "model"), str(language_desk / "sums.jsonl"), tmp_path / "out"
    flags = ["--method", "full", "--train-batch-size", "4", "--learning-rate", "0.003"]
    command("forecast", model, sums, *flags, "--out", str(out), "--dry-run")
    said = capsys.readouterr().out
    assert re.search(
        r"^414 samples to train on, with [\d.]+ tokens in an answer, and 46 to test on\.$", said, re.MULTILINE
    )
    assert re.search(
        r"^About \d+ s: the pretrained model's losses \d+ s, training \d+ s, the hold-out", said, re.MULTILINE
    )
    assert not out.exists()
    exit_status = command("forecast", model, sums, *flags, "--out", str(out), "--fail-if", "perplexity>1.1 at 800")
    said = " ".join(capsys.readouterr().out.split())
    assert "samples lowers the test loss by " in said
    assert exit_status == 3
    assert (out / "report.html").exists()
    page = (out / "report.md").read_text()
    assert page.startswith("forecast · ")
    assert "--config config.yaml" in page
    assert "suffice forecast --config" in page
