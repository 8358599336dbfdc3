"""How wide the intervals of forecasts are."""

from statistics import NormalDist

from suffice.results import CONFIDENCE

WIDTH = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors of a normal distribution to either end."""
