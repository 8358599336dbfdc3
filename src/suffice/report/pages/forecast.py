"""The page of ``suffice forecast``."""

import numpy as np

from suffice.report.answers.forecast import forecast_answer
from suffice.report.figures.forecast import forecast_figures
from suffice.report.pages.page import Page, render
from suffice.results import ForecastResult


def forecast_page(result: ForecastResult) -> Page:
    """The answer, the curves with their numbers, and which class to collect next."""
    figures = forecast_figures(result)
    html = render(
        "forecast.html.j2",
        result,
        figures,
        curve=result.forecast,
        trained=_trained(result.method),
        rows=np.arange(len(result.forecast.sizes)) if figures else [],
        answer=forecast_answer(result),
        color=_color(result),
    )
    return Page(html, figures)


def _color(result: ForecastResult) -> str:
    """The class of the headline, which decides its colour: how much it can be trusted."""
    if result.trust is not None:
        return result.trust.word.replace(" ", "_")
    status = result.answers[0].status if result.answers else result.forecast.status
    return "cannot_tell" if status == "unreachable" else status


def _trained(method: str) -> str:
    """
    Example:
        >>> _trained("head"), _trained("last_layers(2)"), _trained("lora(8)"), _trained("full")
        ('a head on', 'the last 2 layers of', 'LoRA of rank 8 on', 'all of')
    """
    kind, _, number = method.rstrip(")").partition("(")
    layers = "the last layer of" if number == "1" else f"the last {number} layers of"
    return {"head": "a head on", "last_layers": layers, "lora": f"LoRA of rank {number} on", "full": "all of"}[kind]
