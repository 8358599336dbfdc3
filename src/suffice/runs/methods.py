"""From a model and the samples at hand to the method to use from which size on: a forecast of each, compared."""

from contextlib import nullcontext
from pathlib import Path

from suffice.configuration import ForecastConfig
from suffice.engine import RayCluster
from suffice.errors import InputError
from suffice.forecasting import compare
from suffice.results import CONFIDENCE, MethodsResult, OfMethod, Target
from suffice.runs.folder import METHODS, open_folder, write_result
from suffice.runs.forecast import AHEAD, FREE, forecast_and_evidence, prepare
from suffice.runs.log import logged
from suffice.runs.replacement import folder_to_write
from suffice.runs.watch import SILENT, Watch
from suffice.runs.workers import workers_of
from suffice.software import versions


def forecast_methods(
    config: ForecastConfig,
    out: Path = Path("runs/forecast"),
    overwrite: bool = False,
    watch: Watch = SILENT,
    workers: int | None = None,
    cluster: RayCluster | None = None,
) -> MethodsResult:
    """Predicts the learning curve of each method and compares them, and writes ``result.json``.

    Each method has a run of its own in a folder within this one, which is resumed; a method may be added later.

    Args:
        config: as of `suffice.runs.forecast.forecast`, with several methods.
        out: the run's folder.
        overwrite: replace a run with other settings.
        watch: told what is done and how long it should take; silent by default.
        workers: as of `suffice.runs.forecast.forecast`, one method after the other.
        cluster: likewise.

    Raises:
        InputError: bad input of any kind, found before anything is trained.
    """
    processes = workers_of(workers, cluster, config.store)
    configs = _of_each(config)
    folders = {method: Path(METHODS) / method for method in configs}
    watches = [watch, *[SILENT] * (len(configs) - 1)]
    building = folder_to_write(out, overwrite)
    (_, learners), *_ = [
        prepare(own, building / folders[method], of_method)
        for (method, own), of_method in zip(configs.items(), watches, strict=True)
    ]
    # methods may change in a folder of several, and not in that of one
    free = FREE | {"method"} if (building / METHODS).is_dir() else FREE
    watch = logged(watch)
    with open_folder(out, config, learners.contents(), overwrite, free) as run, processes as shared:
        made = {}
        for number, (method, own) in enumerate(configs.items(), 1):
            watch.say(f"Method {number} of {len(configs)}: {method}.")
            made[method] = forecast_and_evidence(
                own, run.path / folders[method], watch=watch, is_told=True, processes=nullcontext(shared)
            )
        results = {method: result for method, (result, _) in made.items()}
        first = results[config.methods[0]]
        ahead = config.sizes or [first.samples * times for times in AHEAD]
        targets = _targets(config)
        only_loss = bool(targets) and all(criterion == "target_loss" for criterion, _ in targets)
        result = MethodsResult(
            model=config.model,
            data=config.data,
            classes=first.classes,
            samples=first.samples,
            test_samples=first.test_samples,
            methods=[
                OfMethod(
                    method=method,
                    folder=folders[method].as_posix(),
                    forecast=own.forecast,
                    answers=own.answers,
                    trust=own.trust,
                )
                for method, own in results.items()
            ],
            comparison=compare(
                {method: own.forecast for method, own in results.items()},
                {method: evidence.classified for method, (_, evidence) in made.items()},
                [first.samples, *ahead],
                "loss" if only_loss else "accuracy",
                targets,
                config.assurance,
                config.of,
                config.seed,
            ),
            notes=list(dict.fromkeys(note for own in results.values() for note in own.notes)),
            confidence=CONFIDENCE,
            configuration=config.asked(),
            versions=versions(),
        )
        write_result(result, run.path, indent=1)
        return result


def _of_each(config: ForecastConfig) -> dict[str, ForecastConfig]:
    """The settings of each method's own run: the penalty is of the head alone."""
    if config.trained:
        raise InputError("--trained is for one method, the one by which the model was trained: give only that one")
    if config.l2 is not None and "head" not in config.methods:
        raise InputError(f"--l2 is the penalty of a head, and the methods are {config.method}: leave it out")
    if config.recipe != "fixed" and "head" not in config.methods:
        raise InputError(f"--recipe is of the penalty of a head, and the methods are {config.method}: leave it out")
    of_heads = {"l2": None, "recipe": "fixed"}
    return {
        method: config.model_copy(update={"method": method} | ({} if method == "head" else of_heads))
        for method in config.methods
    }


def _targets(config: ForecastConfig) -> list[tuple[Target, float]]:
    values: dict[Target, float | None] = {
        "target_accuracy": config.target_accuracy,
        "target_loss": config.target_loss,
    }
    return [(criterion, value) for criterion, value in values.items() if value is not None]
