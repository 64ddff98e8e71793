"""The command ``compare``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from m2bench.errors import UserError
from m2bench.options.option import argument, option

from .command import command
from .console import answer
from .shared_options import AsJson


@dataclass(frozen=True, kw_only=True)
class Compare(AsJson):
    """What ``compare`` is asked for."""

    runs: list[Path] = argument("Folders of two or more runs; of two the second is compared with the first.")
    out: Path | None = option(None, "Folder for a report with a chart that sets the runs side by side.", asks=False)


@command("compare")
def compare(asked: Compare) -> None:
    """Compare runs: what each layer is worth in each; of two also the change, and of speeds on equal machines."""
    from m2bench.findings.compare_machines import compare_machines
    from m2bench.findings.compare_runs import compare_runs
    from m2bench.report.compared_runs import show_comparison
    from m2bench.report.write_report import show_side_by_side, write_side_by_side
    from m2bench.store.results_database import Store

    if len(asked.runs) < 2:
        raise UserError("one run cannot be compared.", "Name two or more folders.")
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(folder)) for folder in asked.runs]
        pair = compare_runs(*stores) if len(stores) == 2 else None
        many = compare_machines(stores) if pair is None or asked.out is not None else None
    if asked.out is not None:
        assert many is not None
        write_side_by_side(many, asked.out)
    if pair is not None:
        answer(pair, asked.as_json, partial(show_comparison, pair))
    else:
        assert many is not None
        answer(many, asked.as_json, partial(show_side_by_side, many))
