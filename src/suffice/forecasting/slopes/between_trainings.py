r"""How much the test loss of heads differs between trainings on k other samples."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from suffice.forecasting.head import Head
from suffice.forecasting.slopes.traces import SOLVED, signed_gradients


class BetweenTrainings(NamedTuple):
    r"""The variance of the test loss between trainings on k samples, :math:`v_1 / k + v_2 / k^2`.

    Attributes:
        first: v_1, of the gradient of the loss that a penalty leaves; 0 without one.
        second: v_2, of the curvature of the loss.
        slope: :math:`\tfrac12 \mathrm{Tr}(H_0 \Sigma)`, what the noise of the weights costs, times k.
    """

    first: float
    second: float
    slope: float

    def at_slope(self, slope: float) -> "BetweenTrainings":
        """The same where the noise of the weights is known to cost another slope: the covariance is in proportion.

        Of heads that nearly interpolate the covariance is far too large, and so is its slope.

        Example:
            >>> BetweenTrainings(first=1.0, second=8.0, slope=4.0).at_slope(2.0)
            BetweenTrainings(first=0.5, second=2.0, slope=2.0)
        """
        factor = slope / self.slope
        return BetweenTrainings(self.first * factor, self.second * factor**2, slope)

    def deviation(self, sizes: Float64[np.ndarray, " sizes"]) -> Float64[np.ndarray, " sizes"]:
        """The standard deviation at each size.

        Example:
            >>> BetweenTrainings(first=0.0, second=50.0, slope=5.0).deviation(np.array([100.0, 200.0])).round(4)
            array([0.0707, 0.0354])
        """
        return np.asarray(np.sqrt(self.first / sizes + self.second / np.square(sizes)))


def between_trainings(head: Head, outputs: Float64[np.ndarray, "samples outputs"], seed: int = 0) -> BetweenTrainings:
    r"""The variance of the test loss of heads that were fitted to k other samples.

    The weights of such a head differ from the best ones by :math:`\delta`, of covariance
    :math:`\Sigma / k = H^{-1} C H^{-1} / k`, and its test loss by
    :math:`-\lambda W^\top \delta + \tfrac12 \delta^\top H_0 \delta`, as the gradient of the loss is :math:`-\lambda W`
    where that of the penalty is :math:`\lambda W`. For normal :math:`\delta`

    .. math:: v_1 = \lambda^2 W^\top \Sigma W, \qquad v_2 = \tfrac12 \mathrm{Tr}[(H_0 \Sigma)^2]

    The trace is the mean of :math:`(u_a^\top H_0 u_b)^2` over pairs of independent u of covariance :math:`\Sigma`.

    Args:
        head: fitted to its samples.
        outputs: of each sample, at which its gradient is taken, as for `suffice.forecasting.slopes.sandwich_slope`.
        seed: random seed of the u.

    Example:
        >>> from suffice.forecasting.head import fit_head
        >>> from suffice.forecasting.losses import SquaredError
        >>> random = np.random.default_rng(0)
        >>> x, noise = random.normal(size=(2000, 8)), random.normal(size=(2000, 1))
        >>> head = fit_head(x, SquaredError(x.sum(1, keepdims=True) + noise), 1, penalty=1e-9)
        >>> found = between_trainings(head, head.outputs)  # the excess is chi-square of 8 parameters, over k
        >>> round(found.first), 12 < found.second < 20
        (0, True)
    """
    residuals = head.loss.at(outputs).residuals
    changes = head.solve(signed_gradients(head, residuals, seed), SOLVED)
    along = head.push(head.solve(head.penalty * head.weights, SOLVED))
    of_each = (along * residuals).sum(-1)
    products = np.tensordot(changes, head.curvature(changes), ((-2, -1), (-2, -1)))
    others = ~np.eye(len(products), dtype=bool)
    return BetweenTrainings(
        first=float(of_each.var()),
        second=float(np.square(products[others]).mean() / 2),
        slope=float(np.diag(products).mean() / 2),
    )
