"""The settings of commands where the model is a language model."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from suffice.configuration import (
    WRITTEN,
    AnalyzeConfig,
    CheckConfig,
    Config,
    CurvatureConfig,
    ForecastConfig,
    MeasuredConfig,
    StudiedConfig,
    StudyConfig,
    at_commas,
    in_one_spelling,
)
from suffice.errors import InputError

OF_CLASSIFIERS = frozenset(
    {"image_column", "label_column", "group_column", "split_column", "threshold", "classes", "task", "label_delimiter"}
    | {"exclude", "min_per_class", "drop_missing", "image_size", "label_map"}
)
"""Settings of samples with labels, and of the models that classify them."""

OF_LABELS = frozenset({"image_column", "label_column", "threshold", "classes", "task", "label_delimiter", "label_map"})
"""Those that say that there are labels."""

INSTEAD = {
    "target_accuracy": "give --target-loss instead, the logarithm of a perplexity; --answer-pattern measures accuracy",
    "excess": "give --target-loss instead",
    "metrics": "leave it out; --answer-pattern measures accuracy",
}
"""What to give for a language model in place of settings of classifiers."""


class LanguageTexts(Config):
    """What the texts are, and which of their tokens count."""

    text_column: str | None = Field(default=None, description="column of the texts in a table")
    prompt_column: str | None = Field(
        default=None,
        description='column of prompts, for a language model; "prompt" and "question" are found by themselves',
    )
    completion_column: str | None = Field(
        default=None, description='column of what is to be written after the prompts; likewise "completion", "answer"'
    )
    messages_column: str | None = Field(
        default=None, description='column of conversations, lists of objects with "role" and "content"'
    )
    whole_text: bool = Field(
        default=False, description="the loss of a language model counts on prompts too, not on answers only"
    )
    max_length: int | None = Field(
        default=None, ge=2, description="tokens of a text at most; by default what the language model takes"
    )
    eos: str | None = Field(default=None, description="end-of-text token, where the tokenizer names none")
    delimiter: str | None = Field(default=None, description="of a table in .csv, .tsv or .txt; detected by default")
    encoding: str | None = Field(default=None, description="of a table that is text; detected by default")


class LanguageLosses(LanguageTexts):
    """How the losses of samples make a mean."""

    unit: Literal["sample", "token"] = Field(
        default="sample",
        description="what counts alike in the mean loss of a language model, in training too: sample, each with the "
        "mean over its tokens, or token",
    )


class LanguageTrained(LanguageTexts):
    """What the commands have in common that fine-tune a language model and test it on unseen samples."""

    model: str = Field(description="folder or hub name of a causal language model or its PEFT adapter")
    data: str = Field(
        description="table (.jsonl, .csv, .parquet and others), folder or hub name of datasets, with prompts and "
        "completions, questions and answers, conversations, or texts"
    )
    split: str | None = Field(default=None, description="use this split only; by default train")
    lora_targets: list[str] | None = Field(
        default=None, description="linear layers that lora(r) adapts; queries and values by default"
    )
    test: str | None = Field(default=None, description="unseen data for the test loss; by default a share of DATA")
    held_out: float = Field(
        default=0.1, gt=0, lt=1, description="share of the samples that a language model is tested on, without --test"
    )
    test_samples: int = Field(
        default=400, ge=3, description="a language model is tested on this many unseen samples at most"
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto", description="number of samples in a forward pass"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda")
    trust_remote_code: bool = Field(default=False, description="run code that comes with the checkpoint")

    @field_validator("lora_targets", mode="before")
    @classmethod
    def _targets_at_commas(cls, value: Any) -> Any:
        return at_commas(value)

    @property
    def evaluated(self) -> int | None:
        """Samples of a forward pass where nothing is trained, if they were asked for."""
        return None if self.batch_size == "auto" else self.batch_size


class LanguageForecastConfig(LanguageLosses, LanguageTrained):
    """The configuration of ``suffice forecast`` for a language model.

    Example:
        >>> LanguageForecastConfig(model="builtin:tiny-lm", data="sums.jsonl", method="all").method
        'full'
    """

    COMMAND = "suffice forecast"

    method: str = Field(default="lora(8)", description="what is trained: last_layers(n), lora(r) or full")
    samples: int | None = Field(
        default=None, ge=4, description="use this many samples, drawn at random; all by default"
    )
    baseline: bool = Field(
        default=True,
        description="measure the pretrained language model on the training samples, which makes the slope more "
        "accurate and takes a third of an epoch",
    )
    short_runs: bool = Field(
        default=False,
        description="train a language model on a half and a quarter of the samples too, for another three quarters of "
        "the time: what differs between runs by chance is averaged",
    )
    answer_pattern: str | None = Field(
        default=None,
        description="measure accuracy by generation: complete the prompts to test on, and compare the answers, the "
        "first group of this regular expression (its last match), or all of the completion (exact)",
    )
    train_batch_size: int = Field(default=8, ge=1, description="samples of a training step")
    learning_rate: float | None = Field(default=None, gt=0, description="learning rate; by default that of the method")
    warm_up: int = Field(
        default=10, ge=0, description="steps in which a language model's learning rate rises; then it is constant"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of the training")
    sizes: list[Annotated[int, Field(ge=2)]] | None = Field(
        default=None, description="sizes to predict, such as 1000,2000; by default up to 8 times the samples at hand"
    )
    target_loss: float | None = Field(default=None, gt=0, description="test loss to reach")
    cost_per_sample: float | None = Field(
        default=None, gt=0, description="test loss by which one sample must lower it to be worth it"
    )
    assurance: float | None = Field(
        default=None, gt=0, lt=1, description="probability with which a size is to be enough, such as 0.8"
    )
    of: Literal["mean", "next"] = Field(default="mean", description="what is to reach the target: mean or next")

    @field_validator("sizes", mode="before")
    @classmethod
    def _sizes_at_commas(cls, value: Any) -> Any:
        return at_commas(value)

    @field_validator("method")
    @classmethod
    def _in_one_spelling(cls, value: str) -> str:
        return in_one_spelling(value)


class LanguageTraining(BaseModel):
    """How a language model is trained in a study."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int | None = Field(default=None, ge=1, description="passes over the training samples; 1 by default")
    steps: int | None = Field(
        default=None, ge=1, description="number of training steps, the same for all sizes, in place of epochs"
    )
    train_batch_size: int = Field(default=8, ge=1, description="samples of a training step")
    learning_rate: float | None = Field(
        default=None, gt=0, description="peak learning rate; by default that of the method"
    )
    schedule: Literal["constant", "warmup-stable-decay", "cosine"] = Field(
        default="constant",
        description="learning rate of a language model after its rise: constant, warmup-stable-decay (which falls in "
        "the last fifth of the steps), or cosine",
    )
    warm_up: int = Field(default=10, ge=0, description="steps in which a language model's learning rate rises")
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of the training")

    @model_validator(mode="after")
    def _one_budget(self) -> "LanguageTraining":
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps are two budgets: give one of them")
        return self


class LanguageStudyConfig(StudiedConfig, LanguageTraining, LanguageLosses, LanguageTrained):
    """The configuration of ``suffice study`` for a language model.

    Example:
        >>> asked = LanguageStudyConfig(model="m", data="d", methods="lora(8),full", by_method={"full": {"steps": 50}})
        >>> asked.of_method("full").steps, asked.of_method("lora(8)").steps
        (50, None)
    """

    COMMAND = "suffice study"

    methods: list[str] = Field(default=["lora(8)"], description="what is trained: last_layers(n), lora(r), full")

    def of_method(self, method: str) -> LanguageTraining:
        """How a method is trained; without a learning rate it takes its own."""
        common = {name: getattr(self, name) for name in LanguageTraining.model_fields}
        own = self.by_method.get(method, {})
        if own.keys() & {"steps", "epochs"}:  # its own budget, in place of that for all
            common |= {"steps": None, "epochs": None}
        return LanguageTraining.model_validate(common | own)


class LanguageCheckConfig(LanguageTexts):
    """The configuration of ``suffice check`` for a language model."""

    COMMAND = "suffice check"

    data: str = Field(description="samples for a language model, as of LanguageForecastConfig")
    split: str | None = Field(default=None, description="use this split only; by default train")
    model: str | None = Field(default=None, description="a language model, whose tokenizer counts tokens")
    test: str | None = Field(default=None, description="unseen data, to find samples that are in DATA as well")
    device: str = Field(default="auto", description="auto, cpu or cuda")
    trust_remote_code: bool = Field(default=False, description="run code that comes with the checkpoint")


class LanguageMeasuredConfig(LanguageLosses, MeasuredConfig):
    """What the commands that measure one language model have in common."""

    text_column: str | None = Field(default=None, description="column of the texts in a table")  # type: ignore[assignment]
    train_batch_size: int = Field(default=8, ge=1, description="samples of a training step")
    epochs: int = Field(default=1, ge=1, description="passes over the training samples")

    def asked(self) -> dict[str, Any]:
        """What decides the result: no settings of classifiers."""
        return self.model_dump(mode="json", exclude=WRITTEN | OF_CLASSIFIERS)


class LanguageAnalyzeConfig(LanguageMeasuredConfig, AnalyzeConfig):
    """The configuration of ``suffice analyze`` for a language model."""

    COMMAND = "suffice analyze"


class LanguageCurvatureConfig(LanguageMeasuredConfig, CurvatureConfig):
    """The configuration of ``suffice curvature`` for a language model."""

    COMMAND = "suffice curvature"


LANGUAGE: Mapping[type[Config], type[LanguageTexts]] = {
    CheckConfig: LanguageCheckConfig,
    ForecastConfig: LanguageForecastConfig,
    AnalyzeConfig: LanguageAnalyzeConfig,
    CurvatureConfig: LanguageCurvatureConfig,
    StudyConfig: LanguageStudyConfig,
}
"""The settings for a language model, by those of the same command for a classifier."""


def said_to_be_of_language(kind: type[Config], given: Mapping[str, Any]) -> bool | None:
    """Whether settings are those of a language model, by their names; None where they go with both.

    Args:
        kind: of the settings for a classifier.
        given: by name, from a file and flags.

    Raises:
        InputError: some are for language models and some for classifiers.

    Example:
        >>> said_to_be_of_language(ForecastConfig, {"model": "m", "data": "d", "prompt_column": "question"})
        True
        >>> said_to_be_of_language(ForecastConfig, {"model": "m", "data": "d", "metrics": ["macro F1"]})
        False
        >>> print(said_to_be_of_language(ForecastConfig, {"model": "m", "data": "d", "seed": 1}))
        None
    """
    of_language = sorted(given.keys() & (LANGUAGE[kind].model_fields.keys() - kind.model_fields.keys()))
    if of_language:
        refuse_flags_of_classifiers(kind, given, f"{_flag(of_language[0])} for language models")
        return True
    return False if _of_classifiers(kind, given) else None


def refuse_flags_of_classifiers(kind: type[Config], given: Mapping[str, Any], because: str) -> None:
    """Refuses settings of classifiers where a language model is asked about.

    Args:
        kind: of the settings for a classifier.
        given: by name.
        because: how it is known that it is one.

    Raises:
        InputError: there is such a setting; says what to give instead.

    Example:
        >>> refuse_flags_of_classifiers(ForecastConfig, {"excess": 0.1}, "sums.jsonl has no labels")
        Traceback (most recent call last):
        ...
        suffice.errors.InputError: --excess is for classifiers, and sums.jsonl has no labels: give --target-loss instead
    """
    found = _of_classifiers(kind, given)
    name = next((name for name in INSTEAD if name in found), found[0] if found else None)
    if name == "store":
        raise InputError(
            "--store: forecast and study keep the trainings of a language model in the run's folder, and take no store "
            "for them: leave it out (analyze and curvature take one)"
        )
    if name is not None:
        remedy = INSTEAD.get(name, "leave one of them out" if "--" in because else "leave it out")
        raise InputError(f"{_flag(name)} is for classifiers, and {because}: {remedy}")


def _of_classifiers(kind: type[Config], given: Mapping[str, Any]) -> list[str]:
    theirs = kind.model_fields.keys() - LANGUAGE[kind].model_fields.keys()
    return sorted(given.keys() & (OF_CLASSIFIERS | theirs))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
