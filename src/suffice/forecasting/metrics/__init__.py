"""Metrics of a classifier: their values, what they are now, and how they rise as the loss falls."""

from suffice.forecasting.metrics.now import MetricNow, metric_now
from suffice.forecasting.metrics.rate import Rate, Rates
from suffice.forecasting.metrics.values import (
    AUROC,
    RECALL,
    Accuracy,
    BalancedAccuracy,
    MacroF1,
    Metric,
    Recall,
    known,
    metric_named,
)

__all__ = [
    "AUROC",
    "RECALL",
    "Accuracy",
    "BalancedAccuracy",
    "MacroF1",
    "Metric",
    "MetricNow",
    "Rate",
    "Rates",
    "Recall",
    "known",
    "metric_named",
    "metric_now",
]
