"""What must be the same when a run is continued: results of two machines, two torches or two trainers do not mix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from m2bench.errors import UserError
from m2bench.records.description import Description
from m2bench.records.results import TrialResult
from m2bench.store.sources import Sources, sources_of
from m2bench.store.stored_trial import StoredTrial

SAME_ON_RESUME = (
    ("machine", "chip"),
    ("machine", "logical_cores"),
    ("machine", "python"),
    ("device", "device"),
    ("device", "torch"),
    ("device", "torch_threads"),
    ("device", "thread_waiting"),
    ("device", "keeps_memory"),
    ("workload", "market"),
)
"""Groups of facts, and the fact."""


def refuse_another(folder: Path, before: Description, now: Description) -> None:
    """Raise UserError where the run in ``folder`` was begun with what is another thing by now."""
    for group, fact in SAME_ON_RESUME:
        was, found = (getattr(described, group).facts.get(fact) for described in (before, now))
        if was != found:
            raise UserError(
                f"{folder} was begun with {group} {fact} {was}, and now it is {found}.",
                "Trials of both would not be comparable: begin a new run.",
            )
    refuse_another_trainer(folder, before, now)


def refuse_another_trainer(folder: Path, before: Description, now: Description) -> None:
    """The same of the user's trainer alone."""
    _refuse_changed(folder, before.workload.sources, now.workload.sources)
    units = [described.system.unit.many for described in (before, now)]
    if units[0] != units[1]:
        raise UserError(
            f"{folder} counts {units[0]}, and now the trainer counts {units[1]}.",
            "Trials of both would not be comparable: begin a new run, or let it count the same again.",
        )


def refuse_changed_imports(folder: Path, trials: Iterable[StoredTrial], home: Path) -> None:
    """The same where a trial had read a file of the user's that is another one by now.

    A layer may import what nothing else needs, so that a description of the plain trainer does not tell of it.
    ``home``: the folder that the trainer works in.
    """
    for trial in trials:
        if isinstance(trial.result, TrialResult):
            _refuse_changed(folder, trial.result.sources, sources_of(map(Path, trial.result.sources), home))


def _refuse_changed(folder: Path, before: Sources, now: Sources) -> None:
    changed = [file for file, digest in before.items() if now.get(file) != digest]
    if changed:
        raise UserError(
            f"{folder} was begun before {', '.join(changed)} was changed.",
            "Trials of both would not be comparable: begin a new run, or restore the files.",
        )
