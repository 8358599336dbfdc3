"""Texts for a language model, from tables and data sets."""

import json

import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from suffice import InputError
from suffice.data.completions import Columns, Completion, load_completions

ROWS = [{"question": "1 + 1?", "answer": "It is 2."}, {"question": "2 + 3?", "answer": "It is 5."}]
EXPECTED = [Completion("1 + 1?", "It is 2."), Completion("2 + 3?", "It is 5.")]


def jsonl(folder, rows):
    file = folder / "a.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def listed(texts):
    return [texts[row] for row in range(len(texts))]


def test_every_kind_of_file_holds_the_same(tmp_path):
    frame = pd.DataFrame([row | {"more": 1} for row in ROWS])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    Dataset.from_pandas(frame).save_to_disk(tmp_path / "whole")
    parts = {"train": Dataset.from_pandas(frame), "test": Dataset.from_pandas(frame[:1])}
    DatasetDict(parts).save_to_disk(tmp_path / "parts")
    for name in ("a.csv", "a.parquet", "a.json", "whole", "parts"):
        assert listed(load_completions(str(tmp_path / name))) == EXPECTED, name
    assert listed(load_completions(jsonl(tmp_path, ROWS))) == EXPECTED
    assert listed(load_completions(str(tmp_path / "parts"), Columns(split="test"))) == EXPECTED[:1]
    with pytest.raises(InputError, match="no split 'mine'; there are train, test"):
        load_completions(str(tmp_path / "parts"), Columns(split="mine"))


def test_columns_by_name(tmp_path):
    source = jsonl(tmp_path, [{"text": "A", "ask": "B", "say": "C"}])
    assert load_completions(source)[0] == "A"
    assert load_completions(source, Columns(prompt="ask", completion="say"))[0] == Completion("B", "C")
    assert load_completions(source, Columns(text="ask"))[0] == "B"


ANSWER = {"role": "assistant", "content": "B"}


def test_the_text_of_a_message_may_come_in_parts(tmp_path):
    parts = [{"type": "text", "text": "A "}, {"type": "text", "text": "or B?"}]
    rows = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": [parts[0]]}]}
    (tmp_path / "parts.jsonl").write_text(json.dumps(rows))
    found = load_completions(str(tmp_path / "parts.jsonl"))
    assert [message["content"] for message in found[0]] == ["A or B?", "A "]


SAYS = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "It is 2."}]


def test_prompts_and_completions_may_be_messages(tmp_path):
    earlier = [{"role": "system", "content": "Be short."}, *SAYS, SAYS[0]]
    found = load_completions(jsonl(tmp_path, [{"prompt": earlier, "completion": SAYS[1:]}] * 2))
    assert (found.kind, found[1]) == ("completion", Completion(earlier, SAYS[1:]))
    assert len(set(found.contents())) == 1
    pd.DataFrame([{"prompt": earlier, "completion": SAYS[1:]}]).to_parquet(tmp_path / "a.parquet")
    assert load_completions(str(tmp_path / "a.parquet"))[0] == found[0]
    Dataset.from_list([{"prompt": earlier, "completion": SAYS[1:]}]).save_to_disk(tmp_path / "set")
    again = load_completions(str(tmp_path / "set"))
    assert again[0] == found[0]
    assert again.fingerprint() == load_completions(str(tmp_path / "a.parquet")).fingerprint()


def test_the_delimiter_is_found_without_names_of_columns(tmp_path):
    (tmp_path / "a.csv").write_text("prompt;completion\n1, 2, 3?;4, 5\nOne?;Two\n")
    found = load_completions(str(tmp_path / "a.csv"))
    assert listed(found) == [Completion("1, 2, 3?", "4, 5"), Completion("One?", "Two")]
    (tmp_path / "b.csv").write_text('text\n"One, two"\nThree; four\n')
    assert listed(load_completions(str(tmp_path / "b.csv"))) == ["One, two", "Three; four"]
    (tmp_path / "c.csv").write_text("prompt;completion\n" + "1?;2\n" * 9, encoding="cp1252")
    assert len(load_completions(str(tmp_path / "c.csv"), Columns(delimiter="semicolon", encoding="cp1252"))) == 9


def test_messages(tmp_path):
    says = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
    Dataset.from_list([{"messages": says, "text": "not this"}]).save_to_disk(tmp_path / "set")
    found = load_completions(str(tmp_path / "set"))
    assert (found.kind, found[0]) == ("messages", says)


def test_contents_make_the_fingerprint(tmp_path):
    first = load_completions(jsonl(tmp_path, ROWS)).fingerprint()
    assert load_completions(jsonl(tmp_path, ROWS)).fingerprint() == first
    assert load_completions(jsonl(tmp_path, ROWS[::-1])).fingerprint() != first


def test_some_rows_keep_their_lines(tmp_path):
    some = load_completions(jsonl(tmp_path, ROWS)).subset([1])
    assert (listed(some), some.describe(0)[-6:]) == (EXPECTED[1:], "line 2")


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        ([{"body": "A", "kind": "B"}], Columns(), r"or 'text'; there are 'body', 'kind'; name them with --prompt"),
        (ROWS, Columns(prompt="query", completion="answer"), r"no column 'query'.*'question', 'answer'.*--prompt-col"),
        ([{"prompt": "A", "completion": " "}], Columns(), r"line 1: the completion \('completion'\) is empty; fill it"),
        ([{"text": ""}], Columns(), r"line 1: the text \('text'\) is empty; fill it in or remove the line"),
        ([{"text": "A"}, {"text": ""}, {"text": " "}], Columns(),
         r"line 2: the text \('text'\) is empty, as in 1 more line; fill them in or remove these lines"),
        ([{"prompt": SAYS[:1], "completion": "It is 2."}], Columns(),
         r"line 1: 'prompt' is a list of messages, and 'completion' is none: give both as texts, or both as lists"),
        ([{"prompt": "1 + 1?", "completion": SAYS[1:]}], Columns(),
         r"line 1: 'completion' is a list of messages, and 'prompt' is none"),
        ([{"prompt": SAYS[:1], "completion": SAYS[:1]}], Columns(), r'line 1: no message has the role "assistant"'),
        ([{"prompt": SAYS, "completion": SAYS[1:]}], Columns(), r"line 1: the prompt ends with its completion"),
        ([{"prompt": [{"role": "user"}], "completion": SAYS[1:]}], Columns(), "line 1: messages are a list of objects"),
        ([{"prompt": "A", "completion": None}], Columns(), r"line 1: 'completion' is missing"),
        ([{"prompt": ["A"], "completion": "B"}], Columns(), r"line 1: 'prompt' is no text, but list"),
        ([{"prompt": "Sum? It is five.", "completion": "It is five."}] * 3, Columns(),
         r"line 1: the prompt ends with its completion, as in 2 more samples: give the prompt and the completion ap"),
        ([{"prompt": "What is 2 + 3?", "completion": "What is 2 + 3? 5"}], Columns(),
         r"line 1: the completion begins with its prompt: give"),
        (
            [{"messages": [{"role": "user", "content": [{"type": "image", "url": "a.png"}]}, ANSWER]}],
            Columns(),
            r"line 1: the content of a message is .*image.*; it is a text, or a list of",
        ),
        ([{"messages": []}], Columns(), r"line 1: messages are a list of objects"),
        ([{"messages": [{"role": "user", "content": "A"}]}], Columns(), r'line 1: no message has the role "assistant"'),
        ([{"messages": [{"role": "assistant", "content": ""}]}], Columns(), r"a message of the assistant is empty"),
    ],
)  # fmt: skip
def test_what_is_refused(rows, columns, said, tmp_path):
    with pytest.raises(InputError, match=said):
        load_completions(jsonl(tmp_path, rows), columns)


def test_answers_that_are_to_be_found_in_a_text_are_kept_and_counted(tmp_path):
    rows = [{"prompt": f"On day {n} it rained all day. And?", "completion": "it rained all day"} for n in range(9)]
    (note,) = load_completions(jsonl(tmp_path, [*rows, {"prompt": "A", "completion": "B"}])).notes
    assert note.endswith("line 1: the prompt contains its completion; so it is in 9 of 10 samples, which are kept.")


def test_a_rare_repetition_is_kept_and_said(tmp_path):
    rows = [{"prompt": f"Say {n}", "completion": f"{n}"} for n in range(30)]
    rows.append({"prompt": "Repeat after me: repetition", "completion": "repetition"})
    found = load_completions(jsonl(tmp_path, rows))
    assert (len(found), found.notes) == (31, (found.notes[0],))
    assert found.notes[0].endswith(
        "line 31: the prompt ends with its completion; so it is in 1 of 31 samples, which are kept."
    )


def test_columns_that_do_not_go_together():
    with pytest.raises(InputError, match=r"--prompt-column goes with --completion-column: give both"):
        Columns(prompt="ask")
    with pytest.raises(InputError, match="--text-column and --messages-column exclude each other"):
        Columns(text="a", messages="b")


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="no such file or folder; give JSONL, CSV, Parquet or a folder of datasets"):
        load_completions(str(tmp_path / "nothing.jsonl"))
    with pytest.raises(InputError, match="no table and no folder of datasets"):
        load_completions(str(tmp_path))
