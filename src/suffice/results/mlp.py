"""Results of the MLP experiment: fully connected networks on synthetic data."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from suffice.results.value import Value
from suffice.shown import Shown


class Surrounding(Value):
    """The curves of a network at one distance from w*: at w* itself, or root mean squares over the probes there.

    All curves are of |L_{k+1} - L_k|, at the sizes of the result.
    """

    radius: float = Field(description="||w - w*|| relative to ||w*||; 0 is w*")
    loss: float = Field(description="mean loss of the samples there, the mean over the probes")
    spread: float = Field(description="S: standard deviation of the per-sample losses, root mean square over probes")
    spread_interval: tuple[float, float] = Field(description="its 90% interval, for which samples were drawn")
    expected: list[float] = Field(description="root mean square over all orders of the samples: S / sqrt(k (k+1))")
    band: tuple[list[float], list[float]] = Field(description="range of 90% of random orders, low and high")
    in_order: list[float] = Field(description="in the order of the samples")
    smoothed: list[float] = Field(description="exponential moving average of the curve in order")
    slope: float = Field(description="slope of the curve in order on log axes, least squares at log-spaced k")
    slope_error: float = Field(description="its standard error")
    slope_of_orders: float = Field(description="mean of such slopes in 100 random orders of the same losses")
    slope_of_orders_deviation: float = Field(description="their standard deviation, which the standard error estimates")
    smoothed_slope: float = Field(
        description="slope of the moving average at the same k; its points are not independent"
    )


class Network(Value):
    """A fully connected network, trained on samples of its own."""

    target: Literal["teacher", "linear"] = Field(description="function to learn")
    width: int = Field(description="neurons of each hidden layer")
    depth: int = Field(description="hidden layers")
    parameters: int = Field(description="number of weights")
    training_loss: float = Field(description="L(w*): mean squared error of the samples that the curves run over")
    fresh_loss: float = Field(description="mean squared error at w* of as many unseen samples")
    fresh_spread: float = Field(description="S(w*) over the unseen samples")
    surroundings: list[Surrounding] = Field(description="the curves, those at w* first")


class MLPResult(Value, Shown):
    """The content of ``result.json`` of ``suffice analyze builtin:mlp``, the MLP experiment."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Annotated[Literal["mlp"], BeforeValidator(lambda name: "mlp" if name == "base" else name)] = Field(
        default="mlp", description="the command that made it; base in files of earlier versions"
    )
    samples: int = Field(description="m: training samples of each network")
    noise_floor: float = Field(
        description="variance of the noise: lower limit of the mean squared error over unseen samples"
    )
    sizes: list[int] = Field(description="k: how many samples are taken")
    slope_sizes: list[int] = Field(description="sizes at which slopes are fitted")
    law_slope: float = Field(description="slope of 1 / sqrt(k (k+1)) there: that of every expected curve")
    smoothed_exact: list[float] = Field(description="moving average of the exact curve 1/k")
    smoothed_exact_slope: float = Field(description="its slope")
    networks: list[Network] = Field(description="one for each target, width and depth")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
