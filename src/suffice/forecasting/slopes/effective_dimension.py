r"""The effective-dimension slope of a head: the sandwich under the information identity, C = H_0."""

from suffice.forecasting.head import Head
from suffice.forecasting.slopes.slope import Slope
from suffice.forecasting.slopes.traces import SOLVED, drawn_gradients, excess, mean_of_draws


def effective_dimension_slope(head: Head, seed: int = 0) -> Slope:
    r"""The slope under the information identity C = H_0, which holds for true probabilities: half of Tr[(H_0 H^-1)^2].

    It needs no residuals. It is too large for an underconfident model, as under a strong penalty on separable classes.
    See `sandwich_slope` for the terms that it leaves out.

    Args:
        head: fitted to its samples.
        seed: random seed of the vectors, :math:`v = k^{-1/2} \sum_i J_i^T a_i` with a of covariance S_i.

    Example:
        >>> import numpy as np
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import CrossEntropy
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(500, 5))
        >>> head = fit_head(x, CrossEntropy(random.integers(3, size=500), 3), 3, penalty=1e-5)
        >>> round(2 * effective_dimension_slope(head).value)  # 5 features, 3 classes: 10 free weights
        10
    """
    return mean_of_draws(excess(head, head.solve(drawn_gradients(head, seed), SOLVED)))
