"""The command ``compare``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from m2bench.options.declared import argument

from .command import command
from .console import answer
from .shared_options import AsJson


@dataclass(frozen=True, kw_only=True)
class Compare(AsJson):
    """What ``compare`` is asked for."""

    a: Path = argument("Folder of the first run.")
    b: Path = argument("Folder of the second run, which is compared with the first.")


@command("compare")
def compare(asked: Compare) -> None:
    """Compare two runs: what each layer and combination is worth in both; speeds too if the machines are equal."""
    from m2bench.findings.compare import compare_runs, show_comparison
    from m2bench.store.database import Store

    with Store.open(asked.a) as first, Store.open(asked.b) as second:
        found = compare_runs(first, second)
    answer(found, asked.as_json, partial(show_comparison, found))
