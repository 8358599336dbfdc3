"""What is asked of scores that any trainer measured: ``suffice curve`` and ``suffice monitor``."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from suffice.configuration.base import Config
from suffice.configuration.values import at_commas


class ScoresConfig(Config):
    """Scores that any trainer measured at some sizes."""

    scores: list[str] = Field(
        min_length=1,
        description="tables (.csv, .tsv, .txt, .jsonl) with columns size and score, and error and cost if known; run "
        "folders of Trainer or Lightning; NPZ files of scikit-learn's learning_curve",
    )
    metric: Literal["accuracy", "error", "loss", "score"] = Field(
        default="accuracy",
        description="what the scores are: accuracy (0 to 1, rises), error (0 to 1, falls), loss (falls), or score (any "
        "scale, rises)",
    )
    size_column: str = Field(default="size", description="column of the sizes in a table")
    score_column: str = Field(
        default="score", description="column of the scores in a table, or the metric of a run, such as eval_accuracy"
    )
    size_of: list[str] | None = Field(
        default=None,
        description="RUN=N, the number of training samples of a run folder; repeat the flag for each folder",
    )
    kind: str = Field(
        default="any",
        description="kind of learner whose curves are the prior: any; for accuracy and error also linear, kernel, "
        'trees, network, density; for a loss also "language model"',
    )

    @field_validator("scores", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("size_of", mode="before")
    @classmethod
    def _pairs_of_a_mapping(cls, value: Any) -> Any:
        """In a file, a mapping may stand for the list."""
        if isinstance(value, dict):
            return [f"{run}={count}" for run, count in value.items()]
        return [value] if isinstance(value, str) else value

    @field_validator("size_of")
    @classmethod
    def _are_sizes_of_runs(cls, entries: list[str] | None) -> list[str] | None:
        for entry in entries or []:
            run, _, count = entry.rpartition("=")
            if not run or not count.isdecimal() or int(count) == 0:
                raise PydanticCustomError("size_of", "give RUN=N, such as runs/a=400")
        return entries

    def sizes_of(self) -> dict[str, int]:
        """The number of training samples of each run folder in ``size_of``; the last one counts."""
        pairs = [entry.rpartition("=") for entry in self.size_of or []]
        return {run: int(count) for run, _, count in pairs}


class CurveConfig(ScoresConfig):
    """The configuration of ``suffice curve``.

    Example:
        >>> CurveConfig(scores=["runs/a", "runs/b"], size_of=["runs/a=100", "runs/b=400"]).sizes_of()
        {'runs/a': 100, 'runs/b': 400}
    """

    target: float | None = Field(default=None, description="score to reach, such as 0.9 for an accuracy of 90%")
    assurance: float | None = Field(
        default=None, description="probability with which the size is to reach the target, such as 0.8; 0.5 by default"
    )
    of: Literal["mean", "next"] = Field(
        default="mean",
        description="what is to reach the target: mean, the score averaged over training sets and seeds, or next, the "
        "next model, which adds the variance between trainings",
    )
    sizes: list[Annotated[int, Field(ge=1)]] | None = Field(
        default=None,
        description="sizes to predict, such as 1000,2000; by default 1, 2, 4, 8 and 16 times the largest measured",
    )
    samples: int | None = Field(
        default=None,
        ge=1,
        description="samples at hand, for what to train next; by default as many as the largest measured size",
    )

    @field_validator("sizes", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return at_commas(value)


class MonitorConfig(ScoresConfig):
    """The configuration of ``suffice monitor``."""

    gain: float | None = Field(
        default=None,
        gt=0,
        description="stop when doubling the labels would bring less than this in the score, such as 0.02 for 2 points",
    )
    target: float | None = Field(default=None, description="or stop at this score, such as 0.9 for an accuracy of 90%")
    batch: int | None = Field(
        default=None, ge=1, description="labels of a batch; by default the last difference of sizes"
    )
    pool: int | None = Field(default=None, ge=1, description="samples that could be labelled, those that are included")
    assurance: float = Field(
        default=0.95, ge=0.5, lt=1, description="probability that is enough to stop, or to promise a target"
    )
    holdout: int | None = Field(
        default=None, ge=2, description="samples of the hold-out, from which the errors of accuracies follow"
    )
    validation: Literal["random", "chosen"] = Field(
        default="random",
        description="how the hold-out was drawn: random, or chosen, as actively chosen batches are, which is refused",
    )
