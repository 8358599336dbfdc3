"""Writes the tables of docs/benchmarks from the committed results, between the comments that name them.

python scripts/document_benchmarks.py
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ROOT / "docs" / "benchmarks"

MARKED = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)

Rows = list[list[str]]


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def table(head: list[str], rows: Rows) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def short(value: float) -> str:
    """Two digits of a ratio, one decimal at least; powers of ten where it is large."""
    if value >= 1e5:
        mantissa, power = f"{value:.0e}".split("e+")
        return f"{mantissa}·10^{int(power)}"
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


def percent(value: float) -> str:
    return f"{100 * value:.0f}%"


def within(value: list[float]) -> str:
    """A share with its interval."""
    share, low, high = value
    return f"{percent(share)} ({percent(low)} to {percent(high)})"


# recording.md


def recording() -> str:
    found = read("recording")
    parts = found["overhead"]
    rows = [
        [
            name.replace("_", "-"),
            f"{of['samples']:,}",
            str(of["probes"]),
            f"{of['ratio_median']:.2f}",
            f"{of['ratio_of_best']:.2f}",
            f"{max(of['guards_add_seconds'], 0):.2f}",
            f"{of['batch_size_auto']:,}, {of['batch_size_best_bare']:,}",
            f"{found['batching'][name]['times_faster']:.1f}" if name in found["batching"] else "",
        ]
        for name, of in parts.items()
    ]
    head = ["model", "samples", "weights", "over the bare loop (median)", "of the fastest", "guards add (seconds)"]
    return table([*head, "batch size: auto, best of the bare loop", "auto over batch size 1, times faster"], rows)


def memory() -> str:
    runs = read("recording")["memory"]["runs"]
    rows = [
        [
            f"{run['samples']:,}",
            *(f"{value / 1e6:.0f}" for value in (run["data"], run["peak"], run["peak"] - run["data"])),
        ]
        for run in runs
    ]
    return table(["samples", "data (MB)", "peak (MB)", "peak less data (MB)"], rows)


def curves() -> str:
    seconds = read("curves")["seconds"]
    return table(["part", "seconds"], [[part, f"{value:.3f}"] for part, value in seconds.items()])


def coverage() -> str:
    found = read("coverage")
    kinds = {"lognormal": "lognormal(0, 1)", "exponential": "exponential", "demo": "fine-tuned demo, held-out losses"}
    rows = [
        [
            title,
            quantity,
            *(
                f"{percent(of['bootstrap_t']['covered'])} / {percent(of['percentile']['covered'])}"
                for of in by.values()
            ),
        ]
        for kind, title in kinds.items()
        for quantity, by in found[kind].items()
        if quantity != "population"
    ]
    return table(["losses", "quantity", "50 samples", "200 samples", "1,000 samples"], rows)


def guards() -> str:
    found = read("checks")
    kinds = ("seconds_losses", "seconds_mean_gradient", "seconds_output_gradients")
    rows = [
        [method, f"{of['moving']:,}", *(f"{of[kind]:.1f}" for kind in kinds), f"{sum(of[kind] for kind in kinds):.1f}"]
        for method, of in found["dinov2_small"].items()
    ]
    head = ["DINOv2-S, moves", "parameters", "before losses (s)", "mean gradients (s)", "gradients of outputs (s)"]
    return table([*head, "together (s)"], rows)


def guards_found() -> str:
    found = read("checks")
    tables, kinds = found["tables"], found["detection"]["by_kind"]
    rows = [
        ["sound models refused", f"{len(tables['refused'][kind])} of {tables['sound'][kind]} ({kind})"]
        for kind in ("losses", "derivatives")
    ]
    rows += [
        ["faulty models found", f"{tables['found'][kind]} of {tables['faulty'][kind]} ({kind})"]
        for kind in ("losses", "derivatives")
    ]
    rows += [[f"gradients found: {kind}", f"{of['found']} of {of['tried']}"] for kind, of in kinds.items()]
    share = f"{100 * found['recording']['share']:.1f}%"
    return table(["measured", "result"], [*rows, ["share of the guards in a recording of the embedded ViT", share]])


def studies() -> str:
    found = read("study")
    lora, head = found["lora"], found["head"]
    accuracy = "{mean:.1%} ({low:.1%} to {high:.1%})".format(**head["accuracy_at_1000_on_10000_test_images"])
    seconds = {kind: head[f"{kind}_seconds"] for kind in ("study", "bare_pass", "fits")}
    return table(
        ["measured", "result", "target"],
        [
            ["LoRA: images a second", f"{lora['images_a_second']['ours']:.1f}", ""],
            ["in a bare loop of transformers and PEFT", f"{lora['images_a_second']['bare']:.1f}", ""],
            ["throughput over the bare loop", f"{lora['throughput_of_bare']:.2f}", "0.9"],
            [f"head: seconds of the study, {head['trainings']} trainings", f"{seconds['study']:.0f}", ""],
            ["one bare pass, and the trainings alone", f"{seconds['bare_pass']:.0f} + {seconds['fits']:.0f}", ""],
            ["study over both", f"{head['ratio']:.2f}", "1.3"],
            ["accuracy with 1,000 samples, 10,000 test images", accuracy, "77%"],
        ],
    )


# closed_form.md and bounds.md


def closed_form() -> str:
    rows = [
        [
            name,
            f"{of['P']:,}",
            short(of["times_faster"]),
            f"{of['times_faster_target']:g}",
            f"{of['over_limit']:.1f}",
            f"{of['over_limit_target']:g}",
            f"{of['memory_in_dense_hessians']:.1f}",
            f"{of['relative_error']:.0e}",
        ]
        for name, of in read("closed_form").items()
        if "P" in of
    ]
    head = "block, parameters, times faster, target, over the bare limit, target, memory in dense Hessians, difference"
    return table(head.split(", "), rows)


KINDS = {"data": "data-dependent", "a_priori": "a priori"}


def bounds_drawn() -> str:
    drawn = read("bounds")["drawn"]
    rows = [
        [title, *(short(drawn[kind]["ratio"][at]) for at in ("0.1", "0.5", "0.9", "0.99"))]
        for kind, title in KINDS.items()
    ]
    return table(["kind", "10%", "median", "90%", "99%"], rows)


def bounds_trained() -> str:
    rows = []
    for name, of in read("bounds")["trained"]["ratios"].items():
        data = of["data"]
        worst = max(data["blocks"], key=lambda block: data["blocks"][block])
        rows.append(
            [
                name.replace("cross_entropy", "cross-entropy").replace("_", " "),
                f"{short(data['total']['median'])} ({short(data['total']['largest'])})",
                short(data["over_norm_of_mean"]["median"]),
                short(of["a_priori"]["total"]["median"]),
                f"`{worst}` {short(data['blocks'][worst])}",
            ]
        )
    head = ["module, loss, inputs", "data-dependent: median (largest)", "over the norm of the mean", "a priori: median"]
    return table([*head, "worst block, data-dependent"], rows)


def bounds_cost() -> str:
    rows = [
        [
            name,
            *(
                f"{of[part][f'{kind}_over_gradient']['median']:.1f}"
                for part in ("attention", "block")
                for kind in KINDS
            ),
        ]
        for name, of in read("bounds")["cost"].items()
        if isinstance(of, dict) and "attention" in of
    ]
    head = ["samples", *(f"{part}: {kind}" for part in ("attention", "block") for kind in KINDS.values())]
    return table(head, rows)


# curvature.md

MODELS = {
    "vit": "embedded ViT, all parameters",
    "block": "last block of DINOv2-S",
    "lora": "LoRA of rank 4 on DINOv2-S",
}


def products() -> str:
    ways = ("kept", "rebuilt", "jvp(grad)", "curvlinops")
    found = read("hessians_one_thread")
    rows = [
        [title, f"{of['parameters']:,}", f"{of['samples']:,}", *(f"{of['over_gradient'][way]:.2f}" for way in ways)]
        for model, title in MODELS.items()
        for of in [found[model]["products"]]
    ]
    head = ["moves", "parameters", "samples", "kept graphs", "rebuilt graphs", "jvp(grad)", "curvlinops 3.0.1"]
    return table(head, rows)


def eigenpairs() -> str:
    return _eigenpairs("hessians_one_thread")


def eigenpairs_two_threads() -> str:
    return _eigenpairs("hessians")


def _eigenpairs(name: str) -> str:
    rows = [
        [
            MODELS[model],
            way,
            f"{of['seconds']:,.0f}",
            f"{of['times_slower']:.2f}",
            str(of.get("products", "")),
            f"{of['largest_true_residual']:.0e}",
        ]
        for model, parts in read(name).items()
        if model in MODELS
        for way, of in parts["eigenpairs"].items()
        if isinstance(of, dict)
    ]
    return table(["moves", "by", "seconds", "over suffice", "products", "largest relative residual"], rows)


def gaps() -> str:
    of = read("hessians_one_thread")["gaps"]
    return table(
        ["measured", "result", "target"],
        [
            [f"gaps at {len(of['sizes'])} sizes, in products by jvp(grad)", f"{of['jvp_grad_products']:.0f}", "60"],
            ["largest relative residual", f"{of['largest_relative_residual']:.0e}", ""],
            ["difference from an independent start", f"{of['largest_difference_from_an_independent_start']:.0e}", ""],
        ],
    )


def per_sample() -> str:
    found = read("per_sample")
    rows = [
        [
            title,
            f"{of['parameters']:,}",
            f"{of['milliseconds_a_sample']['ours']:.0f}",
            f"{of['milliseconds_a_sample']['loop']:,.0f}",
            f"{of['times_faster']:.0f}",
            target,
        ]
        for model, title, target in (("vit", MODELS["vit"], "15"), ("dinov2", MODELS["block"], "5"))
        for of in [found[model]]
    ]
    head = ["moves", "parameters", "milliseconds a sample", "a loop of jvp(grad)", "times faster", "target"]
    return table(head, rows)


def per_sample_scaling() -> str:
    scaling = read("per_sample")["scaling"]
    rows = [
        [f"{int(size):,}", f"{seconds:.0f}", f"{scaling['peak_memory_mib'][size]:.0f}"]
        for size, seconds in scaling["seconds"].items()
    ]
    return table(["samples", "seconds", "peak memory (MiB)"], rows)


def surface() -> str:
    of = read("surface")
    ratios = f"{of['ratio_median']:.2f} ({min(of['ratios']):.2f} to {max(of['ratios']):.2f})"
    head = ["points", "samples", "over the forward passes in a bare loop", "batch size: auto, best of the bare loop"]
    sizes = f"{of['batch_size_auto']}, {of['batch_size_best_bare']}"
    return table(head, [[f"{of['points']} × {of['points']}", f"{of['samples']:,}", ratios, sizes]])


# forecasts.md


def whole_forecasts() -> str:
    """Heads on other people's data, as a user gets them."""
    found = read("forecast_outside")
    rows = [
        [
            f"{part}, {group}",
            str(of["data_sets"]),
            str(of["pilots"]),
            f"{of['gain']['rms_log_ratio'][0]:.2f}",
            f"{of['gain']['bias'][0]:+.2f}",
            *(within(of[what]["covered"]) for what in ("gain", "loss", "accuracy")),
        ]
        for part in ("tuning", "development", "held out")
        for group, of in found[part].items()
        if "data_sets" in of
    ]
    head = ["data", "data sets", "pilots", "gain off by, log", "bias, log", "gain in 90% interval", "loss", "accuracy"]
    return table(head, rows)


def scores() -> str:
    """Curves through four scores of LCDB, by method."""
    errors = read("forecast_scores_held_out")["errors"]
    bias = errors["bias"]
    rows = [
        [
            name,
            *(f"{100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})" for value, low, high in _at(of)),
            *(f"{100 * value:+.1f}" for value, _, _ in _at(bias[name])),
        ]
        for name, of in errors["mean_absolute_error"].items()
        if name in bias
    ]
    return table(["method", "error at 4 times, points", "at 8 times", "bias at 4 times, points", "at 8 times"], rows)


def language_models() -> str:
    found = read("forecast_scores_held_out")["language_models"]
    rows = [
        [name, *(f"{percent(value)} ({percent(low)} to {percent(high)})" for value, low, high in _at(of))]
        for name, of in found["relative_rms_of_gain"].items()
    ]
    return table(["method", "gain off by, at 4 times", "at 8 times"], rows)


def language_gains() -> str:
    """Gains of fine-tunings from one run, on pilots that were held out: root mean square error, and coverage."""
    found = read("language_gains_held_out")
    rows = [
        [
            row["task"],
            str(row["k0"]),
            name,
            *(percent(of[times]) for times in ("2", "4", "8")),
            *(percent(row["covered"][name][times]) if name in row["covered"] else "" for times in ("2", "4", "8")),
        ]
        for row in found["rows"]
        for name, of in row["rms"].items()
    ]
    head = ["task", "k0", "way", *(f"off by, at {times} times" for times in (2, 4, 8))]
    return table([*head, *(f"interval holds, at {times} times" for times in (2, 4, 8))], rows)


def language_overhead() -> str:
    """What recording a fine-tuning costs, over bare loops."""
    found = read("language_overhead")
    rows = [
        [
            method,
            name,
            f"{of['throughput_over_bare'][name]:.2f}" if name in of["throughput_over_bare"] else "",
            f"{100 * of['recording_share_of_training'][name]:.1f}%",
            percent(of["evaluations_share_of_run"][name]),
        ]
        for method, of in found.items()
        if method not in ("environment", "settings")
        for name in of["recording_share_of_training"]
    ]
    head = ["trained", "way", "throughput over a bare loop", "recording, of the training", "evaluations, of the run"]
    return table(head, rows)


def language_memory() -> str:
    """Memory of the losses with a large vocabulary."""
    found = read("language_memory")
    names = {"chunks": "suffice", "plain": "a plain loop"}
    rows = [[name, f"{found[way]['gigabytes']:.2f} GB", f"{found[way]['seconds']:.1f}"] for way, name in names.items()]
    size = f"{found['batch']} samples of {found['tokens']:,} tokens, vocabulary of {found['vocabulary']:,}"
    return table([size, "peak above the model", "seconds"], rows)


def _at(of: dict[str, list[float]]) -> Iterator[tuple[float, float, float]]:
    return zip(of["value"], of["low"], of["high"], strict=True)


def head_seconds() -> str:
    found = read("forecast_head_seconds")
    rows = [
        [
            f"{of['l2']:g}",
            *(
                f"{min(of['seconds'][part]):.2f}"
                for part in ("forecast", "fit", "ten folds", "slope", "15 retrainings")
            ),
            f"{of['slope_over_retrainings']:.3f}",
        ]
        for of in found["penalties"]
    ]
    return table(["penalty", "forecast", "fit", "ten folds", "slope", "15 retrainings", "slope over retrainings"], rows)


def stopping() -> str:
    """Rules of when to stop labelling, on the held-out tasks."""
    found = read("stopping")
    gain = str(found["settings"]["main_gain"])
    rows = [[_rule(name), *_stopped(of[gain])] for name, of in found["held_out"]["rules"].items()]
    head = ["rule", "wrong stops, of all sequences", "upper 95% limit", "stopped", "labels over the oracle's, median"]
    return table([*head, "mean share of the pool"], rows)


def stopping_by_gain() -> str:
    """suffice by the gain that is wanted, on development and held-out tasks."""
    found = read("stopping")
    rows = [
        [part.replace("_", " "), f"{100 * float(gain):.0f}", *_stopped(of)]
        for part in ("development", "held_out")
        for gain, of in found[part]["rules"]["suffice, samples known"].items()
    ]
    head = ["tasks", "gain, points", "wrong stops, of all sequences", "upper 95% limit", "stopped"]
    return table([*head, "labels over the oracle's, median", "mean share of the pool"], rows)


def _rule(name: str) -> str:
    known = {"samples": "score of each sample known", "size": "size of the hold-out known"}
    kind, _, what = name.partition(", ")
    return f"suffice, {known[what.removesuffix(' known')]}" if kind == "suffice" else name


def _stopped(of: dict[str, Any]) -> list[str]:
    return [
        f"{100 * of['rate']:.1f}%",
        f"{100 * of['upper_95']:.1f}%",
        percent(of["stopped"]),
        f"{of['median_labels_over_oracle']:.2f}",
        percent(of["mean_share_of_pool"]),
    ]


# trust.md


def damages() -> str:
    """What becomes of a run whose files are damaged."""
    found = read("trust_damage")
    rows = [
        [kind, *(str(of.get(outcome, 0)) for outcome in ("equal", "error", "different", "traceback"))]
        for kind, of in {**found["by_kind"], **found["by_state"], "all": found["outcomes"]}.items()
    ]
    return table(["damage, or state of the run", "equal result", "one line", "another result", "traceback"], rows)


def kills() -> str:
    """What becomes of a run that is killed."""
    rows = []
    for kind, of in read("kills").items():
        if kind == "environment":
            continue
        drivers, workers = of["of_drivers"], of["of_workers"]
        counts = [of["kills"], drivers, workers, of["kills"] - drivers - workers, of["same_results"]]
        counts += [of[name] for name in ("pieces_written_again", "processes_that_outlived", "partial_files_left")]
        rows.append([kind, *map(str, counts)])
    head = ["run", "moments", "drivers killed", "workers killed", "over before", "same results", "pieces written again"]
    return table([*head, "processes that outlived", "partial files left"], rows)


def changes() -> str:
    """What becomes of a run whose inputs change."""
    found = read("trust_changes")
    rows = [
        [what, *(str(of.get(end, 0)) for end in ("noticed", "new", "missed"))] for what, of in found["changes"].items()
    ]
    return table(["one changed", "noticed", "result of the new input alone", "missed"], rows)


def workers() -> str:
    """Tasks in a loop, by one worker and by two."""
    found = read("engine")
    plain = min(found["seconds"]["plain loop"])
    rows = [[name, f"{min(of):.1f}", f"{plain / min(of):.2f}"] for name, of in found["seconds"].items()]
    return table([f"{found['tasks']} tasks on one thread each", "seconds", "times as fast as the loop"], rows)


def hashes() -> str:
    """Hashes of contents against the first pass over the samples."""
    rows = [
        [
            name,
            f"{of['samples']:,}",
            f"{of['seconds of first pass']:.1f}",
            percent(of["share of the first pass"]),
            percent(of["share when repeated"]),
        ]
        for name, of in read("hashing").items()
        if name != "environment"
    ]
    return table(["model and data", "samples", "first pass, seconds", "hashes", "hashes when repeated"], rows)


def head_scale() -> str:
    """Forecasts of heads of large problems."""
    rows = [
        [
            of["case"],
            f"{of['samples']:,} × {of['columns']}, K = {of['classes']:,}",
            *(_cost(of[side]) for side in ("this", "other")),
        ]
        for of in read("forecast_head_scale")["cases"]
    ]
    return table(["case", "size", "processor seconds, GB above the features", "before"], rows)


def _cost(of: dict[str, float] | None) -> str:
    return "more than 600 s" if of is None else f"{of['processor_s']:.0f} s, {of['above_gb']:.1f} GB"


TABLES: dict[str, Callable[[], str]] = {
    make.__name__: make
    for make in (
        recording,
        memory,
        curves,
        coverage,
        guards,
        guards_found,
        studies,
        closed_form,
        bounds_drawn,
        bounds_trained,
        bounds_cost,
        products,
        eigenpairs,
        eigenpairs_two_threads,
        gaps,
        per_sample,
        per_sample_scaling,
        surface,
        whole_forecasts,
        scores,
        language_models,
        language_gains,
        language_overhead,
        language_memory,
        head_seconds,
        stopping,
        stopping_by_gain,
        damages,
        changes,
        kills,
        workers,
        hashes,
        head_scale,
    )
}


def filled(page: str) -> str:
    """The page with its tables as the results are now."""
    return MARKED.sub(lambda found: f"<!-- {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->", page)


if __name__ == "__main__":
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(filled(path.read_text()))
