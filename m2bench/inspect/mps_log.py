"""Reads the statistics that PyTorch's MPS backend prints at the end of a process (PYTORCH_MPS_LOG_PROFILE_INFO).

The tables' columns are those of aten/src/ATen/mps/MPSProfiler.mm: operations by run, schedule and GPU time; fallbacks
to the CPU; copies. A table's lines are recognized by their shape, so that what else a log holds does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NUMBER = r"\d+(?:\.\d+)?"
SIZE = rf"({NUMBER})\s*(bytes|[KMGT]?i?B)"  # torch 2.13 writes KiB where older versions wrote KB
OPERATION = re.compile(rf"^\s*([GK])\d+\s+(\d+)\s+({NUMBER})\s+({NUMBER})\s+({NUMBER})\s+(\S.*)$")
FALLBACK = re.compile(rf"^\s*\d+\s+(\d+)\s+({NUMBER})\s+({NUMBER})\s+{SIZE}\s+(\S.*)$")
COPY = re.compile(rf"^\s*(\S.*?)\s+(\d+)\s+{SIZE}\s+({NUMBER})\s+({NUMBER})\s+(\d+)\s+{NUMBER} %\s+(\d+)\s+(\d+)\s*$")
# What a table begins with, and what its rows are read by.
TABLES = {"CPU Fallback Profiling": FALLBACK, "MPS Copy Profiling": COPY}

Total = tuple[float, float]
"""How often, and milliseconds in all."""


@dataclass(frozen=True)
class MpsLog:
    """Totals of one process. Time of an operation is that of the GPU, of a fallback that of the CPU."""

    operations: Mapping[str, Total] = field(default_factory=dict)
    fallbacks: Mapping[str, Total] = field(default_factory=dict)
    copies: Mapping[str, Total] = field(default_factory=dict)
    blocking_copies: float = 0.0

    def since(self, earlier: MpsLog, episodes: float) -> MpsLog:
        """What a process did more than another that began alike, per episode."""
        return MpsLog(
            _difference(self.operations, earlier.operations, episodes),
            _difference(self.fallbacks, earlier.fallbacks, episodes),
            _difference(self.copies, earlier.copies, episodes),
            (self.blocking_copies - earlier.blocking_copies) / episodes,
        )


def parse_mps_log(text: str) -> MpsLog:
    """The tables in a log; ValueError when it holds none of operations, or one whose rows look new."""
    operations: dict[str, Total] = {}
    fallbacks: dict[str, Total] = {}
    copies: dict[str, Total] = {}
    blocking = 0
    for line in text.splitlines():
        if found := OPERATION.match(line):
            _, runs, _, _, gpu_ms, name = found.groups()
            _add(operations, _short(name), int(runs), float(gpu_ms))
        elif found := FALLBACK.match(line):
            runs, _, cpu_ms, _, _, name = found.groups()
            _add(fallbacks, name.strip(), int(runs), float(cpu_ms))
        elif found := COPY.match(line):
            kind, count, _, _, _, gpu_ms, _, blocked, _ = found.groups()
            _add(copies, kind, int(count), float(gpu_ms))
            blocking += int(blocked)
    if not operations:
        raise ValueError("the log holds no table of MPS operations")
    for title, row in TABLES.items():
        if title in text and not any(map(row.match, text.splitlines())):
            raise ValueError(f"the log's table {title!r} has no row of a known form")
    return MpsLog(operations, fallbacks, copies, blocking)


def _short(name: str) -> str:
    """An operation without the tensors it ran with.

    "aten::add:f32[1,2]" of a graph becomes "aten::add", "argmax:MPS:Float[1, 3]" of a kernel "argmax".
    """
    name = name.strip().split(":MPS:", maxsplit=1)[0]
    return re.split(r"[:\s](?=[a-z]+\d*\[)|\s", name, maxsplit=1)[0].rstrip(":")


def _add(rows: dict[str, Total], name: str, count: int, milliseconds: float) -> None:
    before = rows.get(name, (0.0, 0.0))
    rows[name] = before[0] + count, before[1] + milliseconds


def _difference(later: Mapping[str, Total], earlier: Mapping[str, Total], episodes: float) -> dict[str, Total]:
    found = {
        name: ((row[0] - before[0]) / episodes, (row[1] - before[1]) / episodes)
        for name, row in later.items()
        for before in [earlier.get(name, (0.0, 0.0))]
    }
    return {name: row for name, row in found.items() if row[0] > 0}
