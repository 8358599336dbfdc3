"""Why losses differ from run to run or from batch to batch, in words."""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from suffice.checks.cause import UNNAMED, Run, find_cause, module_of
from suffice.checks.comparison import REPEATS, TOGETHER, Comparison
from suffice.checks.registry import COMPANY, PADDING, UNSTABLE, Finding

AGREEMENT = {torch.float64: 3e-6, torch.float32: 1e-4}
"""Up to this relative difference tensors agree. A model in float64 may have a softmax in float32 inside."""

COARSE = 0.05
"""The same in lower precision."""


def diagnose(found: Comparison) -> Finding:
    """What is wrong with losses that differ, and the first module that makes them differ."""
    # a random loss may look like one that depends on its batch, where random numbers are drawn rarely
    if found.unstable is not None or any(found.differs_again(seed) for seed in range(2, 2 + REPEATS)):
        return _unstable(found)
    return _dependent(found)


def _unstable(found: Comparison) -> Finding:
    batch, count = found.samples.together, len(found.samples.positions)
    has_state = any(found.differs_again(seed=0) for _ in range(REPEATS))
    position = found.samples.positions[found.unstable or 0]
    cause = _cause(found, Run(batch, count, None), Run(batch, count, None, seed=1))
    does, remedy = (
        ("keeps something from run to run", "Do not change buffers or counters in forward in evaluation mode")
        if has_state
        else ("draws random numbers in evaluation mode", "Give functional dropout training=self.training")
    )
    does, remedy = _stays_in_training(found, cause) or (does, remedy)
    what = f"the loss of {found.problem.describe(position)} changes from run to run; {cause} {does}"
    return Finding(UNSTABLE, what, remedy)


def _dependent(found: Comparison) -> Finding:
    row = found.in_company or 0
    position = found.samples.positions[row]
    pair = next(_pairs(found, position), None)
    one, other, is_padding = pair or (*_all_together(found, position), found.samples.differ and found.takes_one)
    cause = _cause(found, one, other)
    what = f"the loss of {found.problem.describe(position)} depends on"
    if is_padding:
        return Finding(
            PADDING,
            f"{what} the padding that it gets beside a longer sample; {cause} sees it",
            "Measure with batch_size=1, pad all samples to one length, or pass the attention mask to the model",
        )
    does, remedy = (
        _stays_in_training(found, cause)
        or _without_statistics(found, cause)
        or (
            "looks at the whole batch",
            "Make it use each sample alone, or measure with batch_size=1",
        )
    )
    return Finding(COMPANY, f"{what} the samples beside it in the batch; {cause} {does}", remedy)


def _stays_in_training(found: Comparison, cause: str) -> tuple[str, str] | None:
    module = module_of(found.problem, cause)
    if module is None or not module.training:
        return None
    return "stays in training mode after eval()", "Let its train(False) set evaluation mode"


def _without_statistics(found: Comparison, cause: str) -> tuple[str, str] | None:
    module = module_of(found.problem, cause)
    if not isinstance(module, nn.modules.batchnorm._NormBase) or module.running_mean is not None:
        return None
    return (
        "uses batch statistics in evaluation mode",
        "Set track_running_stats=True and train again, use layer or group normalisation, or measure with batch_size=1",
    )


def _pairs(found: Comparison, position: int) -> Iterator[tuple[Run, Run, bool]]:
    """Small batches in which the sample's loss differs, and whether padding makes it so.

    Company is looked for first, in batches of one length: it is there with padding too, and not the other way round.
    """
    row = found.samples.positions.index(position)
    for one, other in itertools.chain(_of_one_length(found, position), _of_one_padding(found, position)):
        if found.differs(one.batch, other.batch, row):
            yield one, other, False
    alone = _run(found, [position])
    for other in _beside_longer(found, position):
        if found.differs(alone.batch, other.batch, row):
            yield alone, other, True


def _of_one_length(found: Comparison, position: int) -> Iterator[tuple[Run, Run]]:
    sizes = found.samples.sizes
    alike = [other for other in range(len(sizes)) if other != position and sizes[other] == sizes[position]]
    pairs = [_run(found, [position, other]) for other in alike[:REPEATS]]
    yield from ((_run(found, [position]), pair) for pair in pairs)
    yield from itertools.pairwise(pairs)
    if alike:
        yield pairs[0], _run(found, [position, *alike][:TOGETHER])


def _of_one_padding(found: Comparison, position: int) -> Iterator[tuple[Run, Run]]:
    sizes = found.samples.sizes
    longest = max(range(len(sizes)), key=lambda other: sizes[other])
    if position == longest:
        return
    for other in range(min(len(sizes), REPEATS)):
        if other not in (position, longest):
            yield _run(found, [position, longest]), _run(found, [position, longest, other])


def _beside_longer(found: Comparison, position: int) -> Iterator[Run]:
    sizes = found.samples.sizes
    longer = [other for other in range(len(sizes)) if sizes[other] > sizes[position]]
    for other in sorted(longer, key=lambda other: -sizes[other]):
        yield _run(found, [position, other])


def _all_together(found: Comparison, position: int) -> tuple[Run, Run]:
    positions = found.samples.positions
    return _run(found, [position]), Run(found.samples.together, len(positions), positions.index(position))


def _run(found: Comparison, positions: Sequence[int]) -> Run:
    return Run(found.samples.batch(positions), len(positions))


def _cause(found: Comparison, one: Run, other: Run) -> str:
    agreement = AGREEMENT.get(next(iter(found.problem.moving.values())).dtype, COARSE)
    try:
        return find_cause(found.problem, one, other, agreement)
    except Exception:  # a name is a help; without one the finding stands all the same
        return UNNAMED
