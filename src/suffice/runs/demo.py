"""The embedded example: the tiny Vision Transformer on real digits."""

from suffice.configuration import AnalyzeConfig, ForecastConfig
from suffice.data import DIGITS
from suffice.models import TINY_VIT

DEMO = AnalyzeConfig(model=TINY_VIT, data=DIGITS, method="full", epochs=10, learning_rate=1e-3)
"""How many digits are enough for the model, fine-tuned."""

DEMO_FORECAST = ForecastConfig(model=TINY_VIT, data=DIGITS, samples=300, target_accuracy=0.82)
"""What more than 300 digits would bring to a new head."""
