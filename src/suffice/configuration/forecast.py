"""What is forecast from the samples at hand, and which target is to be reached: ``suffice forecast``."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from suffice.configuration.training import FineTunedConfig, TrainingConfig
from suffice.configuration.values import at_commas, distinct, methods_at_commas


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
        methods = methods_at_commas(value)
        if "" in methods:
            raise PydanticCustomError("methods", "give one method, or several with commas between them")
        return ",".join(distinct(methods))

    @property
    def methods(self) -> list[str]:
        """The method, or those to compare.

        Example:
            >>> ForecastConfig(model="m", data="d", method="head, lora(4),all").methods
            ['head', 'lora(4)', 'full']
        """
        return methods_at_commas(self.method)
