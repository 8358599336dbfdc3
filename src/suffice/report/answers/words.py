"""Numbers for people."""

import math
from collections.abc import Sequence

from suffice.results import Metric


def in_words(metric: Metric, value: float) -> str:
    """A score for people: accuracies and errors in percent, losses and scores with three and four digits.

    Example:
        >>> in_words("accuracy", 0.786), in_words("error", 0.00024), in_words("loss", 0.5123), in_words("score", 27.534)
        ('78.6%', '0.024%', '0.512', '27.53')
        >>> in_words("loss", 0.0), in_words("accuracy", float("nan"))
        ('zero', 'not known')
    """
    if math.isnan(value):
        return "not known"
    if metric in ("loss", "score"):
        if value == 0:
            return "zero"
        digits = 3 if metric == "loss" else 4
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    if 0 < value < 0.01:
        return f"{100 * value:.2g}%"
    return f"{value:.2%}" if 0.9995 <= value < 1 else f"{value:.1%}"


def target_in_words(metric: Metric, target: float) -> str:
    """A target for people, with the digits that were given.

    Example:
        >>> target_in_words("accuracy", 0.82), target_in_words("error", 0.005), target_in_words("loss", 0.3)
        ('82%', '0.5%', '0.3')
    """
    return f"{target:.6g}" if metric in ("loss", "score") else f"{100 * target:.6g}%"


def goal_in_words(metric: Metric, target: float) -> str:
    """A target with its metric.

    Example:
        >>> goal_in_words("accuracy", 0.82), goal_in_words("error", 0.005), goal_in_words("loss", 0.3)
        ('82% accuracy', '0.5% error', 'a loss of 0.3')
    """
    target_words = target_in_words(metric, target)
    return f"a {metric} of {target_words}" if metric in ("loss", "score") else f"{target_words} {metric}"


def ended(sentence: str) -> str:
    """A sentence with its full stop, where it has no end.

    Example:
        >>> ended("few samples"), ended("Label more."), ended("is it rather a loss?")
        ('few samples.', 'Label more.', 'is it rather a loss?')
    """
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def share_in_words(share: float) -> str:
    """A probability for people.

    Example:
        >>> share_in_words(0.8), share_in_words(0.127), share_in_words(0.0003), share_in_words(0.9996)
        ('80%', '13%', 'below 1%', 'above 99%')
    """
    if share < 0.01:
        return "below 1%"
    return "above 99%" if share > 0.99 else f"{share:.0%}"


def rounded(size: float) -> int:
    """A size with two digits, as far as answers know it.

    Example:
        >>> rounded(1287), rounded(96), rounded(5), rounded(597)
        (1300, 96, 5, 600)
    """
    unit: int = 10 ** max(0, len(str(int(size))) - 2)
    return round(size / unit) * unit


def capitalized(sentence: str) -> str:
    """A sentence with a capital at its beginning, and all else as it is.

    Example:
        >>> capitalized("a loss of 0.3"), capitalized("82% of LoRA")
        ('A loss of 0.3', '82% of LoRA')
    """
    return sentence[:1].upper() + sentence[1:]


def listed(words: Sequence[str]) -> str:
    """Words in a row.

    Example:
        >>> listed(["head"]), listed(["head", "lora(4)"]), listed(["head", "lora(4)", "full"])
        ('head', 'head and lora(4)', 'head, lora(4) and full')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
