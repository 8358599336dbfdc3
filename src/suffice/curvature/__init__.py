"""The Gauss-Newton matrix of a problem, through the gradients of its outputs, sample by sample."""

from suffice.curvature.jacobians import output_gradients
from suffice.curvature.tangent_kernel import KernelPlan, TangentKernel, plan_tangent_kernel, tangent_kernel

__all__ = ["KernelPlan", "TangentKernel", "output_gradients", "plan_tangent_kernel", "tangent_kernel"]
