"""Scores of trainings on different numbers of samples: from tables, runs of trainers, or arrays."""

import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from suffice.data.tables import TABLES, open_table, read_table
from suffice.data.zipped import refuse_bomb
from suffice.digest import digest
from suffice.errors import InputError, nearest
from suffice.numerals import Sign, decimal_sign, is_separated, number_of

SIZE, SCORE, ERROR, COST = "size", "score", "error", "cost"
"""Columns of a table; the first two have to be there."""

TRAINER, LIGHTNING = "trainer_state.json", "metrics.csv"
"""What the Trainer of Hugging Face and Lightning's CSVLogger leave in a run's folder."""

ARRAYS = (("train_sizes", "test_scores"), ("train_sizes_abs", "test_scores"), ("arr_0", "arr_2"))
"""Names of sizes and scores in an NPZ of scikit-learn's `learning_curve`, whose first and third result they are."""


LOOKS = ("sizes", "sample_scores")
"""Names of the sizes (looks,) and the scores of each sample of a hold-out (looks, holdout) in an NPZ of looks."""

LARGEST = 10**15
"""Samples; no training has more."""


@dataclass(frozen=True)
class Score:
    """One training.

    Attributes:
        size: number of training samples.
        score: on unseen samples.
        error: standard error of the score, if known.
        cost: of the training, if known.
        source: where it stands, for messages.
    """

    size: float
    score: float
    error: float | None = None
    cost: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Scores:
    """Scores of trainings on different numbers of samples.

    Attributes:
        trainings: in the order of the sources.
        notes: which number was taken, where a run has several.
    """

    trainings: Sequence[Score]
    notes: Sequence[str] = ()

    @property
    def sizes(self) -> Float64[np.ndarray, " trainings"]:
        return np.array([training.size for training in self.trainings], dtype=np.float64)

    @property
    def scores(self) -> Float64[np.ndarray, " trainings"]:
        return np.array([training.score for training in self.trainings], dtype=np.float64)

    @property
    def errors(self) -> Float64[np.ndarray, " trainings"] | None:
        """None where no training has one."""
        return _all_or_none([training.error for training in self.trainings], ERROR)

    @property
    def costs(self) -> Float64[np.ndarray, " trainings"] | None:
        """None where no training has one."""
        return _all_or_none([training.cost for training in self.trainings], COST)

    def fingerprint(self) -> str:
        """The hash of all numbers."""
        return digest([[one.size, one.score, one.error, one.cost] for one in self.trainings])


def load_scores(
    sources: Sequence[str],
    score: str = SCORE,
    size: str = SIZE,
    sizes_of: Mapping[str, int] | None = None,
) -> Scores:
    """The scores in tables, run folders, or arrays.

    A table (.csv, .tsv, .txt with tabs, .jsonl) has columns of sizes and scores, and may have ``error`` and ``cost``.
    Numbers may have a decimal comma, a percent sign or separators of thousands, see `suffice.numerals`. A
    run folder is one training: it holds ``trainer_state.json`` of Hugging Face's Trainer, in itself or in
    ``checkpoint-N``, or ``metrics.csv`` of Lightning's CSVLogger; its last value counts. An NPZ holds the arrays of
    scikit-learn's `learning_curve`: ``train_sizes`` (n,) and ``test_scores`` (n, repeats).

    Args:
        sources: tables, folders and NPZ files.
        score: the column of a table, or what a run calls the score, such as ``eval_accuracy``.
        size: the column of sizes of a table.
        sizes_of: number of training samples of each run folder, which its files do not tell.

    Raises:
        InputError: a source that holds no scores, a run without a size, a column that is not there, or what is no
            number.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "scores.csv"
        >>> _ = file.write_text("size,score,seed\\n100,0.7,0\\n100,0.72,1\\n200,0.78,0\\n")
        >>> scores = load_scores([str(file)])
        >>> scores.sizes.tolist(), scores.scores.tolist(), scores.errors
        ([100.0, 100.0, 200.0], [0.7, 0.72, 0.78], None)
    """
    known = {Path(run): count for run, count in (sizes_of or {}).items()}
    strange = [str(run) for run in known if run not in map(Path, sources)]
    if strange:
        raise InputError(f"--size-of {strange[0]}: not among the sources{nearest(strange[0], list(sources))}")
    found = [_scores_in(Path(source), score, size, known.get(Path(source))) for source in sources]
    return Scores(
        [training for scores in found for training in scores.trainings], [note for one in found for note in one.notes]
    )


def load_looks(
    path: Path,
) -> tuple[Float64[np.ndarray, " looks"], Float64[np.ndarray, "looks holdout"]] | None:
    """Sizes, and the score of each sample of one hold-out at each of them; None where a file is no NPZ of these.

    Raises:
        InputError: an NPZ of other names, arrays that do not go together, or no finite numbers.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "looks.npz"
        >>> np.savez(file, sizes=[100, 200], sample_scores=[[0, 1, 0], [0, 1, 1]])
        >>> sizes, scores = load_looks(file)
        >>> sizes.tolist(), scores.shape
        ([100.0, 200.0], (2, 3))
    """
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    held = _arrays_in(path)
    if not set(LOOKS) <= held.keys():
        if not any(set(names) <= held.keys() for names in ARRAYS):
            raise InputError(
                f"{path}: has {', '.join(held) or 'nothing'}; it needs sizes and sample_scores, the score of each "
                "sample, or train_sizes and test_scores"
            )
        return None
    sizes, scores = (held[name] for name in LOOKS)
    real = (np.integer, np.floating, np.bool_)
    numeric = all(any(np.issubdtype(of.dtype, kind) for kind in real) for of in (sizes, scores))
    if not numeric or sizes.ndim != 1 or scores.ndim != 2 or len(sizes) != len(scores) or not scores.size:
        raise InputError(
            f"{path}: sizes is {sizes.dtype} {sizes.shape} and sample_scores {scores.dtype} {scores.shape}: give "
            "numbers, (looks,) and (looks, holdout)"
        )
    for name, values in zip(LOOKS, (sizes, scores), strict=True):
        if not np.isfinite(values).all():
            at = tuple(np.argwhere(~np.isfinite(values))[0])
            raise InputError(
                f"{path}: {name}[{', '.join(map(str, at))}] is {values[at]:g}, and has to be a finite number"
            )
    return sizes.astype(np.float64), scores.astype(np.float64)


def _scores_in(path: Path, score: str, size: str, samples: int | None) -> Scores:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_dir():
        return _of_run(path, score, samples)
    if samples is not None:
        raise InputError(f"--size-of {path}: for folders of runs only; in a table the column {size!r} has the sizes")
    if path.suffix.lower() == ".npz":
        return Scores(list(_of_arrays(path)))
    if path.suffix.lower() not in TABLES:
        raise InputError(
            f"{path}: scores are a table ({', '.join(sorted(TABLES))}), an NPZ, or a run's folder with {TRAINER} or "
            f"{LIGHTNING}"
        )
    return _of_table(path, score, size)


def _of_table(path: Path, score: str, size: str) -> Scores:
    table = open_table(path, (size, score))
    rows = []
    for line, row in table.records():
        for flag, column in (("size", size), ("score", score)):
            if column not in row:
                raise InputError(f"{path}: {_none_called(column, row, flag)}")
        rows.append((table.where(line), row))
    columns = [score, *(name for name in (ERROR, COST) if name not in (score, size))]
    signs, notes = _signs(path, [row for _, row in rows], columns, size)
    trainings = []
    for where, row in rows:
        numbers = {
            name: _number(row[name], where, name, sign)
            for name, sign in signs.items()
            if name in (score, size) or row.get(name) not in (None, "")
        }
        _check_size(numbers[size], row[size], where, size)
        rest = {name: numbers.get(name) for name in columns[1:]}
        trainings.append(Score(numbers[size], numbers[score], **rest, source=where))
    return Scores(trainings, notes)


def _signs(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], size: str
) -> tuple[dict[str, Sign], list[str]]:
    """The decimal sign of each column, and what to say of it.

    Raises:
        InputError: separators that could be decimal or separate thousands.
    """
    found: dict[str, Sign] = {}
    notes = []
    for name in (*columns, size):
        words = [value for row in rows if isinstance(value := row.get(name), str)]
        sign = decimal_sign(words, name == size, "," if "," in found.values() else ".")
        if sign is None:
            example = next(word for word in words if number_of(word, ",") != number_of(word))
            wanted = "without separators, as in 1000" if name == size else "with a decimal point, as in 0.82"
            raise InputError(
                f"{path}: {name} {example[:50]!r} could be {number_of(example):.15g} or "
                f"{number_of(example, ','):.15g}; write the numbers of this column {wanted}"
            )
        found[name] = sign
        strange = next((word for word in words if is_separated(word, sign)), None)
        if strange is not None:
            notes.append(f"{path}: {name} {strange!r} is read as {number_of(strange, sign):.15g}")
    return found, notes


def _check_size(size: float, written: Any, where: str, name: str) -> None:
    if size > LARGEST:
        raise InputError(f"{where}: {name} is {str(written)[:50]!r}, and no training has more than 10^15 samples")


def _of_run(folder: Path, score: str, samples: int | None) -> Scores:
    file = _run_file(folder)
    if samples is None:
        raise InputError(f"{folder}: give its number of training samples with --size-of {folder}=N")
    rows = _trainer_log(file) if file.name == TRAINER else [row for _, row in open_table(file, (score,)).records()]
    values = [row[score] for row in rows if row.get(score) not in (None, "")]
    if not values:
        raise InputError(f"{file}: {_none_called(score, [name for row in rows for name in row], 'score')}")
    last = Score(samples, _number(values[-1], str(file), score), source=str(file))
    several = f"{folder}: the last of {len(values)} values of {score} counts" if len(values) > 1 else None
    return Scores([last], [several] if several else [])


def _run_file(folder: Path) -> Path:
    """Of the folder itself, or of the checkpoint after most steps."""
    for name in (TRAINER, LIGHTNING):
        if (folder / name).is_file():
            return folder / name
    steps = {
        int(found[1]): path
        for path in folder.glob(f"checkpoint-*/{TRAINER}")
        if (found := re.fullmatch(r"checkpoint-(\d+)", path.parent.name))
    }
    if not steps:
        raise InputError(f"{folder}: no {TRAINER} and no {LIGHTNING} in it; give a run's folder, or a table of scores")
    return steps[max(steps)]


def _trainer_log(file: Path) -> list[dict[str, Any]]:
    try:
        state = json.loads(read_table(file))
        log = state["log_history"]
        if not all(isinstance(row, dict) for row in log):
            raise TypeError
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not the state of a Trainer, which has a log_history") from error
    return list(log)


def _arrays_in(path: Path) -> dict[str, np.ndarray]:
    refuse_bomb(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not an NPZ of plain arrays ({error})") from error


def _of_arrays(path: Path) -> Iterator[Score]:
    held = _arrays_in(path)
    names = next((names for names in ARRAYS if set(names) <= held.keys()), None)
    if names is None:
        raise InputError(f"{path}: has {', '.join(held) or 'nothing'}; it needs train_sizes and test_scores")
    sizes, scores = (held[name] for name in names)
    if scores.ndim == 1:
        scores = scores[:, None]
    if sizes.ndim != 1 or scores.ndim != 2 or len(scores) != len(sizes):
        raise InputError(
            f"{path}: {names[0]} is {sizes.shape} and {names[1]} is {scores.shape}: give (n,) and (n, repeats)"
        )
    for index, size in enumerate(sizes):
        for value in scores[index]:
            where = f"{path}, {names[1]}[{index}]"
            _check_size(_number(size, where, names[0]), size, where, names[0])
            yield Score(_number(size, where, names[0]), _number(value, where, names[1]), source=where)


def _number(value: Any, where: str, name: str, sign: Sign = ".") -> float:
    try:
        number = number_of(value, sign) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, bool) or not math.isfinite(number):
        raise InputError(f"{where}: {name} is {str(value)[:50]!r}, and has to be a number")
    return number


def _none_called(name: str, names: Iterable[str], flag: str) -> str:
    there = list(dict.fromkeys(names))
    shown = ", ".join(map(repr, there[:20])) or "none"
    close = nearest(name, there)
    return f"no {name!r}{close}{' There' if close else '; there'} are {shown}; give one with --{flag}-column"


def _all_or_none(values: Sequence[float | None], name: str) -> Float64[np.ndarray, " trainings"] | None:
    given = [value for value in values if value is not None]
    if given and len(given) < len(values):
        raise InputError(f"{len(given)} of {len(values)} scores come with {name!r}: give it for all or for none")
    return np.array(given, dtype=np.float64) if given else None
