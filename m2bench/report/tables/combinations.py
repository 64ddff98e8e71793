"""All combinations, the fastest first."""

from __future__ import annotations

from dataclasses import replace

from m2bench.records.combinations import combination_name
from m2bench.report.sentences import counted, listed, tells_of_learning
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import CombinationRow
from m2bench.text.figures import NOTHING, digits, times_within, within
from m2bench.text.speed import Speed
from m2bench.text.tables import Table

from .notes import turned_round


class CombinationsTable(Table):
    """The one table that is long enough to be sorted and filtered."""


def ranked_rows(summary: Summary) -> list[CombinationRow]:
    """The combinations by their speedup, the fastest first; those without a figure last."""
    return sorted(summary.combinations, key=lambda c: -(c.speedup.value if c.speedup else 0.0))


def combinations_table(summary: Summary) -> Table:
    """One row per combination, the best first; those without a figure last."""
    speed, tells = Speed.of(summary.system), tells_of_learning(summary)
    rows = [
        (
            str(rank),
            combination_name(c.layers),
            times_within(c.speedup),
            speed.within(c.episodes_per_min),
            within(c.learning.episodes_to_target),
            within(c.learning.time_to_target_s) + ("*" if c.learning.time_to_target_modelled else ""),
            _compile_s(c),
            within(c.peak_memory_mb),
            (tells and c.learning.learning) or NOTHING,
            NOTHING if c.numerics.numerics in (None, "unchecked") else c.numerics.numerics,
            _status(c),
        )
        for rank, c in enumerate(ranked_rows(summary), 1)
    ]
    level, to_target = speed.heading, f"{summary.system.unit.many} to target"
    numbers = ("#", speed.words.ratio, level, to_target, "to target s", "compile s", "memory MB")
    table = CombinationsTable(
        title=f"All {len(rows)} combinations, {speed.words.best} first",
        columns=("#", "layers", *numbers[1:], "learning", "numerics", "status"),
        rows=rows,
        numeric=frozenset(numbers),
        droppable=("memory MB", "compile s", to_target, "#", level, "to target s", "learning",
                   "numerics"),
    ).without_empty_columns()  # fmt: skip
    notes = (*_of_speedup(summary, speed), _of_brackets(table, speed, to_target), *turned_round(speed))
    return replace(table, notes=notes)


def _of_speedup(summary: Summary, speed: Speed) -> list[str]:
    """Why the same combination has another figure elsewhere in the report."""
    if all(c.speedup_predicted is None for c in summary.combinations):
        return []
    return [
        f"The {speed.words.ratio} in this table is from the combination's own trials. The headline and the chart show "
        "it as predicted from all trials, so their figures differ a little from these."
    ]


def _of_brackets(table: Table, speed: Speed, to_target: str) -> str:
    """What the intervals of the combinations' table rest on, by the columns that it has."""
    compiling, learning = "compile s" in table.columns, to_target in table.columns
    own = [*["memory"] * ("memory MB" in table.columns), *["compiling"] * compiling]
    said = [
        f"Those of {speed.words.ratio} and {speed.heading} use the noise of all trials",
        *([f"those of {listed(own)} the trials of the combination"] if own else []),
        *[f"those of {to_target} the seeds"] * learning,
    ]
    cold = " Compiling with an empty cache (cold) happens once and has none." if compiling else ""
    return f"Brackets: 95 % intervals. {', '.join(said)}.{cold}"


def _compile_s(combination: CombinationRow) -> str:
    """Seconds of compiling with a warm cache, or marked as cold where no trial found one."""
    if combination.compile_s is None and combination.compile_cold_s is not None:
        return f"{digits(combination.compile_cold_s)} cold"
    return within(combination.compile_s)


def _status(combination: CombinationRow) -> str:
    """The outcome, and whether its timed windows ended in a steady state."""
    unsteady = combination.trials_ok - combination.steady_trials
    return outcome_of(combination) + (
        f", not steady in {unsteady} of {counted(combination.trials_ok, 'trial')}" if unsteady else ""
    )


def outcome_of(combination: CombinationRow) -> str:
    if combination.status == "ok":
        return "ok" if combination.has_sound_numerics else f"ok, but {combination.numerics.reasons}"
    if combination.trials_ok:
        counts = f"{combination.trials_ok} of {counted(combination.trials, 'trial')} ok"
        return f"{combination.status}: {combination.reason}; {counts}"
    return ": ".join(part for part in (combination.status or "missing", combination.reason) if part)
