"""Draws docs/forecast_errors.png from the results: ``python benchmarks/forecast/figure.py``, after ``tables.py``."""

import matplotlib.pyplot as plt
import numpy as np
from tables import CURVES, PAGE, ahead, groups, is_clear, read, rms, true_gain
from tasks import TUNED_ON

METHODS = {"combined": ("#0072b2", "o"), "best curve fit": ("#d55e00", "s"), "two points": ("#888888", "^")}
"""Colour and marker; two points are a + b/k through the pilot and half of it."""

ENOUGH = 24
"""Samples of a class."""

AT = 8
"""Times the pilot that the gain of other models is told for."""


def heads() -> dict[str, dict[str, float]]:
    """By task: the error of the gain to 8 times the pilot, or as far as the pool goes."""
    found = {}
    for task in read("forecast_heads")["tasks"]:
        if task["per_class"] >= ENOUGH:
            errors = task["summary"]["error_of_gain"]
            name = f"{task['task']}, {task['per_class']:.0f} a class" + "*" * (task["group"] == TUNED_ON)
            best = min(errors[curve] for curve in CURVES)
            found[name] = {"best curve fit": best, **{method: errors[method] for method in ("combined", "two points")}}
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
    return {
        name: {
            "combined": rms(of["combined"]),
            "best curve fit": min(rms(of[curve]) for curve in CURVES if curve in of),
            "two points": rms(of["two points"]),
        }
        for name, of in errors.items()
    }


def main() -> None:
    parts = {"Heads, by the size of the pilot": heads(), "Last layers, LoRA, whole models": layers()}
    rows = [len(part) for part in parts.values()]
    figure, panels = plt.subplots(
        len(parts), 1, figsize=(9, 0.27 * sum(rows) + 1.8), height_ratios=rows, sharex=True, layout="constrained"
    )
    for axes, (title, part) in zip(panels, parts.items(), strict=True):
        places = np.arange(len(part))[::-1]
        axes.hlines(places, 1, 500, color="#eeeeee", zorder=0)
        for method, (color, marker) in METHODS.items():
            axes.plot([100 * of[method] for of in part.values()], places, marker, color=color, label=method)
        axes.set(yticks=places, yticklabels=list(part), xscale="log", xlim=(1, 500), title=title)
        axes.axvline(25 if part is parts["Heads, by the size of the pilot"] else 35, color="black", ls=":", lw=1)
        axes.tick_params(labelsize=8)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    panels[0].legend(loc="upper left", bbox_to_anchor=(-0.42, 1.12), frameon=False, fontsize=8)
    panels[-1].set_xlabel("error of the predicted gain, %, root mean square over pilots")
    panels[-1].set_xticks([1, 2, 5, 10, 20, 50, 100, 200, 500], ["1", "2", "5", "10", "20", "50", "100", "200", "500"])
    figure.savefig(PAGE.with_name("forecast_errors.png"), dpi=120)


if __name__ == "__main__":
    main()
