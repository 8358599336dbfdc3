"""Accuracy by generation in a forecast: measured, kept, resumed, asked of later, told and refused."""

import json
import shutil
import warnings

import pytest
from test_run_language import Impatient, InterruptedRunError, asked, stored, write

from suffice import InputError
from suffice.data.answers import AnswerPattern
from suffice.errors import InputWarning
from suffice.models.language import Generation
from suffice.report.pages import page_of
from suffice.results import Estimate
from suffice.runs import recorded_training
from suffice.runs.completed import share_of
from suffice.runs.language import estimate, forecast_language, prepare

LAST_DIGIT = "([0-9])$"


@pytest.fixture(scope="module")
def measured(language_desk, tmp_path_factory):
    """A finished run: its folder and result."""
    out = tmp_path_factory.mktemp("measured") / "run"
    return out, forecast_language(asked(language_desk, answer_pattern=LAST_DIGIT), out)[1]


def completions(folder):
    return {file.name: file.read_text() for file in (folder / "evidence").glob("completions_*.json")}


def test_the_answers_are_counted_by_what_was_written(language_desk, measured):
    out, result = measured
    run = result.one_run
    found, half = run.generated, 52 * 4
    assert [at.seen for at in found.at] == [0, half, run.samples]
    assert (found.pattern, found.samples) == (LAST_DIGIT, 46)
    held = prepare(asked(language_desk)).held.dataset
    references = [held._texts[row].completion for row in range(len(held))]
    for at in found.at:
        written = json.loads((out / "evidence" / f"completions_{at.seen}.json").read_text())["content"]
        pattern = AnswerPattern(LAST_DIGIT)
        answers = [pattern.of(one["text"]) for one in written]
        assert at.right == sum(answer == text[-1] for answer, text in zip(answers, references, strict=True))
        assert at.unmatched == answers.count(None)
        assert at.unended == sum(not one["is_ended"] for one in written)
        assert at.accuracy == share_of(at.right, 46)
    assert found.at[0].right == 0
    assert found.at[-1].unmatched < found.at[0].unmatched  # the form of the answers is learnt


def test_the_page_tells_them_and_predicts_nothing_of_them(measured):
    run, page = measured[1].one_run, page_of(measured[1])
    last = run.generated.at[-1]
    told = " ".join(page.answer.more)
    assert f"Accuracy by generation: {last.accuracy.value:.1%}, {last.right} of 46 completions (90% interval: " in told
    assert f"it was 0.0% before training and {run.generated.at[1].accuracy.value:.1%} after 208 samples." in told
    section = next(section for section in page.sections if section.title == "Accuracy by generation")
    (table,) = section.blocks
    assert [row[0] for row in table.rows] == ["0", "208", f"{run.samples}"]
    assert "the first group of the last match of `([0-9])$`" in table.caption


def test_a_run_that_was_interrupted_keeps_its_completions(language_desk, measured, tmp_path, monkeypatch):
    config = asked(language_desk, answer_pattern=LAST_DIGIT)
    with pytest.raises(InterruptedRunError):
        forecast_language(config, tmp_path / "run", watch=Impatient(207))  # at half, before its completions
    assert len(completions(tmp_path / "run")) == 1
    calls = []
    monkeypatch.setattr(Generation, "completions", counted(calls, Generation.completions))
    again = forecast_language(config, tmp_path / "run")[1]
    assert len(calls) == 2  # at half and at the end
    assert again.one_run == measured[1].one_run
    assert completions(tmp_path / "run") == completions(measured[0])
    assert forecast_language(config, tmp_path / "run")[1].one_run == measured[1].one_run
    assert len(calls) == 2


def counted(calls, function):
    def counting(*given):
        calls.append(given)
        return function(*given)

    return counting


def test_another_pattern_needs_no_training_and_no_completions(language_desk, measured, tmp_path, monkeypatch):
    out = tmp_path / "run"
    shutil.copytree(measured[0], out)
    monkeypatch.setattr(recorded_training, "set_gradients", None)
    monkeypatch.setattr(Generation, "completions", None)
    exact = forecast_language(asked(language_desk, answer_pattern="exact"), out)[1].one_run.generated
    assert exact.pattern == "exact"
    assert all(at.right <= of.right for at, of in zip(exact.at, measured[1].one_run.generated.at, strict=True))
    assert forecast_language(asked(language_desk), out)[1].one_run.generated is None


def test_a_pattern_that_comes_after_the_training_asks_the_stored_weights(
    language_desk, measured, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    plain = forecast_language(asked(language_desk), out)[1]
    assert plain.one_run.generated is None
    before = stored(out)
    monkeypatch.setattr(recorded_training, "set_gradients", None)  # nothing can be trained
    with pytest.warns(
        InputWarning, match="the accuracy after 208 samples is left out: its completions are missing, and"
    ):
        found = forecast_language(asked(language_desk, answer_pattern=LAST_DIGIT), out)[1].one_run.generated
    first, _, last = measured[1].one_run.generated.at
    assert found.at == [first, last]
    assert stored(out) == before


@pytest.mark.parametrize("held", [None, b"{}"], ids=["deleted", "damaged"])
def test_completions_at_half_that_are_lost_are_said_to_be_left_out(
    language_desk, measured, tmp_path, monkeypatch, held
):
    out = tmp_path / "run"
    shutil.copytree(measured[0], out)
    file = out / "evidence" / "completions_208.json"
    file.unlink()
    if held is not None:
        file.write_bytes(held)
    monkeypatch.setattr(recorded_training, "set_gradients", None)  # nothing can be trained
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        found = forecast_language(asked(language_desk, answer_pattern=LAST_DIGIT), out)[1].one_run.generated
    told = [str(one.message) for one in caught]
    assert any("after 208 samples is left out" in words and "--overwrite repeats it" in words for words in told)
    assert any("completions_208.json is damaged" in words for words in told) == (held is not None)
    assert not any("computed again" in words for words in told)
    first, _, last = measured[1].one_run.generated.at
    assert found.at == [first, last]


def test_the_time_of_the_completions_is_told(language_desk):
    config = asked(language_desk, answer_pattern="exact")
    times = estimate(prepare(config), config)
    assert times.completions > 0
    assert "its completions at most" in times.in_words
    assert "completions" not in estimate(prepare(asked(language_desk)), asked(language_desk)).in_words


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("([0-9]", r"--answer-pattern '\(\[0-9\]': no regular expression"),
        ("[0-9]", "has no group: put what is compared in parentheses"),
        (
            "= ([0-9])",
            r"sums\.jsonl, line \d+: '\d+' has no match of --answer-pattern '= \(\[0-9\]\)', as 46 of 46 sam",
        ),
    ],
)
def test_what_is_refused_before_anything_is_trained(language_desk, tmp_path, pattern, said):
    with pytest.raises(InputError, match=said):
        forecast_language(asked(language_desk, answer_pattern=pattern), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_texts_have_no_answers(language_desk, tmp_path):
    write(tmp_path / "texts.jsonl", [{"text": f"{n} is a number"} for n in range(500)])
    with pytest.raises(InputError, match="a plain text has no answer"):
        prepare(asked(language_desk, data=str(tmp_path / "texts.jsonl"), answer_pattern="exact"))


def test_an_answer_that_the_tokenizer_changes_is_refused(language_desk, monkeypatch):
    monkeypatch.setattr(Generation, "read_back", lambda self, row: self.references[row].replace("1", "<unk>"))
    with pytest.raises(InputError, match=r"line \d+: the tokenizer writes the answer '\d*1\d*' as '.*<unk>.*', so no"):
        prepare(asked(language_desk, answer_pattern="exact"))


def test_shares_have_jeffreys_intervals():
    assert share_of(0, 1) == Estimate(value=0.0, low=0.0, high=share_of(0, 1).high)
    assert share_of(10, 10).high == 1.0
    assert share_of(5, 10).low == pytest.approx(1 - share_of(5, 10).high)
