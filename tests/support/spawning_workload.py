"""A system under test that only tells what a process has imported which its worker spawned, as a data loader does."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from m2bench.records.spec import WorkloadSpec


def describe(spec: WorkloadSpec, work: Path) -> dict[str, Any]:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return {"imported": pool.submit(imported).result(), "layers": []}


def imported() -> list[str]:
    return sorted(sys.modules)


def build(spec: WorkloadSpec, work: Path, layers: tuple[str, ...], seed: int) -> object:
    raise NotImplementedError("nothing is trained here")
