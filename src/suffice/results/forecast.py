"""Results of ``suffice forecast``."""

from typing import Any, Literal

from pydantic import Field, model_validator

from suffice.results.finding import Trust
from suffice.results.interval import Estimate
from suffice.results.learning_curve import LearningCurve
from suffice.results.sufficient_size import SufficientSize
from suffice.results.value import Value
from suffice.shown import Shown


class Measured(Value):
    """Loss and accuracy of models that are trained on some of the samples at hand and tested on the others."""

    size: int = Field(description="training samples of each model")
    loss: float = Field(description="mean loss on the other samples")
    accuracy: float = Field(description="accuracy on the other samples")


class Gain(Value):
    """Predicted improvement by more samples."""

    more: int = Field(description="samples to add")
    loss: Estimate = Field(description="decrease of the test loss")
    accuracy: Estimate = Field(description="increase of the test accuracy")
    worth: float | None = Field(
        default=None, description="probability that they bring more accuracy than they cost; null without a cost"
    )


class ClassGain(Value):
    """Predicted improvement by more samples of one class, weighted so that the classes keep their shares."""

    name: str = Field(description="name of the class")
    samples: int = Field(description="samples of the class at hand")
    recall: float = Field(description="recall of the class on unseen samples")
    more: int = Field(description="samples of the class to add")
    loss: float = Field(description="decrease of the test loss with so many more")
    share: float = Field(description="this decrease over that by as many samples of all classes, in the shares at hand")
    times: Estimate = Field(
        description="decrease by the next sample of the class over that by one random sample; the intervals hold for "
        "all classes together"
    )
    up_to: int = Field(
        description="size of the class beyond which one more sample lowers the loss less than a random sample does now"
    )


class ForecastResult(Value, Shown):
    """The content of ``result.json`` of ``suffice forecast``."""

    schema_version: Literal[3] = Field(
        default=3,
        description="version of this layout; version 2 had no draws of the curve and no intervals of the gains, and in "
        "version 1 an answer without an upper end had 1,000 k_0 there",
    )
    command: Literal["forecast"] = Field(default="forecast", description="the command that made it")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    method: str = Field(default="head", description="what is trained: head, last_layers(n), lora(r) or full")
    task: Literal["classification", "regression"] = Field(
        default="classification",
        description="what the labels are: classes, or numbers; of these, accuracy is R² and the loss the mean squared "
        "error",
    )
    classes: list[str] = Field(description="names of the classes; none of a regression")
    samples: int = Field(description="k_0, samples at hand")
    groups: int | None = Field(
        default=None,
        description="groups of the samples at hand, such as patients, none of which is divided; null where the data "
        "have none",
    )
    test_samples: int = Field(
        default=0,
        description="separate test samples; 0 if the test loss is estimated from parts of the samples at hand",
    )
    features: int | None = Field(
        default=None, description="number of frozen features; null if more than the head is trained"
    )
    l2: float | None = Field(default=None, description="penalty of the head; null if more than the head is trained")
    forecast: LearningCurve = Field(description="the predicted learning curve")
    trust: Trust | None = Field(
        default=None,
        description="how much the first answer can be trusted, or the predicted gain where there is none; null in "
        "files of earlier versions",
    )
    measured: list[Measured] = Field(description="trainings on half and on nearly all of the samples at hand")
    gains: list[Gain] = Field(description="improvement by more samples")
    class_gains: list[ClassGain] = Field(
        default=[], description="improvement by more samples of one class, the largest first"
    )
    answers: list[SufficientSize] = Field(
        description="sizes that reach the targets, or up to which one more sample is worth its cost"
    )
    notes: list[str] = Field(description="notes on the inputs")
    confidence: float = Field(gt=0, lt=1, description="confidence of all intervals")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")

    @model_validator(mode="before")
    @classmethod
    def _from_earlier_versions(cls, content: Any) -> Any:
        """In version 1 a number stood for no upper end; in version 2 gains had no intervals, and have none then."""
        if not isinstance(content, dict) or content.get("schema_version") not in (1, 2):
            return content
        answers, gains = content.get("answers"), content.get("gains")
        if content["schema_version"] == 1 and isinstance(answers, list):
            answers = [_without_stand_in(answer, content.get("samples")) for answer in answers]
        if isinstance(gains, list):
            gains = [_with_interval(gain) for gain in gains]
        return content | {"schema_version": 3, "answers": answers, "gains": gains}


def _with_interval(gain: Any) -> Any:
    if not isinstance(gain, dict):
        return gain
    numbers = {name: gain.get(name) for name in ("loss", "accuracy")}
    return gain | {name: {"value": value, "low": value, "high": value} for name, value in numbers.items()}


def _without_stand_in(answer: Any, samples: Any) -> Any:
    """An answer of version 1, where 1,000 times the samples at hand, or the size if larger, stood for no upper end."""
    if not isinstance(answer, dict) or answer.get("criterion") not in ("target_loss", "target_accuracy"):
        return answer
    size, high = answer.get("size"), answer.get("high")
    stands_in = isinstance(size, int) and isinstance(samples, int) and high == max(1000 * samples, size)
    return answer | {"high": None} if stands_in else answer
