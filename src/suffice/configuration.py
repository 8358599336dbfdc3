"""What can be asked of a run: read from YAML, checked, and written back so that it can be replayed."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

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

from suffice.errors import InputError, nearest

WRITTEN = {"fingerprint", "versions"}
"""Keys that a run writes and none reads."""

NO_FLAGS = WRITTEN | {"by_method"}
"""Keys that are no flags of a command."""


Item = TypeVar("Item")


def _distinct(values: list[Item]) -> list[Item]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("distinct", "each may be named once")
    return values


Distinct = Annotated[list[Item], Field(min_length=1), AfterValidator(_distinct)]
"""Values to be taken one after the other, none of them twice."""


class Config(BaseModel):
    """The configuration of a command."""

    # a class or a column may be called 3, and YAML takes that for a number
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)

    seed: int = Field(default=0, ge=0, description="of every random choice")
    fingerprint: str | None = Field(default=None, description="of the data; written, not read")
    versions: dict[str, str] | None = Field(default=None, description="the software that ran; written, not read")

    def asked(self) -> dict[str, Any]:
        """What decides the result: the configuration without what is only written."""
        return self.model_dump(mode="json", exclude=WRITTEN)


class ModelConfig(Config):
    """What commands that take a model and its samples have in common."""

    model: str = Field(description="Hugging Face folder or hub name, with a PEFT adapter too, or builtin:tiny-vit")
    data: str = Field(
        description="folder with one sub-folder of images a class, IDX files, a table of texts (.csv, .tsv, .txt, "
        ".jsonl), or builtin:digits"
    )
    image_size: int | None = Field(default=None, ge=1, description="pixels of a side; the checkpoint's own by default")
    text_column: str = Field(
        default="text",
        description="column of a table with the texts: a name, or a number where it has no header, from 1 on",
    )
    label_column: str = Field(default="label", description="column of a table with the labels, likewise")
    threshold: float | None = Field(
        default=None, description="labels of a table are numbers: make two classes, below this and from it on"
    )
    classes: list[str] | None = Field(default=None, description="keep the samples of these classes only, one flag each")
    label_map: list[str] | None = Field(
        default=None,
        description="CLASS=LABEL, one flag each: a class of the data and the checkpoint's label for it, by name or "
        "index; needed where their names differ",
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto", description="samples to run at a time"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda")
    trust_remote_code: bool = Field(default=False, description="run the code in a checkpoint")

    @field_validator("label_map", mode="before")
    @classmethod
    def _pairs_of_a_mapping(cls, value: Any) -> Any:
        """In a file, a mapping may stand for the list."""
        if isinstance(value, dict):
            return [f"{name}={label}" for name, label in value.items()]
        return [value] if isinstance(value, str) else value


class AnalyzeConfig(ModelConfig):
    """The configuration of ``suffice analyze``."""

    samples: int | None = Field(
        default=None, ge=3, description="take this many samples, drawn by the seed; all by default"
    )
    held_out: float = Field(default=0.2, ge=0, lt=1, description="share of the samples that is set aside")
    fine_tune: str | None = Field(default=None, description="train first: head, last_layers(n) or all")
    epochs: int = Field(default=10, ge=1, description="passes over the training part")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate of the fine-tuning")
    weight_decay: float = Field(default=0.01, ge=0, description="decoupled weight decay of the fine-tuning")
    train_batch_size: int = Field(default=32, ge=1, description="samples of a training step")
    parameters: list[str] | None = Field(
        default=None, description="globs of the parameters that move; by default those fine-tuned, or all trainable"
    )
    radius: float = Field(default=0.1, gt=0, description="distance of the probes from w*, relative to ||w*||")
    probes: int = Field(default=8, ge=1, description="number of probes on the sphere")
    tolerance: float = Field(default=0.05, gt=0, description="tolerance, relative to the mean loss at w*")
    sizes: int = Field(default=30, ge=2, description="number of sizes at which the curves are drawn")


class TrainingConfig(BaseModel):
    """How a model is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(default=500, ge=1, description="budget of training steps, the same for all sizes")
    train_batch_size: int = Field(default=32, ge=1, description="samples of a training step")
    learning_rate: float | None = Field(default=None, gt=0, description="peak learning rate; by default by method")
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of the training")


class MethodConfig(TrainingConfig):
    """How a method is studied."""

    landscape_seeds: int | None = Field(
        default=None, ge=0, description="measure the loss surface for so many of the seeds; for all by default"
    )


class FineTunedConfig(ModelConfig):
    """What commands that train models in several ways have in common."""

    optimizer: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="adamw, adam or sgd")
    lora_targets: list[str] | None = Field(
        default=None, description="linear maps that lora(r) adapts; queries and values by default"
    )

    @field_validator("lora_targets", mode="before")
    @classmethod
    def _split_targets(cls, value: Any) -> Any:
        return _split(value)


class StudyConfig(MethodConfig, FineTunedConfig):
    """The configuration of ``suffice study``."""

    methods: list[str] = Field(default=["head"], description="ways to train: head, last_layers(n), lora(r), full")
    sizes: list[int] | None = Field(
        default=None,
        description="numbers of training samples, such as 50,100,200; by default 6 up to all, on a log grid",
    )
    seeds: int = Field(default=3, ge=1, description="trainings of each size, with other samples and other beginnings")
    class_subsets: list[str] = Field(
        default=[], description="names of classes, such as 0,1,2: studied by themselves as well, each list a task"
    )
    test: str | None = Field(default=None, description="test data, read as the data are; by default a share of these")
    samples: int | None = Field(default=None, ge=3, description="take this many of the data, drawn by the seed")
    test_samples: int | None = Field(
        default=None, ge=3, description="test on this many of the test data, drawn by the seed; all by default"
    )
    test_share: float = Field(default=0.2, gt=0, lt=1, description="share of the samples to test on, without --test")
    validation_share: float = Field(default=0.1, gt=0, lt=1, description="share of the samples to choose by")
    patience: int | None = Field(
        default=None, ge=1, description="stop early after so many looks at the validation loss without a better one"
    )
    by_method: dict[str, dict[str, Any]] = Field(
        default={},
        description="of some methods other steps, batch sizes, rates, decays or landscape seeds; only in a file",
    )
    metrics: list[Literal["f1", "auroc"]] = Field(default=[], description="measure these on the test part too")
    landscape_sizes: list[int] | None = Field(
        default=None,
        description="sizes at whose minima the loss surface is measured; by default the smallest, a middle one and the "
        "largest, which always is",
    )
    radius: float = Field(default=0.1, gt=0, description="distance of the probes from w*, relative to ||w*||")
    probes: int = Field(default=4, ge=1, description="number of probes on the sphere")
    tolerances: list[float] = Field(default=[0.02, 0.05, 0.1], description="of k*, relative to the mean loss at w*")
    threads: int = Field(default=1, ge=1, description="of each worker; other numbers give other last digits")

    @field_validator("methods", "sizes", "metrics", "landscape_sizes", "tolerances", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("tolerances", "sizes", "landscape_sizes")
    @classmethod
    def _are_positive(cls, values: list[float] | None) -> list[float] | None:
        if values is not None and (not values or min(values) <= 0):
            raise ValueError("give positive numbers")
        return values

    def of_method(self, method: str) -> MethodConfig:
        """How a method is studied; without a learning rate it takes its own."""
        common = {name: getattr(self, name) for name in MethodConfig.model_fields}
        return MethodConfig.model_validate(common | self.by_method.get(method, {}))

    @model_validator(mode="after")
    def _methods_are_known(self) -> "StudyConfig":
        strange = sorted(self.by_method.keys() - set(self.methods))
        if strange:
            raise ValueError(f"by_method has {', '.join(strange)}, which is not among the methods")
        for method in self.methods:
            self.of_method(method)
        return self

    @field_validator("methods")
    @classmethod
    def _in_one_spelling(cls, values: list[str]) -> list[str]:
        plain = [_method(value) for value in values]
        if not plain or len(set(plain)) < len(plain):
            raise ValueError("give at least one method, each once")
        return plain

    @field_validator("by_method")
    @classmethod
    def _by_the_same(cls, values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {_method(name): own for name, own in values.items()}


def _method(name: str) -> str:
    plain = "".join(name.split())
    return "full" if plain == "all" else plain


def _split(value: Any) -> Any:
    """A list, of which words may be several with commas between them."""
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
        description="what is trained: head, last_layers(n), lora(r) or full; a head is fitted to the end, and the "
        "settings of training are for the others",
    )
    estimator: str = Field(
        default="auto",
        description="of the gain: combined (which is auto) or symmetric, information; of heads also noise, of others "
        "gcv",
    )
    trained: bool = Field(
        default=False, description="the model was trained on these very samples: take it as it is; needs --test"
    )
    test: str | None = Field(
        default=None, description="other samples to take the test loss from; by default from trainings on parts"
    )
    samples: int | None = Field(default=None, ge=4, description="take this many of the data, drawn by the seed")
    sizes: list[Annotated[int, Field(ge=2)]] | None = Field(
        default=None,
        description="numbers of samples to look ahead to, such as 1000,2000; by default up to 32 times those at hand",
    )
    target_accuracy: float | None = Field(
        default=None, gt=0, lt=1, description="how many samples bring the accuracy to this, such as 0.9?"
    )
    target_loss: float | None = Field(default=None, gt=0, description="how many bring the loss to this?")
    excess: float | None = Field(default=None, gt=0, description="how many bring the loss within this of its limit?")
    cost_per_sample: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="up to how many is one worth this much accuracy, such as 0.00001: a point for 1,000 samples?",
    )
    l2: float | None = Field(
        default=None,
        gt=0,
        description="penalty l2/2 ||W||^2 of the head, the same at all sizes; by default the best for these samples",
    )

    @field_validator("sizes", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("method")
    @classmethod
    def _in_one_spelling(cls, value: str) -> str:
        return _method(value)


class HessianConfig(Config):
    """The configuration of ``suffice hessian``; every key is a flag as well."""

    data: str = Field(default="builtin:digits", description="folder of images, IDX files, or builtin:digits")
    image_size: int = Field(default=8, ge=1, description="pixels of a side; images are made grey and square")
    patch_size: int = Field(default=4, ge=1, description="pixels of a patch's side: a token is a patch, and as wide")
    samples: int = Field(default=128, ge=2, description="take this many samples, drawn by the seed")
    key_width: int = Field(default=16, ge=1, description="total width of queries and keys")
    hidden_width: int = Field(default=64, ge=1, description="width of the feed-forward network's hidden layer")
    heads: int = Field(default=1, ge=1, description="number of heads")
    norm: Literal["post", "pre", "none"] = Field(default="post", description="normalisation: post, pre or none")
    activation: str = Field(default="gelu", description="gelu, relu, tanh or identity")
    attention: Literal["softmax", "linear"] = Field(default="softmax", description="softmax or linear")
    causal: bool = Field(default=False, description="a token sees only itself and those before it")
    query_key: Literal["split", "merged"] = Field(default="split", description="split W_Q, W_K, or merged W_QK")
    output_projection: bool = Field(default=False, description="with W_O after the heads")
    attention_bias: bool = Field(default=False, description="with biases in the attention")
    pool: Literal["mean", "first"] = Field(default="mean", description="what is classified: mean or first token")
    epochs: int = Field(default=30, ge=0, description="passes over the samples in training")
    learning_rate: float = Field(default=1e-2, gt=0, description="peak learning rate")
    moments: int = Field(default=4, ge=1, description="how often to look: at initialisation, and along training")


MLP: Literal["builtin:mlp"] = "builtin:mlp"
"""Names the fully connected networks of the base experiment."""


class BaseConfig(Config):
    """The configuration of ``suffice analyze builtin:mlp``, the base experiment."""

    model: Literal["builtin:mlp"] = Field(default=MLP, description="builtin:mlp, fully connected networks with tanh")
    targets: Distinct[Literal["teacher", "linear"]] = Field(
        default=["teacher", "linear"], description="what is learned: a random network (teacher), a linear function"
    )
    widths: Distinct[Annotated[int, Field(ge=1)]] = Field(
        default=[4, 8, 16, 32, 64], description="neurons of each hidden layer"
    )
    depths: Distinct[Annotated[int, Field(ge=1)]] = Field(default=[1, 2, 3, 4, 5], description="hidden layers")
    samples: int = Field(default=2000, ge=50, description="samples of a network, drawn for it alone")
    dimension: int = Field(default=8, ge=1, description="of an input")
    noise: float = Field(default=0.3, ge=0, description="deviation of the noise; that of the function learned is 1")
    radii: Distinct[Annotated[float, Field(gt=0)]] = Field(
        default=[0.03, 0.1, 0.3], description="distances of the probes from w*, relative to ||w*||"
    )
    probes: int = Field(default=8, ge=1, description="number of probes at each radius")
    epochs: int = Field(default=40, ge=1, description="passes over the samples in training, by SGD with momentum 0.9")
    learning_rate: float = Field(default=0.05, gt=0, description="peak learning rate")
    train_batch_size: int = Field(default=32, ge=1, description="samples of a training step")
    smoothing: float = Field(default=0.99, ge=0, lt=1, description="factor of the exponential moving average")


Kind = TypeVar("Kind", bound=Config)


def read_configuration(kind: type[Kind], values: dict[str, Any], file: Path | None = None) -> Kind:
    """The configuration in a YAML file, overridden by values; checked.

    Raises:
        InputError: a file that cannot be read, an unknown key (suggests the nearest), a value of the wrong type or
        range.
    """
    where = "" if file is None else f"{file}: "
    try:
        return kind.model_validate(_stored(file) | values, strict=False)
    except ValidationError as error:
        raise InputError(where + "; ".join(_plain(kind, problem) for problem in error.errors())) from error


def read_analysis(values: dict[str, Any], file: Path | None = None) -> "AnalyzeConfig | BaseConfig":
    """As `read_configuration`, of the kind that the model decides: ``builtin:mlp`` is the base experiment."""
    model = (_stored(file) | values).get("model")
    if model == MLP:
        return read_configuration(BaseConfig, values, file)
    return read_configuration(AnalyzeConfig, values, file)


def _stored(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        stored = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(stored, dict):
        raise InputError(f"{file}: a configuration is a list of keys and values, such as 'radius: 0.1'")
    return stored


def _plain(kind: type[Config], problem: Any) -> str:
    key = str(problem["loc"][0]) if problem["loc"] else "configuration"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(key, list(kind.model_fields))}"
    if problem["type"] == "missing":
        return f"{key} is missing: {kind.model_fields[key].description}"
    return f"{key} = {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
