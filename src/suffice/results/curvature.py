"""Results of ``suffice curvature``."""

import base64
import math
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from pydantic import Field

from suffice.results.value import Value
from suffice.shown import Shown

MOST = 7
"""Decimals at most."""


class WithError(Value):
    """A number with its standard error."""

    value: float = Field(description="estimate")
    error: float = Field(description="standard error")

    def __str__(self) -> str:
        """To two digits of the error.

        Example:
            >>> print(WithError(value=-7.914, error=13.2), "and", WithError(value=0.7251, error=0.05))
            -8 ± 13 and 0.725 ± 0.050
        """
        digits = 0 if self.error >= 10 else 1 - math.floor(math.log10(self.error)) if self.error > 0 else MOST
        if digits >= MOST:
            return f"{self.value:.4g} ± {self.error:.2g}"
        return f"{self.value:,.{digits}f} ± {self.error:,.{digits}f}"


class Eigenvalue(Value):
    """One eigenvalue of the Hessian."""

    value: float = Field(description="eigenvalue")
    residual: float = Field(description="||H v - value v||: an eigenvalue of H is at most so far from the value")


class Eigenvalues(Value, Shown):
    """Eigenvalues of a symmetric matrix, the largest by magnitude."""

    parameters: int = Field(description="P: how many eigenvalues there are")
    eigenvalues: list[Eigenvalue] = Field(min_length=1, description="the largest by magnitude")


class EigenvaluesAlongK(Value, Shown):
    """The eigenvalues of the Hessian of the first k samples, along some orders of the samples."""

    sizes: list[int] = Field(description="k")
    values: list[list[list[float]]] = Field(description="for each order and size the largest by magnitude")
    residuals: list[list[list[float]]] = Field(description="theirs")
    overlap: list[list[float]] = Field(
        description="overlap of their subspace with that of all samples, for each order and size; 1 for the same"
    )


class Spectrum(Value, Shown):
    """The ends of the spectrum of the Hessian, and what all eigenvalues add up to."""

    loss: float = Field(description="mean loss of the samples at w*")
    eigenvalues: list[Eigenvalue] = Field(description="the largest by magnitude")
    trace: WithError = Field(description="sum of all eigenvalues")
    frobenius: WithError = Field(description="root of the sum of the squares of all eigenvalues")


class Density(Value, Shown):
    """The spectral density of the Hessian, smoothed. All lists have the same length."""

    grid: list[float] = Field(description="eigenvalues")
    density: list[float] = Field(description="share of the eigenvalues per unit, with integral 1")
    error: list[float] = Field(description="standard error of it over the random vectors")
    width: float = Field(description="standard deviation of the Gaussian that stands for each eigenvalue")


class Layer(Value):
    """The diagonal block of the Hessian that belongs to one layer."""

    name: str = Field(description="the layer")
    parameters: int = Field(description="how many numbers move in it")
    trace: WithError = Field(description="trace of the block")
    largest: Eigenvalue = Field(description="eigenvalue of the block that is largest by magnitude")


class GapsAlongK(Value, Shown):
    """How far sample k + 1 is from the mean of the first k, at w*. All lists have the same length."""

    sizes: list[int] = Field(description="k")
    loss: list[float] = Field(description="|l_{k+1} - L_k|")
    gradient: list[float] = Field(description="||g_{k+1} - G_k||")
    hessian: list[float] = Field(description="||h_{k+1} - H_k||, the spectral norm, estimated from below")
    residual: list[float] = Field(description="hessian + residual is an estimate from above")
    independent: list[float | None] = Field(description="the norm from another random start, at every fifth size")
    ratio: list[float] | None = Field(
        default=None,
        description="weight of the first k + 1 samples over that of sample k + 1, which divides the gaps in the bound; "
        "null where all weigh the same, and it is k + 1",
    )


class CurvatureAtRadius(Value):
    """The curvature at w*, and the bound at a radius that follows from it, beside what was measured there."""

    center_norm: float = Field(description="||w*|| of the moving parameters")
    spectrum: Spectrum = Field(description="ends of the spectrum, trace and norm")
    gaps: GapsAlongK = Field(description="what one more sample changes at w*")
    measured: list[float] = Field(description="largest |L_{k+1} - L_k| over the probes, at the sizes of the gaps")


class SurfaceAlongK(Value, Shown):
    """The surface of the mean loss of the first k samples on a plane through w*. All lists of sizes have one length.

    Surfaces are packed, so that they stay small: ``losses`` unpacks them.
    """

    directions: Literal["random", "eigenvectors", "minima", "given"] = Field(description="what spans the plane")
    labels: tuple[str, str] = Field(description="the two directions, in words")
    x: list[float] = Field(description="points along the first direction: distance from w* over ||w*||")
    y: list[float] = Field(description="points along the second direction, likewise")
    sizes: list[int] = Field(description="k; the last is all samples, m")
    last: str = Field(description="L_m on the grid, row by row along y: float32, little-endian, base64")
    deltas: str = Field(description="(L_k - L_m) / scale for each k but the last: float16, little-endian, base64")
    scale: float = Field(description="the largest |L_k - L_m|")
    distance: list[float] = Field(description="how far L_k is from L_m: root mean square over the grid")
    at_center: list[float] = Field(description="|L_k - L_m| at w*")
    chance: list[float] = Field(description="what distance is in expectation in a random order")
    minima: dict[int, tuple[float, float]] = Field(
        default={}, description="where on the plane w*_k lies that was trained on the first k samples"
    )

    @staticmethod
    def packed(losses: Float64[np.ndarray, "sizes rows columns"]) -> dict[str, Any]:
        """The fields ``last``, ``deltas`` and ``scale`` of some surfaces, of which the last is L_m."""
        last = losses[-1].astype("<f4")
        deltas = losses[:-1] - last
        scale = float(np.abs(deltas).max(initial=0.0)) or 1.0
        found = {"last": last, "deltas": (deltas / scale).astype("<f2")}
        return {name: base64.b64encode(values.tobytes()).decode() for name, values in found.items()} | {"scale": scale}

    def losses(self) -> Float64[np.ndarray, "sizes rows columns"]:
        """L_k on the grid for each size, to 0.1% of what is left of the way to L_m.

        Example:
            >>> surfaces = np.array([[[3.0, 2.0]], [[1.0, 1.5]]])
            >>> axes = dict(directions="random", labels=("u", "v"), x=[0, 1], y=[0], sizes=[1, 2])
            >>> curves = dict(distance=[1.5, 0], at_center=[2, 0], chance=[1, 0])
            >>> SurfaceAlongK(**axes, **curves, **SurfaceAlongK.packed(surfaces)).losses().tolist()
            [[[3.0, 2.0]], [[1.0, 1.5]]]
        """
        shape = (len(self.y), len(self.x))
        last = np.frombuffer(base64.b64decode(self.last), "<f4").reshape(1, *shape).astype(np.float64)
        deltas = np.frombuffer(base64.b64decode(self.deltas), "<f2").reshape(-1, *shape).astype(np.float64)
        return np.concatenate([last + self.scale * deltas, last])


class CurvatureResult(Value, Shown):
    """The content of ``result.json`` of ``suffice curvature``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["curvature"] = Field(default="curvature", description="the command that made it")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    samples: int = Field(description="m: samples over which the Hessian is the mean")
    classes: int = Field(description="number of classes")
    trained: str | None = Field(description="what was trained before measuring; null if nothing was")
    moving_parameters: int = Field(description="P: parameters in which derivatives are taken")
    center_norm: float = Field(description="||w*|| of the moving parameters")
    spectrum: Spectrum = Field(description="ends of the spectrum, trace and norm")
    density: Density = Field(description="where the eigenvalues lie")
    layers: list[Layer] = Field(description="curvature by layer")
    gaps: GapsAlongK = Field(description="what one more sample changes")
    surface: SurfaceAlongK | None = Field(
        default=None, description="the loss surface as samples are added; null if it was not measured"
    )
    radius: float = Field(description="distance from w* at which the bound is drawn, relative to ||w*||")
    notes: list[str] = Field(description="notes on the inputs")
    configuration: dict[str, Any] = Field(description="the settings, as in config.yaml")
    versions: dict[str, str] = Field(description="versions of the software")
