"""What the training loop would meet on a device that need not be here. Runs in a worker.

Every combination of the layers is trained for some updates on a stand-in for the device (dry_run.py), and every
operator is looked up in torch's own tables (kernel_tables.py).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from .baselines.episodes import EpisodeSource, PreparedMarket
from .baselines.trainer import Hyperparameters, Trainer, baseline_parts
from .dry_run import DryRun, dry_trainer, fused_adam_allowed
from .kernel_tables import CAVEATS, KernelTables
from .optimizations import load_layer
from .optimizations.layer import Options, compose
from .plan import choose_combinations
from .spec import Layers

UPDATES = 2  # one turn of the macro part
# torch computes the inverse of the scale in float64, and leaves that out on MPS (torch/amp/grad_scaler.py).
SCALER_LINE = "self.scaler.unscale_("

Document = dict[str, Any]


def audit(target: str, layers: Layers, work: Path, settings: Hyperparameters, options: Options) -> Document:
    """Findings over all combinations of ``layers``, on the market that was prepared in ``work``."""
    tables = KernelTables(target)
    source = EpisodeSource(PreparedMarket(work / "market"), settings.episode_length, seed=0)
    combinations = [
        _audit_combination(names, tables, source, settings, options) for names in choose_combinations(layers, ("full",))
    ]
    return _findings(target, tables, combinations, settings.episode_length)


def _audit_combination(
    names: Layers, tables: KernelTables, source: EpisodeSource, settings: Hyperparameters, options: Options
) -> Document:
    parts = compose(baseline_parts(), [load_layer(name) for name in names], options)
    with fused_adam_allowed():
        trainer = dry_trainer(parts, source, settings)
        try:
            mode = watch(trainer, tables)
        finally:
            trainer.close()
    return {"layers": list(names), "episodes": UPDATES * parts.episodes_per_update, "mode": mode}


def watch(trainer: Trainer, tables: KernelTables, updates: int = UPDATES) -> DryRun:
    """Everything that some updates of a trainer on the meta device ask for."""
    mode = DryRun(watched=lambda name, overload: _is_noted(tables, name, overload))
    try:
        with mode:
            for _ in range(updates):
                trainer.update()
    except NotImplementedError:
        if mode.stopped_at is None:
            raise
    return mode


def is_missing(tables: KernelTables, name: str, overload: str) -> bool:
    """Whether the target has neither a kernel nor a way around."""
    support = tables.support(name, overload)
    return support in ("none", "unknown") or (support != "falls back" and tables.expected_to_fail(name))


def _is_noted(tables: KernelTables, name: str, overload: str) -> bool:
    """Whether the lines that use the operator are told."""
    return tables.support(name, overload) == "falls back" or is_missing(tables, name, overload)


def _findings(target: str, tables: KernelTables, combinations: list[Document], decisions: int) -> Document:
    operators: dict[tuple[str, str], Document] = {}
    found: dict[str, dict[str, list[str]]] = {name: {} for name in ("syncs", "copies", "doubles")}
    rows, stops = [], []
    for combination in combinations:
        mode: DryRun = combination["mode"]
        if mode.stopped_at is not None:
            stops.append(f"the audit cannot go beyond {mode.stopped_at}, which its stand-in has no kernel for")
        counts = mode.counts
        label, episodes = "+".join(combination["layers"]) or "baseline", combination["episodes"]
        for name in mode.operators:
            lines = mode.lines.get(name, Counter())
            entry = operators.setdefault(name, {"lines": Counter(), "combinations": 0})
            entry["lines"] += lines
            entry["combinations"] += 1
        for kind, places in found.items():
            for line in getattr(counts, kind):
                if not (kind == "doubles" and tables.lacks_float64 and SCALER_LINE in line):
                    places.setdefault(line, []).append(label)
        rows.append(
            {
                "layers": combination["layers"],
                "operators": len(mode.operators),
                "dispatches_per_episode": mode.operators.total() / episodes,
                **{f"{kind}_per_episode": getattr(counts, kind).total() / episodes for kind in ("syncs", "copies")},
            }
        )
    listed = [_operator(name, entry, tables) for name, entry in sorted(operators.items())]
    return {
        "target": target,
        "decisions_per_episode": decisions,
        "operators": listed,
        "combinations": rows,
        "lines": found,
        "blockers": [*_blockers(tables, listed, found["doubles"]), *dict.fromkeys(stops)],
        "caveats": list(CAVEATS[target]),
    }


def _operator(name: tuple[str, str], entry: Document, tables: KernelTables) -> Document:
    return {
        "operator": ".".join(part for part in name if part and part != "default"),
        "support": tables.support(*name),
        "expected_to_fail": tables.expected_to_fail(name[0]),
        "missing": is_missing(tables, *name),
        "combinations": entry["combinations"],
        "lines": list(entry["lines"]),
    }


def _blockers(tables: KernelTables, operators: list[Document], doubles: dict[str, list[str]]) -> list[str]:
    """What would end the training there, each with its lines."""
    blockers = [
        f"{o['operator']} has no {tables.target} kernel, at {'; '.join(o['lines'])}" for o in operators if o["missing"]
    ]
    if tables.lacks_float64:
        blockers += [f"float64, which {tables.target} cannot compute, at {line}" for line in doubles]
    return blockers
