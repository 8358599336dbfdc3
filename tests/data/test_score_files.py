"""Scores from tables, runs of trainers and arrays: what is read, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import learning_curve

from suffice import InputError
from suffice.data import load_scores

LOG = [
    {"step": 10, "loss": 0.9},
    {"step": 10, "eval_loss": 0.8, "eval_accuracy": 0.6},
    {"step": 20, "eval_loss": 0.7, "eval_accuracy": 0.75},
    {"train_runtime": 3.0},
]


@pytest.fixture
def trainer_run(tmp_path):
    folder = tmp_path / "run"
    for step, rows in ((9, LOG[:2]), (20, LOG)):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    return folder


@pytest.fixture
def lightning_run(tmp_path):
    folder = tmp_path / "version_0"
    folder.mkdir()
    (folder / "metrics.csv").write_text("epoch,step,train_loss,val_acc\n0,9,0.5,\n0,9,,0.61\n1,19,0.4,\n1,19,,0.68\n")
    return folder


def written(tmp_path, content, name="scores.csv"):
    (tmp_path / name).write_text(content)
    return str(tmp_path / name)


numbers = st.lists(st.tuples(st.integers(1, 10**9), st.floats(-1e6, 1e6), st.floats(0, 1e3)), min_size=1, max_size=8)


@given(rows=numbers, kind=st.sampled_from([".csv", ".tsv", ".jsonl"]))
def test_a_table_gives_back_what_was_written(tmp_path_factory, rows, kind):
    names = ("size", "score", "error")
    if kind == ".jsonl":
        content = "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows)
    else:
        separator = "," if kind == ".csv" else "\t"
        content = "\n".join(separator.join(map(str, row)) for row in [names, *rows])
    found = load_scores([written(tmp_path_factory.mktemp("scores"), content, f"scores{kind}")])
    assert list(zip(found.sizes, found.scores, found.errors, strict=True)) == rows
    assert found.costs is None


def test_columns_can_have_other_names_and_further_ones_are_left_out(tmp_path):
    file = written(tmp_path, "n,seed,mAP,cost\n100,0,41.5,3\n200,0,44,6\n")
    found = load_scores([file], score="mAP", size="n")
    assert found.sizes.tolist() == [100, 200]
    assert found.scores.tolist() == [41.5, 44]
    assert found.costs.tolist() == [3, 6]


@pytest.mark.parametrize(
    ("content", "sizes", "scores", "said"),
    [
        ("size;score\n500;0,71\n2.000;0,8\n", [500, 2000], [0.71, 0.8], ["score '0,71' is read as 0.71", "2000"]),
        ('size,score\n500,71%\n"2,000",80.5 %\n', [500, 2000], [0.71, 0.805], ["score '71%' is read as 0.71", "2000"]),
        ("size;score\n500;0.7\n2 000;0.8\n1'000'000;0.9\n", [500, 2000, 1e6], [0.7, 0.8, 0.9], ["2000"]),
        ("size,score\n500.0,0.7\n2000.0,0.812\n", [500, 2000], [0.7, 0.812], []),
    ],
    ids=["decimal comma", "percent", "blanks and apostrophes", "as a computer writes"],
)
def test_numbers_as_people_write_them_are_read_and_that_is_said(tmp_path, content, sizes, scores, said):
    found = load_scores([written(tmp_path, content)])
    assert (found.sizes.tolist(), found.scores.tolist()) == (sizes, scores)
    assert len(found.notes) == len(said)
    assert all(word in note for word, note in zip(said, found.notes, strict=True))


def test_the_last_value_of_a_run_counts_and_that_is_said(trainer_run, lightning_run):
    sources = [str(trainer_run), str(lightning_run)]
    first = load_scores(sources[:1], score="eval_accuracy", sizes_of={sources[0]: 500})
    assert (first.sizes.tolist(), first.scores.tolist()) == ([500], [0.75])
    assert first.notes == [f"{sources[0]}: the last of 2 values of eval_accuracy counts"]
    second = load_scores(sources[1:], score="val_acc", sizes_of={sources[1] + "/": 800})
    assert (second.sizes.tolist(), second.scores.tolist()) == ([800], [0.68])


@pytest.mark.parametrize("names", [("train_sizes", "test_scores"), ("arr_0", "arr_2")])
def test_arrays_of_learning_curves(tmp_path, names):
    sizes, scores = np.array([10, 20, 40]), np.random.default_rng(0).uniform(size=(3, 5))
    arrays = dict(zip(names, (sizes, scores), strict=True)) | {"arr_1": scores + 1}
    np.savez(tmp_path / "curve.npz", **arrays)
    found = load_scores([str(tmp_path / "curve.npz")])
    assert found.sizes.tolist() == np.repeat(sizes, 5).tolist()
    assert found.scores.tolist() == scores.ravel().tolist()


def test_the_arrays_are_those_that_scikit_learn_gives(tmp_path):
    x, y = load_iris(return_X_y=True)
    made = learning_curve(LogisticRegression(), x, y, train_sizes=[30, 60], cv=3, shuffle=True, random_state=0)
    np.savez(tmp_path / "curve.npz", *made)
    found = load_scores([str(tmp_path / "curve.npz")])
    assert found.sizes.tolist() == [30, 30, 30, 60, 60, 60]
    assert found.scores.tolist() == made[2].ravel().tolist()


def test_the_fingerprint_is_that_of_the_numbers(tmp_path):
    one = load_scores([written(tmp_path, "size,score\n10,0.5\n", "a.csv")])
    same = load_scores([written(tmp_path, "score\tsize\n0.50\t10\n", "b.tsv")])
    other = load_scores([written(tmp_path, "size,score\n10,0.51\n", "c.csv")])
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("size,acc\n10,0.5\n", r"no 'score'; there are 'size', 'acc'; give one with --score-column"),
        ("sizes,score\n10,0.5\n", r"no 'size'; did you mean \"sizes\".*--size-column"),
        ("size,score\n10,82 percent\n", r"line 2: score is '82 percent', and has to be a number"),
        ("size,score\n1e300,0.5\n", r"line 2: size is '1e300', and no training has more than 10\^15 samples"),
        ("size,score\n500,0.7\n1.000,0.8\n", r"size '1.000' could be 1 or 1000; write .* as in 1000"),
        ('size,score\n500,"0,7"\n"1,000","0,8"\n', r"size '1,000' could be 1000 or 1; write .* as in 1000"),
        ('size,score\n500,"41,500"\n', r"score '41,500' could be 41500 or 41.5; write .* with a decimal point"),
        ("size,score\n10,nan\n", r"line 2: score is 'nan'"),
        ("size,score\n10\n", r"line 2: has 1 field, and the first line 2"),
        ("size,score,score\n10,1,2\n", r"2 columns are named 'score'"),
        ("size,score,error\n10,0.5,0.1\n20,0.6,\n", r"1 of 2 scores come with 'error'"),
        ("", "is empty"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        _ = load_scores([written(tmp_path, content)]).errors


def test_runs_that_do_not_tell_are_refused(tmp_path, trainer_run):
    run = str(trainer_run)
    with pytest.raises(InputError, match=f"give its number of training samples with --size-of {run}=N"):
        load_scores([run], score="eval_accuracy")
    with pytest.raises(InputError, match=r"no 'accuracy'; did you mean \"eval_accuracy\""):
        load_scores([run], score="accuracy", sizes_of={run: 5})
    with pytest.raises(InputError, match="--size-of elsewhere: not among the sources"):
        load_scores([run], score="eval_accuracy", sizes_of={run: 5, "elsewhere": 5})
    (trainer_run / "trainer_state.json").write_text('{"log_history": 3}')
    with pytest.raises(InputError, match="not the state of a Trainer"):
        load_scores([run], score="eval_accuracy", sizes_of={run: 5})
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no trainer_state.json and no metrics.csv in it"):
        load_scores([str(tmp_path / "empty")], sizes_of={str(tmp_path / "empty"): 5})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"sizes": np.ones(3)}, "has sizes; it needs train_sizes and test_scores"),
        ({"train_sizes": np.ones(3), "test_scores": np.ones((2, 5))}, r"give \(n,\) and \(n, repeats\)"),
        ({"train_sizes": np.ones(1), "test_scores": np.array([[np.nan]])}, r"test_scores\[0\]: test_scores is .*nan"),
        ({"train_sizes": np.array([None]), "test_scores": np.ones((1, 1))}, "not an NPZ of plain arrays"),
    ],
)
def test_arrays_that_are_none_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "curve.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_scores([str(tmp_path / "curve.npz")])


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        load_scores([str(tmp_path / "none.csv")])
    with pytest.raises(InputError, match=r"scores are a table .*, an NPZ, or a run's folder"):
        load_scores([written(tmp_path, "x", "notes.md")])
    file = written(tmp_path, "size,score\n10,0.5\n")
    with pytest.raises(InputError, match="for folders of runs only"):
        load_scores([file], sizes_of={file: 10})
