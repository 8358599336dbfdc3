"""Processes that share one computation, each with a device of its own, by ``torch.distributed``."""

import datetime
import functools
import itertools
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
import torch.distributed as dist
from jaxtyping import Float64, UInt8
from torch import Tensor

from suffice.errors import InputError, reason

PATIENCE = 600.0
"""Seconds in which a rank must have computed a chunk, unless another limit is given."""

LENGTH = 4096
"""Bytes that ranks tell each other at a time, beside the sums."""

FAILED = "-"
"""What the text of a rank begins with that has raised an error."""


@final
class Ranks:
    """The processes that ``torchrun`` has begun, which compute chunks of one sum; a context, as torch's groups end.

    Each rank computes some of the chunks. Their sums are exchanged round by round and added in the order of the chunks,
    in float64, so the bits do not depend on the number of ranks. A rank holds three times the sum at most. Without
    ``torchrun`` there is one rank, and the same program runs.

    Args:
        seconds: in which a rank must have computed a chunk, and answered the others.

    Attributes:
        rank: number of this process, from 0.
        count: number of all processes.
        device: of this process: the GPU with the number ``LOCAL_RANK`` where there are some, else the CPU. Sums on GPUs
            are exchanged by NCCL, others by Gloo.

    Raises:
        InputError: the ranks do not find each other; later, a rank that has ended, does not answer, or has raised an
            error: every rank raises the same line, which names it.

    Source: Paszke et al. 2019, "PyTorch: an imperative style, high-performance deep learning library", section 5.4.

    Example:
        >>> with Ranks() as ranks:
        ...     ranks.rank, ranks.count, ranks.device
        (0, 1, device(type='cpu'))
    """

    def __init__(self, seconds: float = PATIENCE) -> None:
        if not seconds > 0:
            raise InputError(f"seconds = {seconds}: give how long a rank may take for a chunk, such as 600")
        self._seconds = seconds
        self._group: Any = None
        self._began = False
        self.rank, self.count = 0, 1
        self.device = torch.device("cpu")
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if dist.is_available() and (dist.is_initialized() or {"RANK", "WORLD_SIZE"} <= os.environ.keys()):
            self._join()

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._group is not None:
            dist.destroy_process_group(None if self._began else self._group)
            self._group = None

    def agree(self, on: Callable[[], Mapping[str, str]]) -> None:
        """Refuses ranks that do not hold the same; nothing is computed where there is one.

        Args:
            on: gives, by what it is, a word or number to be shown, or a hash. It may raise, which all ranks then do.

        Raises:
            InputError: names the first rank that holds another than rank 0, and what.
        """
        if self.count == 1:
            on()
            return
        told = self._tell("comparison", lambda: json.dumps(dict(on())))
        first = json.loads(told[0])
        for rank, text in enumerate(told):
            other = json.loads(text)
            for what in first:
                if other.get(what) != first[what]:
                    shown = "" if ":" in first[what] else f" ({other.get(what)}, there {first[what]})"
                    raise InputError(
                        f"rank {rank} has other {what} than rank 0{shown}: give all ranks the same model, data and "
                        "settings"
                    )

    def add_in_order(
        self,
        total: Float64[Tensor, "*shape"],
        chunks: int,
        add: Callable[[Float64[Tensor, "*shape"], int], None],
    ) -> None:
        """Adds the sums of all chunks to a total, in their order; the total is the same on all ranks.

        Args:
            total: contiguous, on the device of this rank; equal on all ranks.
            chunks: number of chunks.
            add: adds the sum of the chunk of a number to a tensor. This rank calls it for the chunks ``rank``,
                ``rank + count`` and so on.

        Raises:
            InputError: what a rank raises, or a rank that is lost.

        Example:
            >>> total = torch.zeros(2, dtype=torch.float64)
            >>> with Ranks() as ranks:
            ...     ranks.add_in_order(total, 3, lambda part, chunk: part.add_(chunk))
            >>> total
            tensor([3., 3.], dtype=torch.float64)
        """
        if self.count == 1:
            for chunk in range(chunks):
                add(total, chunk)
            return
        whole = total.view(-1)
        bounds = [len(whole) * rank // self.count for rank in range(self.count + 1)]
        widths = [end - start for start, end in itertools.pairwise(bounds)]
        own, width = whole[bounds[self.rank] : bounds[self.rank + 1]].clone(), widths[self.rank]
        received = whole.new_empty(self.count * width)
        for first in range(0, chunks, self.count):
            part = torch.zeros_like(total)
            here = first + self.rank
            if here < chunks:
                self._do(f"chunk {first} of {chunks}", functools.partial(add, part, here))
            else:
                self._do(f"chunk {first} of {chunks}", _nothing)
            self._exchange(received, part.view(-1), [width] * self.count, widths)
            for of_chunk in received.split(width)[: chunks - first] if width else ():
                own += of_chunk
        self._exchange(whole, own.repeat(self.count), widths, [width] * self.count)

    def together(self, call: Callable[[], None]) -> None:
        """Calls on every rank, and raises on all what one of them raises.

        Raises:
            InputError: names the rank.
        """
        if self.count == 1:
            call()
        else:
            self._do("work that all do", call)

    def _join(self) -> None:
        has_nccl = self.device.type == "cuda" and dist.is_nccl_available()
        backend, timeout = "cpu:gloo,cuda:nccl" if has_nccl else "gloo", datetime.timedelta(seconds=self._seconds)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        try:
            if not dist.is_initialized():
                dist.init_process_group(backend, timeout=timeout)
                self._began = True
            # of its own, as one that is there may know GPUs alone, and have another time limit
            self._group = dist.new_group(backend=backend, timeout=timeout)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"the ranks do not find each other ({reason(error)}): begin them with torchrun --nproc-per-node N"
            ) from error
        self.rank, self.count = dist.get_rank(), dist.get_world_size()

    def _do(self, step: str, call: Callable[[], None]) -> None:
        def silently() -> str:
            call()
            return ""

        self._tell(step, silently)

    def _tell(self, step: str, say: Callable[[], str]) -> list[str]:
        """What each rank says at a step; an error that one raises is raised on all."""
        cause: Exception | None = None
        try:
            text = f"{step}\n{say()}"
        except Exception as error:  # whatever it is, the others wait for this rank
            cause, text = error, FAILED + (str(error) if isinstance(error, InputError) else reason(error))
        told = self._texts(text)
        for rank, other in enumerate(told):
            if other.startswith(FAILED):
                raise InputError(f"rank {rank} of {self.count}: {other.removeprefix(FAILED)}") from cause
        steps, said = zip(*(other.split("\n", 1) for other in told), strict=True)
        for rank, other in enumerate(steps):
            if other != steps[0]:
                raise InputError(
                    f"rank {rank} is at another step than rank 0 ({other}, there {steps[0]}): all ranks must ask for "
                    "the same derivatives in the same order"
                )
        return list(said)

    def _texts(self, text: str) -> list[str]:
        """Each rank's text. They go from rank to rank, as errors of collective calls do not say which one is lost."""
        mine = torch.zeros(LENGTH, dtype=torch.uint8)
        content = text.encode()[:LENGTH]
        mine[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        told = [mine if rank == self.rank else torch.empty_like(mine) for rank in range(self.count)]
        others = [rank for rank in range(self.count) if rank != self.rank]
        waits: dict[int, list[Any]] = {}
        for rank in others:
            try:
                waits[rank] = [
                    dist.isend(mine, group=self._group, group_dst=rank),
                    dist.irecv(told[rank], group=self._group, group_src=rank),
                ]
            except RuntimeError as error:
                raise self._lost(rank, error) from error
        for rank in others:
            try:
                for work in waits[rank]:
                    work.wait()
            except RuntimeError as error:
                raise self._lost(rank, error) from error
        return [_decoded(content) for content in told]

    def _exchange(self, received: Tensor, sent: Tensor, widths: list[int], sent_widths: list[int]) -> None:
        try:
            dist.all_to_all_single(received, sent, widths, sent_widths, group=self._group)
        except RuntimeError as error:
            raise InputError(
                f"one of {self.count} ranks has ended, or did not answer within {self._seconds:g} s ({_short(error)}): "
                "look at what the others say"
            ) from error

    def _lost(self, rank: int, error: RuntimeError) -> InputError:
        return InputError(
            f"rank {rank} of {self.count} has ended, or did not answer within {self._seconds:g} s ({_short(error)}): "
            "look at what it says, or give Ranks(seconds=) if a chunk takes longer"
        )


def _decoded(content: UInt8[Tensor, " bytes"]) -> str:
    return content.numpy().tobytes().rstrip(b"\0").decode(errors="ignore")


def _short(error: RuntimeError) -> str:
    """What Gloo says, without the line of its source."""
    return reason(error).split("] ", 1)[-1].split(". ")[0]


def _nothing() -> None:
    pass
