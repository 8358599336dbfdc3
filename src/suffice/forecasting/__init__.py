"""Forecasting: how test loss and accuracy should go on with more samples, from one training."""

from suffice.forecasting.forecast import forecast_head

__all__ = ["forecast_head"]
