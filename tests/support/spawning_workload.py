"""A system under test that only tells what a process has imported which its worker spawned, as a data loader does."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from m2bench.records.description import Described, Device, SystemDescription, Unit, WorkloadDescription
from m2bench.records.documents import read
from m2bench.records.spec import WorkloadSpec


def describe(spec: WorkloadSpec, work: Path) -> Described:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        facts = dict.fromkeys(pool.submit(imported).result(), "imported")
    system = SystemDescription(unit=Unit(), facts=facts, no_target_because=None)
    return Described(
        system=system, device=read(Device, {"device": "cpu"}), layers=(), workload=read(WorkloadDescription, {})
    )


def imported() -> list[str]:
    return sorted(sys.modules)


def build(spec: WorkloadSpec, work: Path, layers: tuple[str, ...], seed: int) -> object:
    raise NotImplementedError("nothing is trained here")
