"""`suffice check` of prompts, conversations and texts: what they hold, and what a model makes of them."""

import json

import pytest

from suffice import InputError
from suffice.cli.main import commands
from suffice.configuration.language import LanguageCheckConfig
from suffice.runs.texts_summary import check_texts, texts_in_words


def write(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.fixture
def sums(tmp_path):
    rows = [{"prompt": f"{a} + {b}?", "completion": str(a + b)} for a in range(5) for b in range(4)]
    return write(tmp_path / "sums.jsonl", [*rows, rows[0], {"prompt": "1 + 1?", "completion": "It is two."}])


def test_prompts_and_their_test_data(sums, tmp_path):
    others = [{"prompt": f"9 + {n}?", "completion": str(9 + n)} for n in range(5)]
    known = [{"prompt": "0 + 1?", "completion": "1"}, {"prompt": "0 + 2?", "completion": "3"}]
    test = write(tmp_path / "test.jsonl", [*others, *known])
    found = check_texts(LanguageCheckConfig(data=sums, test=test))
    assert (found.samples, found.copies, found.contradicting) == (22, 1, 1)
    assert (found.prompts.shortest, found.answers.longest) == (6, 10)
    assert found.longest.endswith("line 22")
    assert (found.test.overlap, found.test.prompts) == (1, 1)
    assert [sentence.replace(f"{tmp_path}/", "") for sentence in texts_in_words(found)] == [
        "sums.jsonl: 22 prompts with completions.",
        "Prompts have 6 to 6 characters, 6 in the median.",
        "Completions have 1 to 10 characters, 1 in the median. The longest sample is sums.jsonl, line 22.",
        "1 sample is a copy of another: sizes count different ones.",
        "1 prompt comes with different answers, such as sums.jsonl, line 6 and sums.jsonl, line 22.",
        "test.jsonl: 7 samples to test on.",
        "1 of these is among the samples at hand, such as test.jsonl, line 6: a forecast does not test on them.",
        "1 of these has a prompt that is among those at hand with another answer: the test loss may be too low.",
    ]


def test_conversations_and_texts(tmp_path):
    says = [("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?"), ("assistant", "four")]
    messages = [{"role": role, "content": content} for role, content in says]
    talks = write(tmp_path / "talks.jsonl", [{"messages": messages}])
    apart = write(tmp_path / "apart.jsonl", [{"prompt": messages[:3], "completion": messages[3:]}])
    one, two = (check_texts(LanguageCheckConfig(data=file)) for file in (talks, apart))
    assert (one.kind, two.kind) == ("messages", "completion")
    assert one.prompts == two.prompts
    assert one.answers == two.answers
    assert one.answers.longest == 4
    plain = check_texts(LanguageCheckConfig(data=write(tmp_path / "texts.jsonl", [{"text": "A"}, {"text": "Bee"}])))
    assert (plain.prompts, plain.answers.longest, plain.contradicting) == (None, 3, 0)
    assert texts_in_words(plain)[1].startswith("Texts have 1 to 3 characters")


def test_the_command_counts_tokens(sums, capsys):
    commands(["check", sums, "--model", "builtin:tiny-lm"], standalone_mode=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "For builtin:tiny-lm a sample has 8 to " in said
    assert ", and may have 512. The loss counts on 2 to " in said
    commands(["check", sums, "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["samples"], told["tokens"]) == ("completion", 22, None)


def test_data_of_classifiers_stay_so(tmp_path, capsys):
    labelled = write(tmp_path / "labelled.jsonl", [{"text": f"A {n}", "label": n % 2} for n in range(8)])
    commands(["check", labelled], standalone_mode=False)
    assert "8 texts of 2 classes" in capsys.readouterr().out
    stars = write(tmp_path / "stars.jsonl", [{"text": "A", "stars": "1"}])
    with pytest.raises(InputError, match="no column 'label'"):
        commands(["check", stars], standalone_mode=False)
    sums = write(tmp_path / "sums.jsonl", [{"prompt": "A", "completion": "B"}])
    with pytest.raises(
        InputError, match="--min-per-class is for classifiers, and .* is for a language model: leave it"
    ):
        commands(["check", sums, "--min-per-class", "3"], standalone_mode=False)
