"""With how many threads a run's trials compute, and how those wait for work; see docs/decisions/017."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean, median
from typing import TYPE_CHECKING

from m2bench.machine.identity import fast_cores
from m2bench.processes.job_requests import ThreadsJob
from m2bench.records.combinations import BASELINE
from m2bench.records.description import Description, Device, MeasuredThreads, ThreadChoice, ThreadTimes
from m2bench.records.documents import to_json
from m2bench.records.results import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m2bench.processes.client import Launcher
    from m2bench.records.combinations import Layers
    from m2bench.records.spec import WorkloadSpec

WORTH_MORE_THREADS = 0.05  # of the time: fewer threads are disturbed less by whatever else runs
HALF_FROM_CORES = 4
TIMEOUT_S = 300.0


def threads_to_try(cores: int) -> list[int]:
    """Numbers of threads to be tried on so many fast cores: one, half of the cores, all of them."""
    half = {cores // 2} if cores >= HALF_FROM_CORES else set()
    return sorted({1, *half, cores})


def fewest_fast(measured: Sequence[ThreadTimes]) -> int:
    """The smallest number of threads that is as fast as any.

    A combination's time is the median of its updates; several count by their geometric mean. "As fast" leaves
    WORTH_MORE_THREADS to the fewer threads.
    """
    costs = _costs(measured)
    enough = (1 + WORTH_MORE_THREADS) * min(costs.values())
    return min(threads for threads, cost in costs.items() if cost <= enough)


def _costs(measured: Sequence[ThreadTimes]) -> dict[int, float]:
    return {each.threads: geometric_mean(map(median, each.update_s)) for each in measured}


def asked_of_environment() -> int | None:
    """The number of threads that OMP_NUM_THREADS asks for; None where it does not."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() and int(text) else None


def choose_threads(
    launcher: Launcher,
    description: Description,
    workload: WorkloadSpec,
    taking_part: Layers,
    asked: int | None,
    logs: Path,
) -> Description:
    """Decide the number of threads of all workers to come; the description with that number and its grounds.

    ``asked`` is taken as it is; None measures on the combinations of ``taking_part`` that the workload names for that,
    by turns in one process. Where that fails there is one thread: the trials themselves tell what is wrong.
    """
    asked = asked or asked_of_environment()
    tried = [asked] if asked else threads_to_try(fast_cores())
    found: MeasuredThreads | Failure = MeasuredThreads(())
    if len(tried) > 1:
        measured_on = _measured_on(description, taking_part)
        job = ThreadsJob(workload=workload, combinations=measured_on, candidates=tuple(tried))
        found = launcher.run(job, MeasuredThreads, logs / "threads.log", TIMEOUT_S).result
    measured, failure = ((), found.text) if isinstance(found, Failure) else (found.measured, None)
    launcher.threads = fewest_fast(measured) if measured else tried[0]
    choice = ThreadChoice(asked=asked or "auto", measured=measured, failure=failure)
    facts = {"torch_threads": launcher.threads, "threads_chosen": to_json(choice)}
    return replace(description, device=description.device.with_facts(facts))


def _measured_on(description: Description, taking_part: Layers) -> tuple[Layers, ...]:
    """What the workload names, without layers that do not take part or cannot run; the plain trainer at least."""
    can_run = {layer.name for layer in description.layers if not layer.unsupported} & {*taking_part}
    named = (BASELINE, *description.workload.threads_measured_on)
    return tuple(dict.fromkeys(tuple(layer for layer in combination if layer in can_run) for combination in named))


def threads_sentence(device: Device) -> str:
    """What was chosen, and by what."""
    threads, chosen = device.torch_threads, device.threads_chosen
    assert chosen is not None
    waiting = "threads that wait without spinning" if device.thread_waiting == "passive" else "threads"
    named = f"{threads} {waiting}" if threads > 1 else "1 thread"
    if chosen.failure:
        return f"Every trial uses {named}, since no other number could be tried ({chosen.failure})."
    if not chosen.measured:
        why = "the only fast core" if chosen.asked == "auto" else "as asked"
        return f"Every trial uses {named}: {why}."
    costs = _costs(chosen.measured)
    others = ", ".join(
        f"{other} took {cost / costs[threads]:.2f}x as long" for other, cost in costs.items() if other != threads
    )
    return f"Every trial uses {named}: {others}."
