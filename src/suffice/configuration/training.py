"""How models are trained, where a command trains them in several ways."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from suffice.configuration.model import ModelConfig


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


class FineTunedConfig(ModelConfig):
    """What commands that train models in several ways have in common."""

    optimizer: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="adamw, adam or sgd")
