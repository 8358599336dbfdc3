"""k* against the size at which test loss and accuracy settle, over all studies in experiments/ together.

Run as ``python experiments/check/run.py``; it takes seconds. Reads result.json of the studies, and writes result.json,
check.png and the tables in README.md between their markers.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from suffice.report.figures import BLUE, GREEN, GREY, ORANGE, Curve, Figure, Style
from suffice.report.matplotlib import draw
from suffice.results import Agreement, Check, Estimate
from suffice.studies import agreement_of

FOLDER = Path(__file__).parent
STUDIES = {"vit-digits": BLUE, "vit-fashion": ORANGE, "text-movie": GREEN}
MARKERS = ("<!-- tables -->", "<!-- end of tables -->")


def main() -> None:
    """Reads, pools, writes."""
    studies = {name: json.loads((FOLDER.parent / name / "result.json").read_text())["study"] for name in STUDIES}
    checks = [
        Check.model_validate(check | {"task": f"{name}: {check['task']}"})
        for name, study in studies.items()
        for check in study["check"]
    ]
    largest = {
        f"{name}: {surface['task']}": surface["samples"]
        for name, study in studies.items()
        for surface in study["retrained"]
    }
    agreements = agreement_of(checks)
    content = {"agreement": [one.model_dump() for one in agreements], "saved": list(saved(checks, largest))}
    (FOLDER / "result.json").write_text(json.dumps(content, indent=1) + "\n")
    draw(figure(checks)).savefig(FOLDER / "check.png", dpi=150, metadata={"Software": "suffice"})
    page = (FOLDER / "README.md").read_text()
    before, rest = page.split(MARKERS[0])
    _, after = rest.split(MARKERS[1])
    tables = "\n".join([*rows(agreements), "", *rows_saved(content["saved"])])
    (FOLDER / "README.md").write_text(f"{before}{MARKERS[0]}\n{tables}\n{MARKERS[1]}{after}")
    print(tables)


def saved(checks: Sequence[Check], largest: Mapping[str, int]) -> Iterator[dict[str, float | str | int]]:
    """What stopping at k* would have saved and cost, the mean over combinations, by criterion and tolerance."""
    kinds = dict.fromkeys((check.criterion, check.tolerance) for check in checks)
    for criterion, tolerance in kinds:
        of_kind = [
            check
            for check in checks
            if (check.criterion, check.tolerance, check.quantity) == (criterion, tolerance, "loss")
            and check.labels_saved is not None
        ]
        yield {
            "criterion": criterion,
            "tolerance": tolerance,
            "combinations": len(of_kind),
            "share_of_labels_saved": fmean((check.labels_saved or 0) / largest[check.task] for check in of_kind),
            "points_of_accuracy_lost": 100 * fmean(check.accuracy_lost or 0.0 for check in of_kind),
            "most_points_lost": 100 * max(check.accuracy_lost or 0.0 for check in of_kind),
        }


def rows(agreements: Sequence[Agreement]) -> Iterator[str]:
    """The agreement as a table."""
    yield (
        "| criterion | tolerance | settles | combinations, without plateau | k\\* over that size | rank correlation "
        "| given CV |"
    )
    yield "|---|---|---|---|---|---|---|"
    for one in agreements:
        ratio = "–" if one.ratio is None else f"{one.ratio:.2g}"
        yield (
            f"| {one.criterion} | {one.tolerance:g} | {one.quantity} | {one.combinations}, {one.censored} | {ratio} | "
            f"{shown(one.rank_correlation)} | {shown(one.partial_correlation)} |"
        )


def shown(estimate: Estimate | None) -> str:
    """With its interval."""
    return "–" if estimate is None else f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def rows_saved(found: Sequence[dict[str, float | str | int]]) -> Iterator[str]:
    """What was saved, as a table."""
    yield "| criterion | tolerance | labels saved, mean | accuracy lost, mean and most |"
    yield "|---|---|---|---|"
    for one in found:
        yield (
            f"| {one['criterion']} | {one['tolerance']:g} | {one['share_of_labels_saved']:.0%} | "
            f"{one['points_of_accuracy_lost']:.1f}, {one['most_points_lost']:.1f} points |"
        )


def figure(checks: Sequence[Check]) -> Figure:
    """One point a combination, criterion remaining, the middle tolerance, test loss."""
    tolerances = sorted({check.tolerance for check in checks})
    middle = tolerances[len(tolerances) // 2]
    curves = []
    ends: list[float] = []
    for name, color in STUDIES.items():
        of_study = [
            check
            for check in checks
            if check.task.startswith(f"{name}:")
            and (check.criterion, check.tolerance, check.quantity) == ("remaining", middle, "loss")
            and check.k_star is not None
        ]
        styles: tuple[tuple[bool, Style, str], ...] = (
            (False, "points", name),
            (True, "circles", f"{name}, no plateau"),
        )
        for censored, style, label in styles:
            points = [(check.held_out_size, check.k_star or 0) for check in of_study if check.censored == censored]
            if points:
                x, y = zip(*points, strict=True)
                curves.append(Curve(label, x, y, color, style))
                ends += [*x, *y]
    line = [0.8 * min(ends), 1.25 * max(ends)]
    return Figure(
        name="check",
        title="Does k* tell where test loss settles?",
        caption="",
        x_label="size from which on test loss is within 5% of its last value",
        y_label=f"k* by remaining, {middle:.0%} of the loss",
        curves=[*curves, Curve("k* as large as that size", line, line, GREY, "dotted")],
    )


if __name__ == "__main__":
    main()
