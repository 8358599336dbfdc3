"""A result of ``suffice curvature`` as a report gets it, made by hand."""

import math

import numpy as np

from suffice.results import (
    CurvatureResult,
    Density,
    Eigenvalue,
    GapsAlongK,
    Layer,
    Spectrum,
    SurfaceAlongK,
    WithError,
)

SIZES = [1, 2, 4, 7, 14, 27, 52, 73, 80, 90, 95, 100]


def losses_of(points, sizes=SIZES):
    """Bowls that come nearer to the last one, and are steep at the corners."""
    axis = np.linspace(-0.5, 0.5, points)
    x, y = np.meshgrid(axis, axis)
    draw = np.random.default_rng(0)
    tilts = draw.normal(size=(len(sizes), 2)) * np.sqrt(1 / np.array(sizes) - 1 / sizes[-1])[:, None]
    bowl = 0.4 + 12 * x**2 + 18 * y**2 + 400 * (x * y) ** 4
    return axis, np.stack([bowl + 3 * (one * x + other * y) + 0.2 * one**2 for one, other in tilts])


def surface_of(points=41):
    """A surface as a report gets it."""
    axis, losses = losses_of(points)
    middle = np.abs(losses - losses[-1])[:, points // 2, points // 2]
    return SurfaceAlongK(
        directions="random",
        labels=("first random direction", "second random direction"),
        x=axis.tolist(),
        y=axis.tolist(),
        sizes=SIZES,
        **SurfaceAlongK.packed(losses),
        distance=np.sqrt(np.square(losses - losses[-1]).mean((1, 2))).tolist(),
        at_center=middle.tolist(),
        chance=[math.sqrt(1 / size - 1 / SIZES[-1]) for size in SIZES],
    )


def result_of():
    """A bulk around zero and one eigenvalue at 174."""
    grid = [0.5 * at for at in range(-40, 401)]
    width, count = 3.0, 1000
    peak = 1 / (width * math.sqrt(2 * math.pi))
    share = {0.0: 0.999, 174.0: 0.001}
    density = [
        sum(part * peak * math.exp(-(((at - center) / width) ** 2) / 2) for center, part in share.items())
        for at in grid
    ]
    return CurvatureResult(
        model="a-model",
        data="some-data",
        samples=100,
        classes=10,
        trained="full",
        moving_parameters=count,
        center_norm=12.0,
        spectrum=Spectrum(
            loss=0.4,
            eigenvalues=[Eigenvalue(value=174.0, residual=0.01), Eigenvalue(value=-2.5, residual=0.002)],
            trace=WithError(value=1250.0, error=50.0),
            frobenius=WithError(value=240.0, error=3.0),
        ),
        density=Density(grid=grid, density=density, error=[value / 10 for value in density], width=width),
        layers=[
            Layer(
                name=name,
                parameters=500,
                trace=WithError(value=600.0, error=20.0),
                largest=Eigenvalue(value=value, residual=0.01),
            )
            for name, value in (("vit.layers.0", 130.0), ("classifier", 10.0))
        ],
        gaps=GapsAlongK(
            sizes=[1, 10, 99],
            loss=[0.5, 0.1, 1.2],
            gradient=[30.0, 12.0, 40.0],
            hessian=[900.0, 400.0, 700.0],
            residual=[0.5, 2.0, 1.0],
            independent=[900.1, None, None],
        ),
        radius=0.1,
        notes=[],
        configuration={"model": "a-model", "data": "some-data"},
        versions={"python": "3.11"},
    )
