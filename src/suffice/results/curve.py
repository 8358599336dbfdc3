"""Results of ``suffice curve``."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from suffice.results.interval import Band, Estimate, Numbers
from suffice.results.predicted import Metric
from suffice.results.recording import Unit
from suffice.results.sufficient_size import SufficientSize
from suffice.results.value import Value
from suffice.shown import Shown


class Training(Value):
    """One training whose score was given."""

    size: int = Field(description="number of training samples")
    score: float = Field(description="score on unseen samples")
    error: float | None = Field(default=None, description="standard error of the score, where it was given")
    cost: float | None = Field(default=None, description="cost of the training, where it was given")


class Reached(Value):
    """Probabilities at each size that the target is reached."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    mean: Numbers = Field(description="by the score averaged over training sets and seeds")
    next: Numbers = Field(description="by the next model, which adds the variance between trainings")


class Predictions(Value):
    """The predicted curve at some sizes."""

    sizes: list[int] = Field(description="numbers of training samples")
    score: Band = Field(description="the score averaged over training sets and seeds, with its interval")
    reached: Reached | None = Field(default=None, description="probability to reach the target; null without a target")


class NextTrainings(Value):
    """What to train next to narrow the interval of the answer."""

    size: int = Field(description="number of training samples")
    seeds: int = Field(description="how many trainings on so many samples, each on other ones")
    interval_left: float = Field(description="expected width of the interval after them, over its width now")
    explanation: str = Field(description="one plain sentence for people, which no program reads")


class Costs(Value):
    """What trainings should cost, taken as proportional to their samples, in the unit of the given costs."""

    per_sample: float = Field(description="sum of the given costs over the sum of the sizes")
    at_size: float | None = Field(description="of a training on as many samples as the answer says; null without one")
    next_trainings: float | None = Field(description="of all that should be trained next; null without that")


class AccuracyAt(Value):
    """How many completions have the right answer, at one point of a run."""

    seen: int = Field(description="samples that the weights had been trained on; 0 for the pretrained model")
    right: int = Field(description="completions whose answer is that of the reference")
    unmatched: int = Field(description="completions without an answer, which count as wrong")
    unended: int = Field(description="completions that were cut, as they had the most tokens that one may have")
    accuracy: Estimate = Field(description="share of the completions that are right, with its interval")


class GeneratedAccuracy(Value):
    """The accuracy by generation: greedy completions of the hold-out's prompts, compared with their references."""

    pattern: str = Field(description="regular expression whose first group is the answer, or exact")
    samples: int = Field(description="number of prompts")
    tokens: int = Field(description="tokens that a completion may have")
    at: list[AccuracyAt] = Field(description="before the training, at half of its samples where measured, and after it")


class OneRunFound(Value):
    """What one recorded run says of more samples."""

    samples: int = Field(description="k0, the training samples of an epoch")
    steps: int = Field(description="updates in the first epoch")
    slope: Estimate = Field(description="fall of the loss from k0 to twice k0, with its interval")
    covariate: float | None = Field(
        description="coefficient of the pretrained model's losses; null where these were not measured"
    )
    trained: str | None = Field(
        default=None, description="the method and the model that suffice trained; null of a run made elsewhere"
    )
    shorter: list[int] = Field(default=[], description="training samples of the shorter runs beside it")
    narrowed: float | None = Field(
        default=None,
        description="half-width of the slope's interval that runs at a half and a quarter of the samples should leave; "
        "null where there are some, or of files of earlier versions",
    )
    unit: Unit = Field(
        default="sample",
        description="what counts alike in the losses: sample, each with its mean over tokens, or token",
    )
    generated: GeneratedAccuracy | None = Field(
        default=None, description="accuracy by generation; null where it was not asked for"
    )


class CurveResult(Value, Shown):
    """The content of ``result.json`` of ``suffice curve``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["curve"] = Field(default="curve", description="the command that made it")
    sources: list[str] = Field(description="tables, run folders and arrays with the scores")
    metric: Metric = Field(
        description="what the scores are; accuracy and score rise with more samples, error and loss fall"
    )
    trainings: list[Training] = Field(description="the given scores, by size")
    predicted: Predictions = Field(description="the curve at the sizes that were asked for")
    drawn: Predictions = Field(description="the curve at the sizes at which it is drawn")
    answer: SufficientSize | None = Field(description="the size that reaches the target; null without a target")
    next_trainings: NextTrainings | None = Field(description="what to train next; null without a size to narrow")
    costs: Costs | None = Field(description="of trainings; null where no costs were given")
    one_run: OneRunFound | None = Field(
        default=None, description="the run behind the scores; null where they come from several trainings"
    )
    notes: list[str] = Field(description="notes on the inputs")
    confidence: float = Field(gt=0, lt=1, description="confidence of the intervals of the curve")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
