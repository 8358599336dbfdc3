"""The report of ``suffice study`` of a language model, from results written by hand: sentences, figures and page."""

import math

import pytest
from curve_results import result as curve_result
from language_study_results import band, cells, method, of_one, result

from suffice.errors import InputError
from suffice.report import write_report
from suffice.report.answers.compare import compare_runs
from suffice.report.answers.language_study import language_study_answer
from suffice.report.figures.language_study import language_study_figures
from suffice.report.pages import page_of
from suffice.report.pages.settings import command_of
from suffice.results import read_result
from suffice.runs.folder import write_result


def test_one_sentence_says_who_leads_and_what_twice_as_many_samples_bring():
    answer = language_study_answer(result())
    reached, twice = math.exp(1 + 5 / 40), [math.exp(1 + 5 / math.sqrt(3200) + half) for half in (0, -0.02, 0.02)]
    assert answer.sentence == (
        f"<b>full</b> leads at every size: a perplexity of {reached:.3g} (test loss 1.12) with 1,600; twice as many "
        f"should bring {twice[0]:.3g} ({twice[1]:.3g} to {twice[2]:.3g})."
    )
    assert answer.more[0] == (
        "Test loss on 400 unseen samples, trained on 1,600: <b>full</b> 1.12 (1.1 to 1.15), lora(8) 1.23 (1.21 to "
        "1.25); before any training it is 2.5."
    )
    assert answer.more[1] == "Measured: the last doubling lowered the test loss of <b>full</b> by 0.052 (0.03 to 0.07)."
    assert answer.more[2].startswith("Forecast: with 12,800 samples, 8 times the largest size, <b>full</b> should have")
    assert (answer.confidence, answer.why) == ("high", "3 seeds were trained at each of 5 sizes")


def test_another_leader_at_small_sizes_is_not_said_to_lead_everywhere():
    early = method("lora(8)", 1.1)
    early["loss"]["mean"][0] = 1.0
    made = result(methods=[early, method("full", 1.0)], cells=[*cells("lora(8)", 1.1), *cells("full", 1.0)])
    assert language_study_answer(made).sentence.startswith("full is best with 1,600 samples: a perplexity of ")


@pytest.mark.parametrize(
    ("changes", "word", "why"),
    [
        ({"seeds": (0,)}, "low", "there is one seed"),
        ({"sizes": [800, 1600]}, "low", "there are 2 sizes"),
        ({"continues": False}, "low", "the curve cannot be continued"),
        ({"pretrained_loss": 1.05}, "low", "no training made the model better than it was"),
        ({"batch": 32}, "low", "the longest trainings have 50 updates, and below 100"),
        ({"batch": 16, "through": 100}, "low", "trainings at only one size have 100 updates, and below 100"),
        ({"through": 800}, "low", "there are 2 sizes with 100 updates and more, which tell no shape"),
        ({"through": 200, "batch": 2}, "medium", "there are 3 seeds at 4 sizes with 100 updates and more"),
        ({"seeds": (0, 1)}, "medium", "there are 2 seeds at 5 sizes"),
        ({"sizes": [400, 800, 1600]}, "medium", "there are 3 seeds at 3 sizes"),
    ],
)
def test_the_confidence_follows_what_was_trained(changes, word, why):
    answer = language_study_answer(of_one(**changes))
    assert answer.confidence == word
    assert answer.why.startswith(why)


def test_sizes_that_tell_nothing_of_what_is_to_come_are_named():
    assert not [sentence for sentence in language_study_answer(of_one()).more if "goes on from" in sentence]
    (told,) = [of for of in language_study_answer(of_one(through=800)).more if "goes on from" in of]
    assert told == (
        "The curve goes on from 800 samples: smaller trainings have fewer than 100 updates, in which a language model "
        "learns the format of the answers."
    )
    next_steps = language_study_answer(of_one(through=800)).next_steps
    assert next_steps[1].endswith("--target LOSS`, without the rows below 800 samples.")


def test_a_leader_that_is_close_to_another_is_not_sure():
    near = {"lora(8)": 1.01, "full": 1.0}
    trained = [cell for name, limit in near.items() for cell in cells(name, limit)]
    made = result(methods=[method(name, limit) for name, limit in near.items()], cells=trained)
    assert language_study_answer(made).confidence == "medium"


def test_what_is_next_depends_on_what_is_at_hand():
    assert language_study_answer(of_one(pool=6400)).next_steps[0].startswith("Study sizes up to 6,400 samples")
    first, second = language_study_answer(of_one()).next_steps
    assert first.startswith("Collect 1,600 samples more if a perplexity of 2.97 in place of 3.08 is worth them")
    assert second.startswith("To ask for the size that reaches a loss: `suffice curve cells.csv --metric loss")
    assert "smaller `--learning-rate`" in language_study_answer(of_one(pretrained_loss=1.05)).next_steps[0]


def test_trainings_that_see_a_part_of_their_samples_decide_nothing():
    made = of_one()
    made = made.model_copy(update={"cells": [cell.model_copy(update={"seen": 400}) for cell in made.cells]})
    answer = language_study_answer(made)
    assert (answer.confidence, answer.why) == ("low", "the longest trainings do not see all of their samples")
    assert answer.next_steps[0].startswith("Let each training see all of its samples: take `--epochs`")
    assert not [step for step in answer.next_steps if "ollect" in step]


def test_without_a_training_there_is_nothing_to_draw():
    nothing = {"sizes": [], "loss": band([]), "perplexity": band([]), "predicted": None, "drawn": None}
    lost = method("full", 1.0) | nothing | {"last_fall": None, "unpredicted": "no training finished"}
    made = result(methods=[lost], cells=cells("full", 1.0, status="diverged"))
    assert language_study_answer(made).confidence == "cannot tell"
    assert language_study_figures(made) == []


def test_figures_show_means_trainings_and_what_is_ahead():
    loss, perplexity = language_study_figures(result())
    lora = loss.curves[:3]
    assert [curve.style for curve in lora] == ["joined", "circles", "dashed"]
    assert (len(lora[1].x), lora[2].x[0], lora[2].x[-1]) == (15, 1600, 12800)
    assert [(mark.axis, mark.value) for mark in loss.marks] == [("y", 2.5)]
    for one, other in zip(loss.curves[:6], perplexity.curves[:6], strict=True):
        assert other.y == pytest.approx([math.exp(value) for value in one.y])
    assert perplexity.marks == []
    assert perplexity.caption.endswith("Before any training it is 12.2, above these axes.")


def test_the_page_is_written_and_names_its_command(tmp_path):
    made = result()
    write_result(made, tmp_path)
    write_report(read_result(tmp_path), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<b>full</b>" not in page
    assert "builtin:&lt;i&gt;lm" in page
    assert command_of(made) == "suffice study 'builtin:<i>lm</i>' sums.jsonl"
    titles = [section.title for section in page_of(made).sections]
    assert titles[:2] == ["All sizes", "All trainings"]


def test_means_over_tokens_are_not_compared_with_means_over_samples(tmp_path):
    runs = {tmp_path / "one": of_one(), tmp_path / "two": of_one("lora(8)", 1.2, unit="token")}
    with pytest.raises(InputError, match=r"two is the mean over tokens, and that of .*one the mean over samples: give"):
        compare_runs(runs)
    run = {"samples": 100, "steps": 100, "slope": {"value": 0.1, "low": 0.0, "high": 0.2}, "covariate": None}
    forecast = curve_result(metric="loss", one_run=run | {"unit": "token"})
    with pytest.raises(InputError, match="give runs of one --unit"):
        compare_runs({tmp_path / "one": of_one(), tmp_path / "two": forecast})
    of_tokens = of_one("lora(8)", 1.2, unit="token")
    assert compare_runs({tmp_path / "one": of_one(unit="token"), tmp_path / "two": of_tokens}).metric == "loss"


def test_two_studies_are_compared_by_their_loss(tmp_path):
    compared = compare_runs({tmp_path / "one": of_one(), tmp_path / "two": of_one("lora(8)", 1.2)})
    assert compared.metric == "loss"
    assert set(compared.leaders) == {name for name in compared.means if "full" in name}
