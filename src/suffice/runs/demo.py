"""The embedded examples: a tiny Vision Transformer on real digits, a tiny language model on made-up questions."""

from suffice.configuration import AnalyzeConfig, ForecastConfig
from suffice.configuration.language import LanguageForecastConfig
from suffice.data import DIGITS
from suffice.data.questions import QUESTIONS
from suffice.models import TINY_VIT
from suffice.models.source import TINY_LM

DEMO = AnalyzeConfig(model=TINY_VIT, data=DIGITS, method="full", epochs=10, learning_rate=1e-3)
"""How many digits are enough for the model, fine-tuned."""

DEMO_FORECAST = ForecastConfig(model=TINY_VIT, data=DIGITS, samples=300, target_accuracy=0.82)
"""What more than 300 digits would bring to a new head."""

DEMO_LANGUAGE = LanguageForecastConfig(
    model=TINY_LM, data=QUESTIONS, method="full", learning_rate=1e-3, target_loss=0.25
)
"""What more than 1,980 questions would bring to the fine-tuning of a language model."""
