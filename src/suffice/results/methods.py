"""Results of ``suffice forecast`` of several methods: which one to use from which size on."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.finding import Trust
from suffice.results.learning_curve import LearningCurve
from suffice.results.sufficient_size import SufficientSize, Target
from suffice.results.value import Value
from suffice.shown import Shown


class OfMethod(Value):
    """The forecast of one method, which has a run and a report of its own."""

    method: str = Field(description="head, last_layers(n), lora(r) or full")
    folder: str = Field(description="folder of its own run, in that of this one")
    forecast: LearningCurve = Field(description="its predicted learning curve")
    answers: list[SufficientSize] = Field(description="sizes that reach the targets with this method")
    trust: Trust | None = Field(
        default=None,
        description="how much its first answer can be trusted, or its predicted gain where there is none; null in "
        "files of earlier versions",
    )


class Chances(Value):
    """How likely each method is better than the others, at some sizes."""

    sizes: list[int] = Field(description="numbers of training samples")
    better: dict[str, dict[str, list[float]]] = Field(
        description="for a method and each other one, the probability at each size that the first is better"
    )
    best: dict[str, list[float]] = Field(description="probability of each method that it is better than all others")
    lead: list[str] = Field(
        description="the method that leads: better than the one that led before with probability 0.5 or more"
    )
    use: list[str] = Field(
        description="the method to use: at first the cheapest than which no other is better with probability 0.8, "
        "then a more expensive one where it is better with probability 0.8, and a cheaper one where it is with 0.5; "
        "from cheap to expensive: head, last_layers(n), lora(r), full"
    )


class Takeover(Value):
    """The size at which one method overtakes another."""

    before: str = Field(description="the method that leads below")
    after: str = Field(description="the method that leads above")
    size: int = Field(description="where each is better with probability 0.5")
    low: int | None = Field(
        description="lower end of the interval, where the one after is better with probability (1 - confidence) / 2; "
        "null if it is more probable at all sizes below"
    )
    high: int | None = Field(
        description="upper end, with probability (1 + confidence) / 2; null if it is less probable at all sizes above"
    )


class Stretch(Value):
    """Consecutive sizes, and the methods that they have in common."""

    methods: list[str] = Field(min_length=1, description="one method or several")
    first: int = Field(description="the smallest size")
    last: int = Field(description="the largest size")


class Fewest(Value):
    """The method that reaches a target with the fewest samples."""

    criterion: Target = Field(description="target_accuracy or target_loss")
    tolerance: float = Field(description="the target")
    method: str | None = Field(description="the method; null if none reaches it")
    fewer: dict[str, float] = Field(
        description="probability that it needs fewer samples than each other method; half where neither reaches it"
    )


class Comparison(Value):
    """Which method is the better one, at any size in a range."""

    metric: Literal["accuracy", "loss"] = Field(description="by what the methods are compared")
    correlation: dict[str, dict[str, float]] = Field(
        description="of the noise of their levels: that of their errors, or losses, on the same unseen samples"
    )
    told: Chances = Field(description="at the sizes that were asked for")
    drawn: Chances = Field(description="at many sizes, for figures")
    takeovers: list[Takeover] = Field(description="where the lead changes, from the smallest size to the largest")
    advice: list[Stretch] = Field(description="the method to use, by stretches of sizes")
    undecided: list[Stretch] = Field(
        description="sizes at which the method that leads is not better than each other one with probability 0.8; it, "
        "and those than which it is not"
    )
    fewest: list[Fewest] = Field(description="for each target, the method that reaches it with the fewest samples")


class MethodsResult(Value, Shown):
    """The content of ``result.json`` of ``suffice forecast`` with several methods."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["methods"] = Field(default="methods", description="suffice forecast, with several methods")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    classes: list[str] = Field(description="names of the classes")
    samples: int = Field(description="k_0, samples at hand")
    test_samples: int = Field(
        description="separate test samples; 0 if the test loss is estimated from parts of the samples at hand"
    )
    methods: list[OfMethod] = Field(description="the methods, as they were given")
    comparison: Comparison | None = Field(description="null if fewer than two of them could be forecast")
    notes: list[str] = Field(description="notes on the inputs")
    confidence: float = Field(gt=0, lt=1, description="confidence of all intervals")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
