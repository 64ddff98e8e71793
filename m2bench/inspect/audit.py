"""The command ``audit``: what the training loop would meet on a device that need not be here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from m2bench.errors import UserError
from m2bench.options.typed_commands import workload_words
from m2bench.processes.client import Launcher
from m2bench.processes.job_requests import AuditJob
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.description import Unit
from m2bench.records.inspected import AuditedCombination, AuditedLine, AuditedOperator, AuditFindings
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


@dataclass(frozen=True)
class Audited:
    """The findings, and how to speak of them: the system's unit, and the words that asked for what was counted."""

    findings: AuditFindings
    unit: Unit
    options: str


def audit_target(target: str, spec: WorkloadSpec, layers: Layers, console: Console) -> Audited:
    """Train every combination on a stand-in for the target; UserError when the audit itself fails."""
    with TemporaryDirectory(prefix="m2bench-") as folder:
        work = Path(folder)
        with Launcher(work, work / "launcher.log") as launcher:
            with console.status("preparing the data"):
                description = describe(launcher, spec, work)
            show_remarks_on_data(description, console)
            with console.status(f"training every combination on a stand-in for {target}"):
                job = AuditJob(workload=spec, target=target, layers=layers)
                found = launcher.run(job, AuditFindings, work / "audit.log", TIMEOUT_S).result
        if isinstance(found, Failure):
            log = (work / "audit.log").read_text()
            raise UserError(f"the audit failed: {found.text}.", f"Its log ends with:\n{log[-2000:]}")
    options = " ".join(workload_words("audit", spec, layers))
    return Audited(replace(found, torch=description.device.torch), description.system.unit, options)


def show_audit(audited: Audited, console: Console) -> None:
    """Print the findings, blockers first."""
    found, unit = audited.findings, audited.unit
    for blocker in found.blockers:
        console.print(f"Blocker: {blocker}.")
    kinds = Counter(operator.support for operator in found.operators)
    console.print(
        f"{len(found.operators)} operators in {len(found.combinations)} combinations, by the tables of torch "
        f"{found.torch}: " + ", ".join(f"{kinds[kind]} {words}" for kind, words in WORDS.items() if kinds[kind])
    )
    draw_table(_operators_table(found.operators), console)
    for kind, title in (
        ("syncs", f"Where the host waits for a value of {found.target}"),
        ("copies", f"Where tensors move between host and {found.target}"),
        ("doubles", "Where float64 is computed in"),
    ):
        draw_table(_lines_table(title, found.lines[kind], len(found.combinations)), console)
    counted = f", counted with {audited.options}" if audited.options else ""
    draw_table(_combinations_table(found.combinations, counted, unit), console)
    for caveat in found.caveats:
        console.print(f"- {caveat}")
    verdict = f"{len(found.blockers)} blockers" if found.blockers else "Nothing blocks training"
    console.print(f"{verdict} on {found.target}, as far as these tables show.", style="bold")


def _operators_table(operators: Sequence[AuditedOperator]) -> Table:
    rows = [
        (o.operator, WORDS[o.support] + (" (expected to fail)" if o.expected_to_fail else ""), "; ".join(o.lines),
         str(o.combinations))
        for o in sorted(operators, key=lambda o: (not o.missing, o.support, o.operator))
    ]  # fmt: skip
    columns = ("operator", "would run by", "where (not listed for kernels)", "in combinations")
    return Table("Operators", columns, rows, frozenset({"in combinations"}))


def _lines_table(title: str, lines: Mapping[str, AuditedLine], combinations: int) -> Table:
    rows = [
        (line, found.where, f"{len(found.combinations)} of {combinations}", found.combinations[0])
        for line, found in lines.items()
    ]
    columns = ("line", "in", "in combinations", "the first of them")
    return Table(title, columns, rows or [("nowhere", "", "", "")], frozenset({"in combinations"}))


def _combinations_table(combinations: Sequence[AuditedCombination], counted: str, unit: Unit) -> Table:
    numbers = ("operators", *(f"{what} per {unit.one}" for what in ("dispatches", "syncs", "copies")))
    rows = [
        (
            combination_name(c.layers),
            str(c.operators),
            digits(c.dispatches_per_episode),
            digits(c.syncs_per_episode),
            digits(c.copies_per_episode),
        )
        for c in combinations
    ]
    return Table(f"Training of the combinations{counted}", ("layers", *numbers), rows, frozenset(numbers))
