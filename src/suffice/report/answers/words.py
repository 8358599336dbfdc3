"""Numbers for people."""

from suffice.results import Metric


def in_words(metric: Metric, value: float) -> str:
    """A score for people: accuracies and errors in percent, losses and scores with three and four digits.

    Example:
        >>> in_words("accuracy", 0.786), in_words("error", 0.00024), in_words("loss", 0.5123), in_words("score", 27.534)
        ('78.6%', '0.024%', '0.512', '27.53')
    """
    if metric in ("loss", "score"):
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


def share_in_words(share: float) -> str:
    """A probability for people.

    Example:
        >>> share_in_words(0.8), share_in_words(0.127), share_in_words(0.0003), share_in_words(0.9996)
        ('0.8', '0.13', 'below 0.01', 'above 0.99')
    """
    if share < 0.01:
        return "below 0.01"
    return "above 0.99" if share > 0.99 else f"{share:.2g}"
