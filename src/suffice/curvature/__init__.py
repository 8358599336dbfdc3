"""All derivatives of a problem: gradients, of the mean and of single samples; Hessians as operators, and their spectra.

Which way a derivative is taken is decided in one place: `suffice.curvature.vmap_or_plain` for single samples,
`suffice.curvature.autograd` for all else.
"""

from suffice.curvature.along_k import AlongK, along_k, subspace_overlap
from suffice.curvature.density import SpectralDensity, spectral_density
from suffice.curvature.eigenpairs import Eigenpairs, top_eigenpairs
from suffice.curvature.gaps import Gaps, gaps
from suffice.curvature.gradients import mean_gradient, prefix_gradients
from suffice.curvature.hessian import Hessian
from suffice.curvature.jacobians import loss_gradients, output_gradients
from suffice.curvature.layers import LayerCurvature, by_layer, layers
from suffice.curvature.operator import SymmetricMatrix, SymmetricOperator
from suffice.curvature.outliers import Outliers, outliers
from suffice.curvature.parameters import flattened, parameter_count, unflattened
from suffice.curvature.projected import PerSample, check_basis, per_sample, per_sample_shard
from suffice.curvature.spectral_norm import SpectralNorm, spectral_norm
from suffice.curvature.spreads import Spreads, spreads
from suffice.curvature.tangent_kernel import KernelPlan, TangentKernel, plan_tangent_kernel, tangent_kernel
from suffice.curvature.traces import DiagonalEstimate, Estimate, Moments, diagonal, frobenius_norm, moments, trace

__all__ = [
    "AlongK",
    "DiagonalEstimate",
    "Eigenpairs",
    "Estimate",
    "Gaps",
    "Hessian",
    "KernelPlan",
    "LayerCurvature",
    "Moments",
    "Outliers",
    "PerSample",
    "SpectralDensity",
    "SpectralNorm",
    "Spreads",
    "SymmetricMatrix",
    "SymmetricOperator",
    "TangentKernel",
    "along_k",
    "by_layer",
    "check_basis",
    "diagonal",
    "flattened",
    "frobenius_norm",
    "gaps",
    "layers",
    "loss_gradients",
    "mean_gradient",
    "moments",
    "outliers",
    "output_gradients",
    "parameter_count",
    "per_sample",
    "per_sample_shard",
    "plan_tangent_kernel",
    "prefix_gradients",
    "spectral_density",
    "spectral_norm",
    "spreads",
    "subspace_overlap",
    "tangent_kernel",
    "top_eigenpairs",
    "trace",
    "unflattened",
]
