"""The settings of the MLP experiment: ``suffice analyze builtin:mlp``."""

from typing import Annotated, Literal

from pydantic import Field

from suffice.configuration.base import Config
from suffice.configuration.values import MOST, Distinct

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
