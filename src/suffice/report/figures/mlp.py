"""Figures of the MLP experiment: Figure 1, widths and depths, heights, and what a moving average makes of them."""

import itertools
from collections.abc import Sequence
from statistics import median

from suffice.report.answers.mlp import comparison, growths_of, middle_of, ratios_of
from suffice.report.figures.figure import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Curve,
    Figure,
    Style,
    shade,
)
from suffice.results import MLPResult, Network, Surrounding

RADIUS_COLORS = (BLUE, GREEN, ORANGE, PURPLE, SKY, GREY)

STYLES: dict[str, Style] = {"teacher": "solid", "linear": "dashed"}
"""Of the targets."""

TARGETS = {"teacher": "teacher network", "linear": "linear teacher"}


def mlp_figures(result: MLPResult) -> list[Figure]:
    """Those of each target, then those of all networks."""
    of_targets = [
        draw(result, target) for draw in (_figure_1, _widths, _depths, _spreads) for target in _targets(result)
    ]
    return [*of_targets, _heights(result), _ema(result), _ratio(result)]


def location(surrounding: Surrounding) -> str:
    """How far from w*, in words."""
    return f"{surrounding.radius:g} ||w*|| away" if surrounding.radius else "at w*"


def _targets(result: MLPResult) -> list[str]:
    return list(dict.fromkeys(network.target for network in result.networks))


def _middle(result: MLPResult, target: str) -> Network:
    """The network of a target in the middle of the widths and depths."""
    networks = [network for network in result.networks if network.target == target]
    return networks[len(networks) // 2]


def _name(network: Network) -> str:
    return f"{TARGETS[network.target]}, width {network.width}, depth {network.depth}"


def _figure_1(result: MLPResult, target: str) -> Figure:
    network = _middle(result, target)
    curves = []
    for surrounding, color in zip(network.surroundings, itertools.cycle(RADIUS_COLORS), strict=False):
        low, high = surrounding.band
        name = f"{location(surrounding)}, S = {surrounding.spread:.3g}"
        curves.append(Curve(name, result.sizes, surrounding.expected, color, low=low, high=high))
        curves.append(Curve("", result.sizes, surrounding.in_order, color, "points"))
    return Figure(
        name=f"figure_1_{target}",
        title=f"What one more sample changes ({_name(network)})",
        caption=(
            "|L(k+1) − L(k)| against the number of samples k. Lines: expected, the root mean square over all orders, "
            "S/√(k(k+1)). Bands: where 90% of random orders lie. Points: as the samples came. The lines differ in "
            "nothing but their height S, the spread of the loss from sample to sample, root mean square over the "
            "probes at each distance."
        ),
        x_label="number of samples k",
        y_label="change of the mean loss, |L(k+1) − L(k)|",
        curves=curves,
    )


def _widths(result: MLPResult, target: str) -> Figure:
    depth = _middle(result, target).depth
    networks = [network for network in result.networks if (network.target, network.depth) == (target, depth)]
    members = [(f"width {network.width}", network) for network in networks]
    return _family(result, members, f"widths_{target}", f"Every width ({TARGETS[target]}, depth {depth})")


def _depths(result: MLPResult, target: str) -> Figure:
    width = _middle(result, target).width
    networks = [network for network in result.networks if (network.target, network.width) == (target, width)]
    members = [(f"depth {network.depth}", network) for network in networks]
    return _family(result, members, f"depths_{target}", f"Every depth ({TARGETS[target]}, width {width})")


def _family(result: MLPResult, members: Sequence[tuple[str, Network]], name: str, title: str) -> Figure:
    """The expected curves of some networks, at w* and at the largest radius."""
    curves = []
    radius = members[0][1].surroundings[-1].radius
    for index, (member, network) in enumerate(members):
        color = shade(index, len(members))
        at_center, away = network.surroundings[0], network.surroundings[-1]
        named = f"{member}: S = {at_center.spread:.3g}, away {away.spread:.3g}"
        curves.append(Curve(named, result.sizes, at_center.expected, color))
        last = index == len(members) - 1
        named = f"the same, {radius:g} ||w*|| away" if last else ""
        curves.append(Curve(named, result.sizes, away.expected, color, "dashed"))
    return Figure(
        name=name,
        title=title,
        caption=(
            f"Expected |L(k+1) − L(k)|, solid at w*, dashed {radius:g} ||w*|| away; the legend has both heights. All "
            "lines are parallel: a network moves the height and nothing else."
        ),
        x_label="number of samples k",
        y_label="change of the mean loss, |L(k+1) − L(k)|",
        curves=curves,
    )


def _heights(result: MLPResult) -> Figure:
    """Growth of the spread with the distance: medians over the widths, and the range of all networks."""
    radii = [surrounding.radius for surrounding in result.networks[0].surroundings[1:]]
    growths = [growths_of(network) for network in result.networks]
    curves = [
        Curve(
            "median of all networks, and their range",
            radii,
            [median(column) for column in zip(*growths, strict=True)],
            GREY,
            low=[min(column) for column in zip(*growths, strict=True)],
            high=[max(column) for column in zip(*growths, strict=True)],
        )
    ]
    depths = _depths_of(result)
    for target, (index, depth) in itertools.product(_targets(result), enumerate(depths)):
        chosen = [
            growths_of(network) for network in result.networks if (network.target, network.depth) == (target, depth)
        ]
        medians = [median(column) for column in zip(*chosen, strict=True)]
        name = f"depth {depth}, {TARGETS[target]}"
        curves.append(Curve(name, radii, medians, shade(index, len(depths)), STYLES[target]))
    return Figure(
        name="heights",
        title="How the height grows away from w*",
        caption=(
            "S(w)/S(w*) against the distance from w*, relative to ||w*||: the spread of the loss from sample to sample "
            "on spheres around w*, root mean square over the probes. Lines in colour: medians over the widths."
        ),
        x_label="distance from w*, ‖w − w*‖ / ‖w*‖",
        y_label="spread of the loss, S(w) / S(w*)",
        curves=curves,
    )


def _spreads(result: MLPResult, target: str) -> Figure:
    """The spread at w* over the samples at hand and over fresh ones."""
    curves = []
    depths = _depths_of(result)
    for index, depth in enumerate(depths):
        chosen = [network for network in result.networks if (network.target, network.depth) == (target, depth)]
        chosen.sort(key=lambda network: network.width)
        color = shade(index, len(depths))
        widths = [network.width for network in chosen]
        low, high = zip(*(network.surroundings[0].spread_interval for network in chosen), strict=True)
        spreads = [network.surroundings[0].spread for network in chosen]
        curves.append(Curve(f"depth {depth}", widths, spreads, color, low=low, high=high))
        name = "the same over fresh samples" if index == len(depths) - 1 else ""
        curves.append(Curve(name, widths, [network.fresh_spread for network in chosen], color, "dotted"))
    return Figure(
        name=f"spreads_{target}",
        title=f"The height at w* ({TARGETS[target]})",
        caption=(
            "S(w*) over the samples that the network was trained on, with 90% intervals for which samples were drawn, "
            "and over fresh ones (dotted). A network that fits its own samples closely has a low curve on them "
            "and a higher one on fresh samples: a low curve is no sign of enough samples."
        ),
        x_label="width, neurons of a hidden layer",
        y_label="spread of the loss, S(w*)",
        curves=curves,
    )


def _ema(result: MLPResult) -> Figure:
    network = _middle(result, _targets(result)[0])
    center = network.surroundings[0]
    factor = result.configuration["smoothing"]
    exact = [center.spread * value for value in result.smoothed_exact]
    return Figure(
        name="ema",
        title="What a moving average makes of it",
        caption=(
            f"The same data at w* ({_name(network)}), as they are and as an exponential moving average of factor "
            f"{factor:g} shows them: it keeps the first values for hundreds of steps. The moving average of the exact "
            "curve S/k has the same shape: plateau and steep fall come from the average, and not from the network."
        ),
        x_label="number of samples k",
        y_label="change of the mean loss, |L(k+1) − L(k)|",
        curves=[
            Curve("as the samples came", result.sizes, center.in_order, BLUE, "points"),
            Curve("expected: S/√(k(k+1))", result.sizes, center.expected, BLUE),
            Curve(f"moving average of the points, all k (factor {factor:g})", result.sizes, center.smoothed, ORANGE),
            Curve("moving average of the exact S/k", result.sizes, exact, BLACK, "dotted"),
        ],
    )


def _ratio(result: MLPResult) -> Figure:
    ratios = [middle_of(ratios_of(result, index)) for index in range(len(result.sizes))]
    exact = [value * size for value, size in zip(result.smoothed_exact, result.sizes, strict=True)]
    low, middle, high = zip(*ratios, strict=True)
    known = ", ".join(f"{exact:.2g} at k = {size}" for size, exact, *_ in comparison(result))
    return Figure(
        name="ema_ratio",
        title="How many times too high a moving average is",
        caption=(
            "Moving average over the true curve: of the exact 1/k, and of the curves in order at w* over what is "
            "expected of them, median and 80% of all networks. At first it follows the very first difference, "
            "which is that of two samples only: this is why the band is wide. In the end it lies below 1, since a mean "
            "of absolute values is below their root mean square."
        ),
        x_label="number of samples k",
        y_label="moving average over true curve",
        curves=[
            Curve(f"exact 1/k: {known}" if known else "exact 1/k", result.sizes, exact, BLACK, "dashed"),
            Curve("networks at w*: median and 80% of them", result.sizes, middle, ORANGE, low=low, high=high),
        ],
    )


def _depths_of(result: MLPResult) -> list[int]:
    return sorted({network.depth for network in result.networks})
