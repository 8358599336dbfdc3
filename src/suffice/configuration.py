"""The settings of each command: read from YAML and flags, checked, and written back so that a run can be repeated."""

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from suffice.addresses import absolute
from suffice.errors import InputError, nearest

WRITTEN = {"fingerprint", "contents", "versions", "stored_at", "checksum"}
"""Keys that a run writes into config.yaml and ignores when it reads them."""

NOT_DECIDING = {"store"}
"""Keys that do not decide the result."""

NO_FLAGS = WRITTEN | {"by_method"}
"""Keys that are not flags."""


LARGEST_SIDE = 4_096
"""Pixels: an image of this side takes 200 MB as numbers."""

MOST = 100_000
"""Of what takes memory or time for each: probes, points, draws, widths."""

Item = TypeVar("Item")


def _distinct(values: list[Item]) -> list[Item]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "each may be named once")
    return values


Distinct = Annotated[list[Item], Field(min_length=1), AfterValidator(_distinct)]
"""At least one value, each once."""


class Config(BaseModel):
    """The configuration of a command."""

    # a class or a column may be called 3, and YAML takes that for a number
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)

    OTHER_NAMES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Names that a key has besides its own, as a flag and in files."""

    COMMAND: ClassVar[str | None] = None
    """The command that it is for, where `COMMANDS` does not say so."""

    seed: int = Field(default=0, ge=0, description="random seed")
    fingerprint: str | None = Field(default=None, description="of the data; earlier versions wrote it, not read")
    contents: dict[str, str] | None = Field(
        default=None, description="hashes of the data and of the model's files; written, not read"
    )
    stored_at: str | None = Field(
        default=None, description="where in a store the arrays and pieces of the result are; written, not read"
    )
    checksum: str | None = Field(default=None, description="hash of all else in the file; written, not read")
    versions: dict[str, str] | None = Field(default=None, description="the software that ran; written, not read")

    def asked(self) -> dict[str, Any]:
        """What decides the result: the configuration without what is only written, or says where."""
        return self.model_dump(mode="json", exclude=WRITTEN | NOT_DECIDING)

    @classmethod
    def renamed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values under the names that keys have now.

        Raises:
            InputError: a key that has different values under two names.
        """
        names = {other: name for name, others in cls.OTHER_NAMES.items() for other in others}
        found: dict[str, Any] = {}
        for key, value in values.items():
            name = names.get(key, key)
            if name in found and found[name] != value:
                given = [
                    f"{word} = {_shown(values[word])}" for word in (name, *cls.OTHER_NAMES[name]) if word in values
                ]
                raise InputError(f"{' and '.join(given)}: these are two names of one setting; give one of them")
            found[name] = value
        return found


def _refuse_booleans(names: Any) -> None:
    """Refuses the truth values that YAML makes of some words."""
    if isinstance(names, list) and any(isinstance(name, bool) for name in names):
        raise InputError("YAML reads no, yes, on, off, true and false as truth values: put them in quotes")


class DataConfig(Config):
    """What commands that take samples have in common."""

    data: str = Field(
        description="folder with one sub-folder of images for each class, which may be in folders train, val and test; "
        "a table (.csv, .tsv, .txt, .jsonl, .json, .parquet, .xlsx) of texts or image files; IDX or NPZ files; a "
        "folder or hub name of datasets; or builtin:digits"
    )
    text_column: str = Field(
        default="text",
        description="column of the texts in a table: its name, or its number from 1 if the table has no header",
    )
    image_column: str | None = Field(
        default=None, description="column of image files in a table, from its folder on; in place of texts"
    )
    label_column: str = Field(default="label", description="column of the labels in a table, likewise")
    group_column: str | None = Field(
        default=None,
        description="column of groups in a table, such as patients or documents: a group is not divided between "
        "training and test samples",
    )
    split_column: str | None = Field(
        default=None, description='column of train, validation and test in a table; "split" is found by itself'
    )
    split: str | None = Field(
        default=None, description="use this split only; by default train is used, and test or validation to test on"
    )
    threshold: float | None = Field(
        default=None, description="for labels that are numbers: make two classes, below this and at least this"
    )
    classes: list[str] | None = Field(
        default=None, description="use the samples of these classes only; repeat the flag for each"
    )
    task: Literal["classification", "regression", "multi-label"] = Field(
        default="classification",
        description="what the labels are: classes (classification), numbers (regression), or any number of labels for "
        "each sample (multi-label)",
    )
    label_delimiter: str = Field(
        default="|",
        min_length=1,
        description="for --task multi-label: stands between the labels of a sample; lists need none",
    )
    exclude: list[str] = Field(
        default=[], description="globs of classes and files to leave out, such as '*.bak'; repeat the flag for each"
    )
    min_per_class: int = Field(default=1, ge=1, description="leave out classes with fewer samples")
    drop_missing: bool = Field(default=False, description="leave out rows without a text, image, label or group")
    delimiter: str | None = Field(
        default=None, description="delimiter of a text table, such as ';' or tab; detected by default"
    )
    encoding: str | None = Field(
        default=None, description="encoding of a text table, such as cp1252; UTF-8, -16 and -32 are detected"
    )

    @field_validator("classes", "exclude", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        _refuse_booleans(value)
        return value


class ModelConfig(DataConfig):
    """What commands that take a model and its samples have in common."""

    model: str = Field(
        description="Hugging Face folder or hub name, also of a PEFT adapter or of sentence-transformers; "
        "package.module:function, which is called and returns a torch module; or builtin:tiny-vit"
    )
    image_size: int | None = Field(
        default=None, ge=1, le=LARGEST_SIDE, description="side of an image in pixels; the checkpoint's own by default"
    )
    label_map: list[str] | None = Field(
        default=None,
        description="CLASS=LABEL, a class of the data and the checkpoint's label for it, by name or index; needed "
        "where their names differ; repeat the flag for each",
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto", description="number of samples in a forward pass"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda")
    lora_targets: list[str] | None = Field(
        default=None, description="linear layers that lora(r) adapts; queries and values by default"
    )
    trust_remote_code: bool = Field(default=False, description="run code that comes with the checkpoint")
    store: str | None = Field(
        default=None,
        description="where arrays and pieces of results are kept, under the hash of all that decides them: a "
        "folder, or a URL such as s3://bucket/folder (pip install 'suffice[s3]'); by default the run's folder",
    )

    @field_validator("store")
    @classmethod
    def _from_anywhere(cls, value: str | None) -> str | None:
        """Workers and later commands may be in another folder."""
        if value is not None and not value.strip():
            raise PydanticCustomError("store", "give a folder or a URL, or leave it out")
        return None if value is None else absolute(value)

    @field_validator("label_map", mode="before")
    @classmethod
    def _pairs_of_a_mapping(cls, value: Any) -> Any:
        """In a file, a mapping may stand for the list."""
        _refuse_booleans([*value, *value.values()] if isinstance(value, dict) else value)
        if isinstance(value, dict):
            return [f"{name}={label}" for name, label in value.items()]
        return [value] if isinstance(value, str) else value

    @field_validator("lora_targets", mode="before")
    @classmethod
    def _split_targets(cls, value: Any) -> Any:
        return at_commas(value)


class CheckConfig(DataConfig):
    """The configuration of ``suffice check``."""

    model: str | None = Field(
        default=None, description="a model, for the time and memory that it takes; Hugging Face folder or hub name"
    )
    test: str | None = Field(default=None, description="unseen data, to find samples that are in DATA as well")
    image_size: int | None = Field(
        default=None, ge=1, le=LARGEST_SIDE, description="side of an image in pixels; the checkpoint's own by default"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda")


class MeasuredConfig(ModelConfig):
    """What the commands that measure one model have in common; they can train it first."""

    samples: int | None = Field(
        default=None, ge=3, description="use this many samples, drawn at random; all by default"
    )
    method: str | None = Field(
        default=None,
        description="what is trained before measuring: head, last_layers(n), lora(r) or full; nothing by default",
    )
    epochs: int = Field(default=10, ge=1, description="passes over the training samples")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate of the training")
    weight_decay: float = Field(default=0.01, ge=0, description="decoupled weight decay of the training")
    train_batch_size: int = Field(default=32, ge=1, description="samples of a training step")
    parameters: list[str] | None = Field(
        default=None,
        description="globs of the parameters that move; by default those trained, or all that require gradients",
    )

    @field_validator("method")
    @classmethod
    def _in_one_spelling(cls, value: str | None) -> str | None:
        return None if value is None else in_one_spelling(value)


class AnalyzeConfig(MeasuredConfig):
    """The configuration of ``suffice analyze``."""

    OTHER_NAMES = {"method": ("fine_tune",)}

    held_out: float = Field(default=0.2, ge=0, lt=1, description="share of the samples that is held out")
    radius: float = Field(default=0.1, gt=0, description="distance of the probes from w*, relative to ||w*||")
    probes: int = Field(default=8, ge=1, le=MOST, description="number of probes on the sphere")
    tolerance: float = Field(default=0.05, gt=0, description="tolerance, relative to the mean loss at w*")
    points: int = Field(default=30, ge=2, le=MOST, description="number of sizes at which the curves are drawn")
    curvature: bool = Field(
        default=False,
        description="measure the Hessian at w* as well, and the bound on what one more sample changes at the radius; "
        "takes about 140 products with the Hessian, each as long as one to two epochs of training; suffice curvature "
        "measures more",
    )

    @classmethod
    def renamed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """As for every command; files of earlier versions also have the number of points under ``sizes``."""
        is_count = type(values.get("sizes")) is int and "points" not in values
        return super().renamed({"points" if is_count and key == "sizes" else key: values[key] for key in values})


class CurvatureConfig(MeasuredConfig):
    """The configuration of ``suffice curvature``."""

    count: int = Field(default=10, ge=1, le=MOST, description="number of eigenpairs, the largest by magnitude")
    points: int = Field(default=8, ge=2, le=MOST, description="number of sizes at which gaps are measured")
    draws: int = Field(default=3, ge=2, le=MOST, description="number of random vectors for the spectral density")
    radius: float = Field(default=0.1, gt=0, description="distance from w* of the bound, relative to ||w*||")
    memory: float = Field(default=2.0, gt=0, description="GB for graphs that products go through")
    surface: Literal["random", "eigenvectors"] | None = Field(
        default=None,
        description="measure the loss surface on a plane through w*, along random filter-normalised directions or the "
        "top two eigenvectors of the Hessian; not measured by default",
    )
    surface_points: int = Field(
        default=41, ge=5, le=81, description="points of the surface on each axis; time goes with the square"
    )


class TrainingConfig(BaseModel):
    """How a model is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(default=500, ge=1, description="number of training steps, the same for all sizes")
    epochs: int | None = Field(
        default=None,
        ge=1,
        description="passes over the training samples, in place of a number of steps: more samples then train longer",
    )
    train_batch_size: int = Field(default=32, ge=1, description="samples of a training step")
    learning_rate: float | None = Field(
        default=None, gt=0, description="peak learning rate; by default that of the method"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of the training")


class MethodConfig(TrainingConfig):
    """How a method is studied."""

    landscape_seeds: int | None = Field(
        default=None, ge=0, description="number of seeds for which the loss surface is measured; all by default"
    )


class FineTunedConfig(ModelConfig):
    """What commands that train models in several ways have in common."""

    optimizer: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="adamw, adam or sgd")


class StudiedConfig(Config):
    """What a study trains: methods at sizes with seeds."""

    methods: list[str] = Field(description="what is trained")
    sizes: list[int] | None = Field(
        default=None,
        description="numbers of training samples, such as 50,100,200; by default 6 sizes on a log scale up to all",
    )
    seeds: int = Field(
        default=3, ge=1, description="number of trainings of each size, with different samples and starts"
    )
    by_method: dict[str, dict[str, Any]] = Field(
        default={},
        description="steps, batch sizes, rates, decays or landscape seeds of single methods; only in a file",
    )
    threads: int = Field(default=1, ge=1, description="threads of each worker; the last digits depend on it")

    @field_validator("methods", "sizes", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return at_commas(value)

    @field_validator("sizes")
    @classmethod
    def _sizes_are_positive(cls, values: list[int] | None) -> list[int] | None:
        return _positive(values)

    def of_method(self, method: str) -> BaseModel:
        """How a method is trained; without a learning rate it takes its own."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _methods_are_known(self) -> "StudiedConfig":
        strange = sorted(self.by_method.keys() - set(self.methods))
        if strange:
            raise ValueError(f"by_method has {', '.join(strange)}, which is not among the methods")
        for method in self.methods:
            self.of_method(method)
        return self

    @field_validator("methods")
    @classmethod
    def _in_one_spelling(cls, values: list[str]) -> list[str]:
        plain = [in_one_spelling(value) for value in values]
        if not plain or len(set(plain)) < len(plain):
            raise ValueError("give at least one method, each once")
        return plain

    @field_validator("by_method")
    @classmethod
    def _by_the_same(cls, values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {in_one_spelling(name): own for name, own in values.items()}


Number = TypeVar("Number", int, float)


def _positive(values: list[Number] | None) -> list[Number] | None:
    if values is not None and (not values or min(values) <= 0):
        raise ValueError("give positive numbers")
    return values


class StudyConfig(StudiedConfig, MethodConfig, FineTunedConfig):
    """The configuration of ``suffice study``."""

    methods: list[str] = Field(default=["head"], description="what is trained: head, last_layers(n), lora(r), full")
    class_subsets: list[str] = Field(
        default=[], description="classes to study separately as well, such as 0,1,2; repeat the flag for each subset"
    )
    test: str | None = Field(default=None, description="test data, in the format of DATA; by default a share of DATA")
    samples: int | None = Field(
        default=None, ge=3, description="use this many samples, drawn at random; all by default"
    )
    test_samples: int | None = Field(
        default=None, ge=3, description="test on this many of the test samples, drawn at random; all by default"
    )
    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="share of the samples that is the test part, without --test"
    )
    validation_share: float = Field(
        default=0.1, gt=0, lt=1, description="share of the samples that is the validation part"
    )
    patience: int | None = Field(
        default=None, ge=1, description="stop early after this many evaluations without a lower validation loss"
    )
    metrics: list[Literal["f1", "auroc"]] = Field(default=[], description="further metrics on the test part: f1, auroc")
    landscape_sizes: list[int] | None = Field(
        default=None,
        description="sizes at whose trained weights the loss surface is measured; by default the smallest, a middle "
        "one and the largest; the largest is always included",
    )
    radius: float = Field(default=0.1, gt=0, description="distance of the probes from w*, relative to ||w*||")
    probes: int = Field(default=4, ge=1, le=MOST, description="number of probes on the sphere")
    tolerances: list[float] = Field(
        default=[0.02, 0.05, 0.1], description="tolerances of k*, relative to the mean loss at w*"
    )
    surface: bool = Field(
        default=False,
        description="measure the loss surface on the plane through w* of all samples and those of two smaller sizes as "
        "well, for the first seed of each method; needs at least 3 landscape sizes",
    )
    surface_points: int = Field(
        default=21, ge=5, le=81, description="points of that surface on each axis; time goes with the square"
    )

    @field_validator("metrics", "landscape_sizes", "tolerances", mode="before")
    @classmethod
    def _more_at_commas(cls, value: Any) -> Any:
        return at_commas(value)

    @field_validator("tolerances", "landscape_sizes")
    @classmethod
    def _are_positive(cls, values: list[float] | None) -> list[float] | None:
        return _positive(values)

    def of_method(self, method: str) -> MethodConfig:
        """How a method is studied; without a learning rate it takes its own."""
        common = {name: getattr(self, name) for name in MethodConfig.model_fields}
        own = self.by_method.get(method, {})
        if "steps" in own:  # its own budget, in place of one in epochs for all
            common["epochs"] = None
        return MethodConfig.model_validate(common | own)


def in_one_spelling(name: str) -> str:
    """A method without blanks; full is also called all.

    Example:
        >>> in_one_spelling("lora( 4 )"), in_one_spelling("all")
        ('lora(4)', 'full')
    """
    plain = "".join(name.split())
    return "full" if plain == "all" else plain


def _methods(names: str) -> list[str]:
    """Methods between which commas stand; those within parentheses belong to a method."""
    return [in_one_spelling(name) for name in re.split(r",(?![^()]*\))", names)]


def at_commas(value: Any) -> Any:
    """A list from one value, or from words with commas between them.

    Example:
        >>> at_commas("100, 200"), at_commas(["a,b", "c"]), at_commas(3)
        (['100', '200'], ['a', 'b', 'c'], [3])
    """
    values = [value] if isinstance(value, (str, int, float)) else value
    if not isinstance(values, list):
        return value
    return [part.strip() if isinstance(part, str) else part for item in values for part in _parts(item)]


def _parts(item: Any) -> list[Any]:
    return item.split(",") if isinstance(item, str) else [item]


class ForecastConfig(TrainingConfig, FineTunedConfig):
    """The configuration of ``suffice forecast``."""

    method: str = Field(
        default="head",
        description="what is trained: head, last_layers(n), lora(r) or full; a head is fitted to convergence, and the "
        'settings of training are for the other methods; several, such as "head,lora(4)", are compared: which one to '
        "use from which size on",
    )
    estimator: str = Field(
        default="auto",
        description="estimator of the slope: auto (which is combined), combined, symmetric or information; for a head "
        "also noise, for other methods also gcv",
    )
    trained: bool = Field(
        default=False, description="the model is already trained on these samples: do not train it; needs --test"
    )
    test: str | None = Field(
        default=None, description="unseen data for the test loss; by default it is estimated from trainings on parts"
    )
    samples: int | None = Field(
        default=None, ge=4, description="use this many samples, drawn at random; all by default"
    )
    sizes: list[Annotated[int, Field(ge=2)]] | None = Field(
        default=None,
        description="sizes to predict, such as 1000,2000; by default up to 32 times the samples at hand",
    )
    target_accuracy: float | None = Field(default=None, gt=0, lt=1, description="accuracy to reach, such as 0.9")
    target_loss: float | None = Field(default=None, gt=0, description="test loss to reach")
    excess: float | None = Field(default=None, gt=0, description="distance of the test loss from its limit to reach")
    cost_per_sample: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="accuracy that one sample must bring to be worth it, such as 0.00001: a point for 1,000 samples",
    )
    assurance: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="probability with which a size is to be enough, such as 0.8; 0.5 by default",
    )
    of: Literal["mean", "next"] = Field(
        default="mean",
        description="what is to reach the target: mean, the score averaged over training sets and seeds, or next, the "
        "next model, which adds the variance between trainings",
    )
    metrics: list[str] = Field(
        default=[],
        description='metrics besides loss and accuracy, such as "balanced accuracy,macro F1,AUROC,recall of class cat"',
    )
    l2: float | None = Field(
        default=None,
        gt=0,
        description="penalty l2/2 ||W||^2 of the head with the samples at hand; by default chosen by cross-validation",
    )
    recipe: Literal["fixed", "tuned", "per-sample"] = Field(
        default="fixed",
        description="penalty of the head at other sizes: fixed, the same; tuned, chosen by cross-validation again; or "
        "per-sample, in proportion to 1/k, as one C of scikit-learn is",
    )

    @field_validator("sizes", "metrics", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return at_commas(value)

    @field_validator("method")
    @classmethod
    def _in_one_spelling(cls, value: str) -> str:
        methods = _methods(value)
        if "" in methods:
            raise PydanticCustomError("methods", "give one method, or several with commas between them")
        return ",".join(_distinct(methods))

    @property
    def methods(self) -> list[str]:
        """The method, or those to compare.

        Example:
            >>> ForecastConfig(model="m", data="d", method="head, lora(4),all").methods
            ['head', 'lora(4)', 'full']
        """
        return _methods(self.method)


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


class HessianConfig(Config):
    """The configuration of ``suffice hessian``; every key is a flag as well."""

    data: str = Field(default="builtin:digits", description="folder of images, IDX files, or builtin:digits")
    image_size: int = Field(
        default=8, ge=1, le=LARGEST_SIDE, description="side of an image in pixels; images become grey and square"
    )
    patch_size: int = Field(
        default=4, ge=1, le=LARGEST_SIDE, description="side of a patch in pixels; each patch is a token"
    )
    samples: int = Field(default=128, ge=2, description="use this many samples, drawn at random")
    key_width: int = Field(default=16, ge=1, le=MOST, description="total width of queries and keys")
    hidden_width: int = Field(default=64, ge=1, le=MOST, description="width of the feed-forward network's hidden layer")
    heads: int = Field(default=1, ge=1, le=MOST, description="number of heads")
    norm: Literal["post", "pre", "none"] = Field(default="post", description="normalisation: post, pre or none")
    activation: str = Field(default="gelu", description="gelu, relu, tanh or identity")
    attention: Literal["softmax", "linear"] = Field(default="softmax", description="softmax or linear")
    causal: bool = Field(default=False, description="causal mask: a token attends to itself and earlier tokens")
    query_key: Literal["split", "merged"] = Field(default="split", description="split W_Q, W_K, or merged W_QK")
    output_projection: bool = Field(default=False, description="add an output projection W_O")
    attention_bias: bool = Field(default=False, description="add biases to the attention")
    pool: Literal["mean", "first"] = Field(
        default="mean", description="input of the classifier: mean of the tokens, or first token"
    )
    epochs: int = Field(default=30, ge=0, description="passes over the training samples")
    learning_rate: float = Field(default=1e-2, gt=0, description="peak learning rate")
    moments: int = Field(
        default=4, ge=1, le=MOST, description="number of moments: initialisation and along the training"
    )


MLP: Literal["builtin:mlp"] = "builtin:mlp"
"""The model of the MLP experiment: fully connected networks."""


class MLPConfig(Config):
    """The configuration of ``suffice analyze builtin:mlp``, the MLP experiment."""

    model: Literal["builtin:mlp"] = Field(default=MLP, description="builtin:mlp, fully connected networks with tanh")
    targets: Distinct[Literal["teacher", "linear"]] = Field(
        default=["teacher", "linear"], description="function to learn: a random network (teacher) or a linear function"
    )
    widths: Distinct[Annotated[int, Field(ge=1)]] = Field(
        default=[4, 8, 16, 32, 64], description="neurons of each hidden layer"
    )
    depths: Distinct[Annotated[int, Field(ge=1)]] = Field(default=[1, 2, 3, 4, 5], description="hidden layers")
    samples: int = Field(default=2000, ge=50, description="samples of each network, drawn for it alone")
    dimension: int = Field(default=8, ge=1, le=MOST, description="dimension of an input")
    noise: float = Field(default=0.3, ge=0, description="standard deviation of the noise; that of the function is 1")
    radii: Distinct[Annotated[float, Field(gt=0)]] = Field(
        default=[0.03, 0.1, 0.3], description="distances of the probes from w*, relative to ||w*||"
    )
    probes: int = Field(default=8, ge=1, le=MOST, description="number of probes at each radius")
    epochs: int = Field(default=40, ge=1, description="passes over the samples, by SGD with momentum 0.9")
    learning_rate: float = Field(default=0.05, gt=0, description="peak learning rate")
    train_batch_size: int = Field(default=32, ge=1, description="samples of a training step")
    smoothing: float = Field(default=0.99, ge=0, lt=1, description="factor of the exponential moving average")


COMMANDS: Mapping[type[Config], str] = {
    AnalyzeConfig: "suffice analyze",
    CurvatureConfig: "suffice curvature",
    MLPConfig: "suffice analyze",
    HessianConfig: "suffice hessian",
    StudyConfig: "suffice study",
    ForecastConfig: "suffice forecast",
    CurveConfig: "suffice curve",
    MonitorConfig: "suffice monitor",
    CheckConfig: "suffice check",
}
"""The command that each configuration is for."""

SHOWN = 3
"""Unknown keys of another command's configuration that a message names, or problems of one of this command."""

_SEPARATOR = re.compile("[\x85\u2028\u2029]")
"""Line breaks to YAML, which would not read back what it has written."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Stand for bytes that are not UTF-8, in names of files and in flags."""

LONGEST_FILE = 1_000_000
"""Bytes of a configuration file."""

MOST_VALUES = 100_000
"""Keys and values of a configuration file, each counted as often as an alias repeats it."""

Kind = TypeVar("Kind", bound=Config)


def read_configuration(kind: type[Kind], values: dict[str, Any], file: Path | None = None) -> Kind:
    """The configuration in a YAML file, overridden by values; checked.

    Raises:
        InputError: a file that cannot be read, or whose keys are those of another command; an unknown key (suggests the
        nearest); a value of the wrong type or range.
    """
    stored = {} if file is None else read_settings(file)
    where = "" if file is None else f"{file}: "
    _check_values(where, stored | values)
    try:
        return kind.model_validate(kind.renamed(stored) | kind.renamed(values), strict=False)
    except ValidationError as error:
        told = _of_another_command(kind, stored, file) or _problems(kind, error)
        raise InputError(where + told) from error


def read_analysis(values: dict[str, Any], file: Path | None = None) -> "AnalyzeConfig | MLPConfig":
    """As `read_configuration`; the model ``builtin:mlp`` has a configuration of its own kind."""
    stored = {} if file is None else read_settings(file)
    if (stored | values).get("model") == MLP:
        return read_configuration(MLPConfig, values, file)
    return read_configuration(AnalyzeConfig, values, file)


def read_settings(file: Path) -> dict[str, Any]:
    """The keys and values in a YAML file, whatever they are.

    Raises:
        InputError: a file that cannot be read, is not YAML, or holds something else.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(LONGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({_printable(str(error))})") from error
    return settings_in(content, file)


def settings_in(content: bytes, file: Path) -> dict[str, Any]:
    """The keys and values in what a YAML file holds.

    Args:
        content: of the file.
        file: for messages.

    Raises:
        InputError: as of `read_settings`.

    Example:
        >>> settings_in(b"radius: 0.1", Path("config.yaml"))
        {'radius': 0.1}
    """
    try:
        if len(content) > LONGEST_FILE:
            raise InputError(f"{file}: longer than {LONGEST_FILE:,} bytes, so this is no configuration: check the file")
        stored = _loaded(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start + 1:,} is not UTF-8: save the file as UTF-8") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read ({_printable(str(error))})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML ({_printable(str(error))})") from error
    except RecursionError as error:
        raise InputError(f"{file}: lists or mappings are nested too deep, or within themselves") from error
    if not isinstance(stored, dict) or not stored.keys() <= {key for key in stored if isinstance(key, str)}:
        raise InputError(f"{file}: a configuration is a list of keys and values, such as 'radius: 0.1'")
    return stored


def _loaded(text: str) -> Any:
    """What is in a text of YAML, if it is of a size that a person may have written.

    Aliases make of a few lines more values than there is memory for, or lists without end.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"its aliases stand for more than {MOST_VALUES:,} values")
        return loader.construct_document(node)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        # PyYAML raises what it stumbles over: a date in month 13, !!bool x, a number of 5,000 digits
        raise yaml.YAMLError(f"a value that YAML cannot make: {error}") from error
    finally:
        loader.dispose()


def _count(node: yaml.Node, counts: dict[yaml.Node, int]) -> int:
    """The nodes below one and itself, each as often as an alias repeats it; without end within itself."""
    if node not in counts:
        counts[node] = MOST_VALUES + 1  # until it is known
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        counts[node] = 1 + sum(_count(part, counts) for part in parts)
    return counts[node]


def _check_values(where: str, values: Mapping[str, Any]) -> None:
    """Refuses numbers and characters at which what comes later stumbles.

    Raises:
        InputError: names the key.
    """
    for key, value in values.items():
        inner = [value]
        while inner:
            part = inner.pop()
            if isinstance(part, Mapping):
                inner += [*part, *part.values()]
            elif isinstance(part, list | tuple | set):
                inner += part
            elif isinstance(part, int) and part.bit_length() > 63:
                raise InputError(f"{where}{_shown(key)} = {_shown(part)}: too large, the largest is 2^63 - 1")
            elif isinstance(part, str) and "\0" in part:
                raise InputError(f"{where}{_shown(key)} = {_shown(part)}: has a NUL character, which no name has")
            elif isinstance(part, str) and not part.isascii() and _SEPARATOR.search(part):
                raise InputError(f"{where}{_shown(key)} = {_shown(part)}: has a line separator; rename it")
            elif isinstance(part, str) and not part.isascii() and _SURROGATE.search(part):
                raise InputError(f"{where}{_shown(key)} = {_shown(part)}: is not UTF-8; rename it")


def _problems(kind: type[Config], error: ValidationError) -> str:
    """What is wrong with a configuration, the first few things."""
    problems = error.errors(include_url=False, include_context=False)
    more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return "; ".join(_plain(kind, problem) for problem in problems[:SHOWN]) + more


def _printable(text: str, longest: int = 200) -> str:
    """A text in one line that a terminal can show, cut where it is long.

    Example:
        >>> _printable("one\\n\\x07two"), _printable("long" * 9, 10)
        ('one \\\\x07two', 'longlonglo…')
    """
    words = " ".join(text.split())
    cut = f"{words[:longest]}…" if len(words) > longest else words
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)


def _shown(value: Any) -> str:
    """A value in a message, in a few words whatever it is.

    Example:
        >>> _shown(10**5000), _shown("x" * 100)[:5], _shown([[0] * 99])
        ('a number of more than 19 digits', "'xxxx", '[[0, 0, 0, 0, 0, 0, ...]]')
    """
    return _printable(_Short().repr(value), 80)


class _Short(reprlib.Repr):
    """Values in a few words; numbers of thousands of digits cannot be written out."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 60, 60

    def repr_int(self, x: int, level: int) -> str:
        """A number, or how long it is."""
        return str(x) if x.bit_length() <= 63 else "a number of more than 19 digits"


def _of_another_command(kind: type[Config], stored: Mapping[str, Any], file: Path | None) -> str:
    """What to say of a file with keys that this command does not have and another one has; empty for other files."""
    unknown = kind.renamed(stored).keys() - kind.model_fields.keys()
    own = kind.COMMAND or COMMANDS[kind]
    others = dict.fromkeys(
        command
        for other, command in COMMANDS.items()
        if command != own and other.renamed(stored).keys() <= other.model_fields.keys()
    )
    if not unknown or not others:
        return ""
    first = ", ".join(_shown(key) for key in sorted(unknown)[:SHOWN])
    more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    return (
        f"this is a configuration of {' or '.join(others)}, not of {own} (unknown "
        f"key{'s' if len(unknown) > 1 else ''} {first}{more}): run {next(iter(others))} --config {file}"
    )


def _plain(kind: type[Config], problem: Any) -> str:
    key = str(problem["loc"][0]) if problem["loc"] else "configuration"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {_shown(key)}{nearest(key[:80], list(kind.model_fields))}"
    if problem["type"] == "missing":
        return f"{key} is missing: {kind.model_fields[key].description}"
    said = _printable(problem["msg"])
    return f"{key} = {_shown(problem['input'])}: {said[0].lower()}{said[1:]}"
