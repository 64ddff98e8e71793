"""What is said of runs on several machines side by side."""

from __future__ import annotations

from m2bench.findings.compare_machines import DIFFERENT
from m2bench.summary.machines_summary import LayerAcross, SideBySide
from m2bench.text.figures import NOTHING, times, times_within
from m2bench.text.tables import Table

LEAST_P = 0.001  # that is written as it is
MOST_NAMED = 3  # machines in a sentence


def layer_name(row: LayerAcross) -> str:
    """The layer with its effect, or all together."""
    return row.effect if row.layer is None else row.layer


def differing_layers(found: SideBySide) -> list[str]:
    """The layers that are shown to be worth something else on one machine than on another."""
    return [row.layer for row in found.layers if row.layer is not None and differs(row)]


def layers_across_table(found: SideBySide) -> Table:
    """A row per layer, a column per run."""
    columns = ("layer", "effect", "p of no difference", *found.runs)
    rows = [
        (
            "all together" if row.layer is None else row.layer,
            NOTHING if row.layer is None else row.effect,
            _p(row.p_holm),
            *map(times_within, row.figures),
        )
        for row in found.layers
    ]
    return Table(
        "What each layer is worth on each machine: ratio [95 % interval], 1.00x is no effect", columns, rows,
        frozenset(columns[2:]),
        notes=(
            "Ratios within each run; absolute speeds are not compared. p: Welch's test that a layer is worth the same "
            "everywhere, with what differs between runs of equal code, adjusted for the number of rows (Holm).",
        ),
    )  # fmt: skip


def difference_title(found: SideBySide) -> str:
    """Which layers differ, in a few words."""
    differing = differing_layers(found)
    if not differing:
        return "No layer is shown to be worth more on one machine than on another"
    return f"{', '.join(differing)}: worth more on one machine than on another"


def differences(found: SideBySide) -> list[str]:
    """A sentence for every layer that differs, and one for the others."""
    differing = [row for row in found.layers if row.layer is not None and differs(row)]
    said = [f"{row.layer} pays {_each(found, row)}: the difference is shown (p {_p(row.p_holm)})." for row in differing]
    others = [row.layer for row in found.layers if row.layer is not None and row not in differing]
    if others:
        said.append(f"No difference between machines is shown for {', '.join(others)}.")
    return said


def _p(p: float | None) -> str:
    if p is None:
        return NOTHING
    return f"{p:.2g}" if p >= LEAST_P else f"< {LEAST_P:g}"


def differs(row: LayerAcross) -> bool:
    """Whether it is shown to be worth something else on one machine than on another."""
    return row.p_holm is not None and row.p_holm < DIFFERENT


def _each(found: SideBySide, row: LayerAcross) -> str:
    """What the layer pays on each; of many machines on those where it pays least and most."""
    told = [(figure.value, run) for run, figure in zip(found.runs, row.figures, strict=True) if figure is not None]
    if len(told) <= MOST_NAMED:
        *others, last = [f"{times(value)} on {run}" for value, run in told]
        return f"{', '.join(others)} and {last}"
    (low, least), *_, (high, most) = sorted(told)
    return f"from {times(low)} on {least} to {times(high)} on {most}"
