"""The command ``forward``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from m2bench.options.option import DEVICES, in_range, one_of, option, whole_numbers

from .command import AskedSystem, command
from .console import interruptible, left_in, make_console
from .shared_options import new_folder, results_option

BATCHES = (1, 4, 16, 64, 256, 1024, 4096)


@dataclass(frozen=True, kw_only=True)
class Forward:
    """What ``forward`` is asked for."""

    passes: int = option(
        1000,
        "Passes to time at batch size 1, in 5 equal groups; larger batches take this many or fewer.",
        read=in_range(5, 1_000_000),
    )
    batches: tuple[int, ...] = option(
        BATCHES,
        "Batch sizes, comma-separated.",
        metavar="<numbers>",
        read=whole_numbers("batch size"),
        shown=",".join(map(str, BATCHES)),
    )
    device: str = option(
        "auto", f"Device: {', '.join(DEVICES)}; auto is every device of this machine.", read=one_of(DEVICES)
    )
    out: Path | None = results_option("forward-")


@command("forward")
def forward(asked: Forward, system: AskedSystem) -> None:
    """Time forward passes of the policy at growing batch sizes: eager, compiled, and in mixed precision."""
    from m2bench.inspect import forward

    workload = replace(system.workload, device=asked.device)
    folder = asked.out or new_folder("forward-")
    with interruptible(left_in(folder)):
        forward.time_passes(workload, list(asked.batches), asked.passes, folder, make_console())
