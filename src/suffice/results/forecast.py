"""What ``suffice forecast`` answers."""

from typing import Any, Literal

from pydantic import Field, model_validator

from suffice.results.learning_curve import LearningCurve
from suffice.results.sufficient_size import SufficientSize
from suffice.results.value import Estimate, Value


class Measured(Value):
    """Loss and accuracy of models trained on some of the samples at hand and tested on the others of them."""

    size: int = Field(description="samples that each was trained on")
    loss: float = Field(description="mean loss of the others")
    accuracy: float = Field(description="share of them that is classified right")


class Gain(Value):
    """What so many more samples should bring."""

    more: int = Field(description="samples to add")
    loss: float = Field(description="fall of the test loss")
    accuracy: float = Field(description="rise of the test accuracy")


class ClassGain(Value):
    """What more samples of one class alone would bring, weighted so that the classes keep their shares."""

    name: str = Field(description="the class")
    samples: int = Field(description="of the class at hand")
    recall: float = Field(description="share of the class that is classified right by models that have not seen it")
    more: int = Field(description="samples of the class to add")
    loss: float = Field(description="fall of the test loss with so many more")
    share: float = Field(description="this over what as many more of all classes bring, in the shares at hand")
    times: Estimate = Field(
        description="what the next sample of the class brings, over what one of all classes brings; the intervals are "
        "for all classes together"
    )
    up_to: int = Field(description="samples of the class beyond which one more brings less than one of all does now")


class ForecastResult(Value):
    """The result of ``suffice forecast``."""

    schema_version: Literal[2] = Field(
        default=2, description="version of this layout; in version 1 an answer without an upper end had 1,000 k_0 there"
    )
    command: Literal["forecast"] = Field(default="forecast", description="what wrote this")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    method: str = Field(default="head", description="what is trained: head, last_layers(n), lora(r) or full")
    classes: list[str] = Field(description="names of the classes")
    samples: int = Field(description="k_0, samples at hand")
    test_samples: int = Field(default=0, description="others that the level is from; 0 where it is from parts of these")
    features: int | None = Field(
        default=None, description="numbers that the frozen part makes of a sample; null where more than the head moves"
    )
    l2: float | None = Field(default=None, description="penalty of the head; null where more moves")
    forecast: LearningCurve = Field(description="the learning curve, from the samples at hand on")
    measured: list[Measured] = Field(description="trainings on halves and on nearly all of the samples at hand")
    gains: list[Gain] = Field(description="what more samples should bring")
    class_gains: list[ClassGain] = Field(
        default=[], description="what more of one class would bring; first that whose next sample brings most"
    )
    answers: list[SufficientSize] = Field(description="sizes that meet the targets, or up to which samples pay")
    notes: list[str] = Field(description="what else a person should know")
    confidence: float = Field(gt=0, lt=1, description="confidence of all intervals")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")

    @model_validator(mode="before")
    @classmethod
    def _from_version_1(cls, content: Any) -> Any:
        """In version 1 a number stood for no upper end."""
        if not isinstance(content, dict) or content.get("schema_version") != 1:
            return content
        answers = content.get("answers")
        if isinstance(answers, list):
            answers = [_without_stand_in(answer, content.get("samples")) for answer in answers]
        return content | {"schema_version": 2, "answers": answers}


def _without_stand_in(answer: Any, samples: Any) -> Any:
    """An answer of version 1, where 1,000 times the samples at hand, or the size if larger, stood for no upper end."""
    if not isinstance(answer, dict) or answer.get("criterion") not in ("target_loss", "target_accuracy"):
        return answer
    size, high = answer.get("size"), answer.get("high")
    stands_in = isinstance(size, int) and isinstance(samples, int) and high == max(1000 * samples, size)
    return answer | {"high": None} if stands_in else answer
