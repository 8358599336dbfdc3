"""Bounds of the norms of Hessians and gradients, without a Hessian, and the sufficient sizes that follow from them."""

from suffice.closed_form.bounds.norms import gradient_norm, hessian_norm
from suffice.closed_form.bounds.sizes import sufficient_size

__all__ = ["gradient_norm", "hessian_norm", "sufficient_size"]
