"""All derivatives of a problem: mean gradients, gradients of single samples, the Gauss-Newton matrix through them.

Which way a derivative is taken is decided in one place: `suffice.curvature.vmap_or_plain` for single samples,
`suffice.curvature.autograd` for all else.
"""

from suffice.curvature.gradients import mean_gradient, prefix_gradients
from suffice.curvature.jacobians import loss_gradients, output_gradients
from suffice.curvature.parameters import flattened, parameter_count, unflattened
from suffice.curvature.tangent_kernel import KernelPlan, TangentKernel, plan_tangent_kernel, tangent_kernel

__all__ = [
    "KernelPlan",
    "TangentKernel",
    "flattened",
    "loss_gradients",
    "mean_gradient",
    "output_gradients",
    "parameter_count",
    "plan_tangent_kernel",
    "prefix_gradients",
    "tangent_kernel",
    "unflattened",
]
