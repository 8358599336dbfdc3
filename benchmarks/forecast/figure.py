"""Draws docs/forecast_errors.png from the results: ``python benchmarks/forecast/figure.py``, after ``tables.py``."""

import matplotlib.pyplot as plt
import numpy as np
from tables import PAGE, ahead, groups, is_clear, read, rms, true_gain
from tasks import TUNED_ON

from suffice.forecasting.slopes.best import ENOUGH

METHODS = {
    "default": ("suffice", "#0072b2", "o"),
    "arctan": ("arctan, fitted to 15 retrainings or more", "#d55e00", "s"),
    "power law": ("power law, likewise", "#e69f00", "D"),
    "two points": ("a + b / k through the pilot and half of it", "#888888", "^"),
}
"""Label, colour and marker."""

OF_HEADS, OF_OTHERS = "calibrated", "combined"
"""The default estimators."""

SHOWN = (1, 1000)
"""Percent."""

AT = 8
"""Times the pilot that the gain of other models is told for."""


def heads() -> dict[str, dict[str, float]]:
    """By task: the error of the gain to 8 times the pilot, or as far as the pool goes."""
    found = {}
    for task in read("forecast_heads")["tasks"]:
        if task["per_class"] >= ENOUGH:
            errors = task["summary"]["error_of_gain"]
            name = f"{task['task']}, {task['per_class']:.0f} a class" + "*" * (task["group"] == TUNED_ON)
            found[name] = {method: errors[OF_HEADS if method == "default" else method] for method in METHODS}
    return found


def layers() -> dict[str, dict[str, float]]:
    """By study and method, over pilots."""
    errors: dict[str, dict[str, list[float]]] = {}
    for group, pilots in groups().items():
        for one, place in ahead(pilots, AT):
            if is_clear(one, place):
                name = f"{one['study']}, {one['task']}, {one['method']}" + "*" * group.startswith(TUNED_ON)
                for method, gain in one["gains"].items():
                    errors.setdefault(name, {}).setdefault(method, []).append(gain[place] / true_gain(one, place) - 1)
    names = {method: OF_OTHERS if method == "default" else method for method in METHODS}
    return {
        name: {method: rms(of[by]) if by in of else np.nan for method, by in names.items()}
        for name, of in errors.items()
    }


def main() -> None:
    parts = (("Heads, by the size of the pilot", 25, heads()), ("Last layers, LoRA, whole models", 35, layers()))
    rows = [len(part) for _, _, part in parts]
    figure, panels = plt.subplots(
        len(parts), 1, figsize=(9, 0.27 * sum(rows) + 1.8), height_ratios=rows, sharex=True, layout="constrained"
    )
    for axes, (title, target, part) in zip(panels, parts, strict=True):
        places = np.arange(len(part))[::-1]
        axes.hlines(places, *SHOWN, color="#eeeeee", zorder=0)
        for method, (label, color, marker) in reversed(METHODS.items()):
            axes.plot([100 * of[method] for of in part.values()], places, marker, color=color, ms=5, label=label)
        axes.set(yticks=places, yticklabels=list(part), xscale="log", xlim=SHOWN, title=title)
        axes.axvline(target, color="black", ls=":", lw=1)
        axes.tick_params(labelsize=8)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    panels[0].legend(loc="upper left", bbox_to_anchor=(-0.5, 1.1), frameon=False, fontsize=8)
    panels[-1].set_xlabel("error of the predicted gain, %, root mean square over pilots")
    ticks = [digit * power for power in (1, 10, 100) for digit in (1, 2, 5)]
    panels[-1].set_xticks(ticks, [str(tick) for tick in ticks])
    figure.savefig(PAGE.with_name("forecast_errors.png"), dpi=120)


if __name__ == "__main__":
    main()
