"""What forward passes take, by device, batch size and variant: a table, and who leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from m2bench.records.inspected import PassTime
from m2bench.statistics.crossings import Comparison, Spread, SpreadBySize
from m2bench.text.figures import NOTHING, digits
from m2bench.text.tables import Table

PLAIN = "float32, eager"


def _spread(cell: PassTime) -> Spread | None:
    """None where it was not timed."""
    if cell.ms is None or cell.ms_least is None or cell.ms_most is None:
        return None
    return Spread(cell.ms, cell.ms_least, cell.ms_most)


def by_variant(timed: Sequence[PassTime]) -> dict[str, dict[int, PassTime]]:
    variants: dict[str, dict[int, PassTime]] = {}
    for entry in timed:
        variants.setdefault(entry.variant, {})[entry.batch] = entry
    return variants


def forward_table(device: str, timed: Sequence[PassTime]) -> Table:
    """Milliseconds of a pass with their spread, by batch size and variant."""
    variants = by_variant(timed)
    sizes = list(dict.fromkeys(entry.batch for entry in timed))
    rows = []
    for size in sizes:
        cells = [variants[name][size] for name in variants]
        best = min((cell.ms for cell in cells if cell.ms is not None), default=None)
        rows.append((f"{size:,}", *map(_cell, cells), NOTHING if best is None else f"{1e3 * size / best:,.0f}"))
    columns = (*variants, "states/s at best")
    first = {name: cells[sizes[0]] for name, cells in variants.items()}
    reasons = "".join(f"; {name}: {cell.reason}" for name, cell in first.items() if cell.reason is not None)
    return Table(
        f"ms per forward pass on {device}, without gradients{reasons}",
        ("batch", *columns),
        rows,
        frozenset({"batch", *columns}),
        notes=("Passes are timed in groups: the median of the groups, in brackets the least and the most of them.",),
    )


def _cell(cell: PassTime) -> str:
    spread = _spread(cell)
    if spread is None:
        return "not here"
    return f"{digits(spread.ms)} [{digits(spread.ms_least)}, {digits(spread.ms_most)}]"


def compare_variants(found: Mapping[str, Sequence[PassTime]]) -> list[Comparison]:
    """Each variant with plain float32 on its device, and plain float32 of each device with that of the CPU."""
    comparisons = []
    for device, timed in found.items():
        variants = {name: timed_cells(cells) for name, cells in by_variant(timed).items()}
        plain = variants.pop(PLAIN)
        comparisons += [
            Comparison(line_label(device, name), line_label(device, PLAIN), cells, plain)
            for name, cells in variants.items()
            if cells
        ]
        if device != "cpu" and "cpu" in found:
            on_cpu = timed_cells(by_variant(found["cpu"])[PLAIN])
            comparisons.append(Comparison(line_label(device, PLAIN), line_label("cpu", PLAIN), plain, on_cpu))
    return comparisons


def line_label(device: str, variant: str) -> str:
    return f"{variant} on {device}"


def timed_cells(cells: Mapping[int, PassTime]) -> SpreadBySize:
    return {size: spread for size, cell in cells.items() if (spread := _spread(cell)) is not None}
