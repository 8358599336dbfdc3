"""The embedded example: the tiny Vision Transformer, fine-tuned on real digits."""

from suffice.configuration import AnalyzeConfig
from suffice.data import DIGITS
from suffice.models import TINY_VIT

DEMO = AnalyzeConfig(model=TINY_VIT, data=DIGITS, fine_tune="all", epochs=10, learning_rate=1e-3)
