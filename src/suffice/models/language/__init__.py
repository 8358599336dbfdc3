"""Language models: from a checkpoint and texts to the loss of each sample on its answer's tokens."""

from suffice.models.language.generation import Generation, Written
from suffice.models.language.kind import is_causal
from suffice.models.language.losses import LanguageProblem, Writer
from suffice.models.language.measured import EVALUATED, by_length, losses_of
from suffice.models.language.model import LanguageModel, load_language_model, moved
from suffice.models.language.tokens import Encoding, Tokens

__all__ = [
    "EVALUATED",
    "Encoding",
    "Generation",
    "LanguageModel",
    "LanguageProblem",
    "Tokens",
    "Writer",
    "Written",
    "by_length",
    "is_causal",
    "load_language_model",
    "losses_of",
    "moved",
]
