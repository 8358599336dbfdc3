"""Results of ``suffice study`` of a language model."""

from typing import Any, Literal

from pydantic import Field

from suffice.results.curve import Predictions
from suffice.results.interval import Band, Estimate
from suffice.results.recording import Unit
from suffice.results.value import Value
from suffice.shown import Shown


class LanguageCell(Value):
    """One training of a study: a method on the first so many samples of the order of a seed."""

    method: str = Field(description="last_layers(n), lora(r) or full")
    size: int = Field(description="number of training samples")
    seed: int = Field(description="random seed of the samples, of new weights and of the training")
    status: Literal["finished", "diverged"] = Field(
        description="a diverged training has no numbers and is not averaged"
    )
    moving_parameters: int = Field(description="P: parameters that were trained")
    steps: int = Field(description="updates of the training")
    seen: int | None = Field(
        default=None,
        description="number of samples that the updates take, all epochs together; null in results of earlier versions",
    )
    test_loss: float | None = Field(
        default=None,
        description="mean over the test samples of the mean loss of an answer's tokens; with the unit token, mean over "
        "the tokens of all their answers",
    )
    test_loss_error: float | None = Field(
        default=None,
        description="standard error of the test loss, over test samples; with the unit token, that of a ratio",
    )
    perplexity: float | None = Field(default=None, description="exp(test loss)")
    distance: float | None = Field(
        default=None, description="||w*_k - w_0||: distance of the trained weights from the initial ones"
    )
    seconds: float | None = Field(default=None, description="seconds of the training alone")


class LanguageMethod(Value):
    """The learning curve of one method: means over seeds, and how it goes on."""

    method: str = Field(description="last_layers(n), lora(r) or full")
    sizes: list[int] = Field(description="numbers of training samples at which a training finished")
    loss: Band = Field(description="test loss")
    perplexity: Band = Field(description="exp(test loss)")
    last_fall: Estimate | None = Field(
        description="fall of the test loss by the last step of size, over the seeds that have both sizes; null without "
        "two sizes"
    )
    predicted: Predictions | None = Field(
        description="test loss at 1, 2, 4 and 8 times the largest size; null where the curve cannot be continued"
    )
    drawn: Predictions | None = Field(description="the same curve at the sizes at which it is drawn")
    continued_from: int | None = Field(
        default=None,
        description="the smallest size that the curve goes through: of two sizes or more with trainings of 100 "
        "updates, else of all; null where it is not continued, and in results of earlier versions",
    )
    unpredicted: str = Field(description="why the curve is not continued; empty where it is")


class LanguageStudyResult(Value, Shown):
    """The content of ``result.json`` of ``suffice study`` of a language model."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["language_study"] = Field(default="language_study", description="what made it")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    pool: int = Field(description="number of samples to train on")
    test_samples: int = Field(description="number of samples to test on")
    unit: Unit = Field(
        default="sample",
        description="what counts alike in the losses, those that trainings minimise too: sample, each with its mean "
        "over tokens, or token",
    )
    pretrained_loss: float = Field(description="test loss of the model before any training")
    methods: list[LanguageMethod] = Field(description="learning curves")
    cells: list[LanguageCell] = Field(description="every training")
    notes: list[str] = Field(description="notes on the inputs and on diverged trainings")
    confidence: float = Field(gt=0, lt=1, description="confidence of all intervals")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
