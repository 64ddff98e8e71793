"""The command ``audit``: what the training loop would meet on a device that need not be here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from m2bench.processes.client import Launcher
from m2bench.records.combinations import Layers
from m2bench.records.errors import UserError
from m2bench.records.results import Failure
from m2bench.records.spec import WorkloadSpec
from m2bench.run.describe import describe, show_remarks_on_data
from m2bench.text.figures import digits
from m2bench.text.tables import Table, draw_table

TIMEOUT_S = 1800.0
WORDS = {
    "kernel": "kernel of their own",
    "composite": "run through other operators",
    "falls back": "run on the CPU, with copies there and back",
    "none": "NO KERNEL",
    "unknown": "NOT IN THE TABLES",
}

Document = dict[str, Any]


def audit(target: str, spec: WorkloadSpec, layers: Layers, console: Console) -> Document:
    """The findings; UserError when the audit itself fails."""
    with TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        with Launcher(work, work / "launcher.log") as launcher:
            with console.status("preparing the data"):
                description = describe(launcher, spec, work)
            show_remarks_on_data(description, console)
            with console.status(f"training every combination on a stand-in for {target}"):
                request = {"workload": spec.to_json(), "target": target, "layers": layers}
                found = launcher.run("audit", request, Document, work / "audit.log", TIMEOUT_S).result
        if isinstance(found, Failure):
            log = (work / "audit.log").read_text()
            raise UserError(f"the audit failed: {found.text}.", f"Its log ends with:\n{log[-2000:]}")
    return {**found, "torch": description.device.torch}


def show(found: Document, console: Console) -> None:
    """Print it, what blocks first."""
    target, operators = found["target"], found["operators"]
    for blocker in found["blockers"]:
        console.print(f"Blocker: {blocker}.", markup=False, highlight=False)
    kinds = Counter(operator["support"] for operator in operators)
    console.print(
        f"{len(operators)} operators in {len(found['combinations'])} combinations, by the tables of torch "
        f"{found['torch']}: " + ", ".join(f"{kinds[kind]} {words}" for kind, words in WORDS.items() if kinds[kind]),
        highlight=False,
    )
    draw_table(_operators_table(operators), console)
    for kind, title in (
        ("syncs", f"Where the host waits for a value of {target}"),
        ("copies", f"Where tensors move between host and {target}"),
        ("doubles", "Where float64 is computed in"),
    ):
        draw_table(_lines_table(title, found["lines"][kind], len(found["combinations"])), console)
    draw_table(_combinations_table(found["combinations"], found["decisions_per_episode"]), console)
    for caveat in found["caveats"]:
        console.print(f"- {caveat}", highlight=False)
    verdict = f"{len(found['blockers'])} blockers" if found["blockers"] else "Nothing blocks training"
    console.print(f"{verdict} on {target}, as far as the tables tell.", style="bold", highlight=False)


def _operators_table(operators: list[Document]) -> Table:
    rows = [
        (o["operator"], WORDS[o["support"]] + (" (expected to fail)" if o["expected_to_fail"] else ""),
         "; ".join(o["lines"]), str(o["combinations"]))
        for o in sorted(operators, key=lambda o: (not o["missing"], o["support"], o["operator"]))
    ]  # fmt: skip
    columns = ("operator", "would run by", "where, unless it is by a kernel", "in combinations")
    return Table("Operators", columns, rows, frozenset({"in combinations"}))


def _lines_table(title: str, lines: dict[str, Document], combinations: int) -> Table:
    rows = [
        (line, found["in"], f"{len(found['combinations'])} of {combinations}", found["combinations"][0])
        for line, found in lines.items()
    ]
    columns = ("line", "in", "in combinations", "the first of them")
    return Table(title, columns, rows or [("nowhere", "", "", "")], frozenset({"in combinations"}))


def _combinations_table(combinations: list[Document], decisions: int) -> Table:
    numbers = ("operators", "dispatches per episode", "syncs per episode", "copies per episode")
    rows = [
        (
            "+".join(c["layers"]) or "baseline",
            str(c["operators"]),
            digits(c["dispatches_per_episode"]),
            digits(c["syncs_per_episode"]),
            digits(c["copies_per_episode"]),
        )
        for c in combinations
    ]
    title = f"Training of the combinations, counted on episodes of {decisions} decisions (--episode-length)"
    return Table(title, ("layers", *numbers), rows, frozenset(numbers))
