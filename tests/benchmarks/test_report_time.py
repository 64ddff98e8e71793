"""What a report takes: 15 s are promised for 64 combinations in 5 blocks.

Run with: pytest tests/benchmarks/test_report_time.py --benchmark-enable -n 0
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from made_run import FULL, make_run

from m2bench.report.write_report import write_report

MOST_S = 15.0


def test_writing_a_report_of_64_combinations_in_5_blocks(benchmark: Any, tmp_path: Path) -> None:
    blocks = 1 if benchmark.disabled else 5
    with make_run(tmp_path / "run", spec=replace(FULL, blocks=blocks)) as store:
        benchmark.pedantic(write_report, args=(store,), rounds=1)
    assert (tmp_path / "run" / "report.html").exists()
    if benchmark.stats is not None:  # None where benchmarks are disabled
        assert benchmark.stats["max"] < MOST_S
