"""A stored run as pandas frames, for notebooks (docs/python.md has their columns)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from m2bench.records.combinations import Layers, combination_name
from m2bench.records.figure import Figure
from m2bench.records.results import TrialResult
from m2bench.statistics.steady import steady_speed
from m2bench.store.results_database import Store
from m2bench.store.stored_trial import RunRecord, StoredTrial, settled
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.rows import CombinationRow, LayerRow
from m2bench.text.speed import Speed

from .engagement import judge_engagement
from .losses import with_losses_compared
from .summarize_ablation import summarize

TIMED = ("window_error", "setup_s", "compile_s", "energy_j_per_episode", "eval_return")
"""Columns of trials that are named as what a timed trial measures."""

TYPES = {"started": "datetime64[us, UTC]", "same_numerics": "boolean"}

INTERACTION = ("effect", "effect_low", "effect_high", "p_holm")
"""Columns of interactions that are numbers."""

FrameRow = dict[str, object]


class Run:
    """A run that was read from its folder. Frames and summary are made when they are first asked for.

    A figure is a column of its name, and the ends of its 95 % interval are ``<name>_low`` and ``<name>_high``. What was
    not measured is missing (NaN or None).
    """

    def __init__(self, name: str, record: RunRecord, attempts: Sequence[StoredTrial]):
        record.refuse_without_layers()
        self.name = name
        self._record = record
        self._attempts = list(attempts)

    def __repr__(self) -> str:
        layers = ", ".join(self._record.spec.layers)
        return f"Run({self.name!r}, started {self._record.started}, {len(self._attempts)} trials, layers: {layers})"

    @property
    def _speed(self) -> Speed:
        return Speed.of(self._record.description.system)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row for each stored trial, in the order in which they ended."""
        used = {trial.spec.key: trial for trial in judge_engagement(self._record, settled(self._attempts)).trials}
        layers, speed = self._record.spec.layers, self._speed
        attempts = with_losses_compared(self._record, [used.get(trial.spec.key, trial) for trial in self._attempts])
        found = pd.DataFrame([_trial(trial, layers, trial.spec.key in used, speed) for trial in attempts])
        return found if found.empty else found.astype(TYPES)

    @cached_property
    def summary(self) -> Summary:
        """What the run found: what ``summary.json`` is written from."""
        return summarize(self.name, self._record, self._attempts)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """A row for each layer."""
        return pd.DataFrame([_layer(row) for row in self.summary.layers])

    @cached_property
    def combinations(self) -> pd.DataFrame:
        """A row for each combination of the design."""
        layers, speed = self._record.spec.layers, self._speed
        return pd.DataFrame([_combination(row, layers, speed) for row in self.summary.combinations])

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """A row for each pair of layers; empty where the run does not determine interactions."""
        rows = [
            {"layer": x.pair[0], "other": x.pair[1], **_figure("effect", x.effect), "p_holm": _number(x.p_holm)}
            for x in self.summary.interactions or ()
        ]
        found = pd.DataFrame(rows, columns=["layer", "other", *INTERACTION])
        return found.astype(dict.fromkeys(INTERACTION, float))


def read_run(folder: Path) -> Run:
    """The run in a folder; UserError when there is none, or it cannot be read."""
    with Store.open(folder) as store:
        return Run(folder.resolve().name, store.record(), store.attempts())


def _figure(name: str, figure: Figure | None) -> FrameRow:
    low, high = (figure and figure.interval) or (math.nan, math.nan)
    return {name: math.nan if figure is None else figure.value, f"{name}_low": low, f"{name}_high": high}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _switches(layers: Layers, taking_part: Layers) -> FrameRow:
    """A column for each layer taking part: whether it is on."""
    return {layer: layer in layers for layer in taking_part}


def _trial(trial: StoredTrial, taking_part: Layers, used: bool, speed: Speed) -> FrameRow:
    timed = trial.result if isinstance(trial.result, TrialResult) else None
    return {
        "key": trial.spec.key,
        "layers": combination_name(trial.spec.layers),
        **_switches(trial.spec.layers, taking_part),
        "kind": trial.spec.kind,
        "block": trial.spec.block,
        "seed": trial.spec.seed,
        "status": trial.status,
        "reason": trial.reason,
        "used": used,
        "started": trial.started,
        "elapsed_s": trial.elapsed_s,
        "episodes_per_min": steady_speed(timed) if timed else math.nan,
        "level": speed.value(steady_speed(timed)) if timed else math.nan,
        **({f"metric_{name}": value for name, value in timed.metrics.items()} if timed else {}),
        "peak_memory_mb": _number(timed.peak_memory_mb.main_mb if timed else None),
        **{name: _number(getattr(timed, name, None)) for name in TIMED},
        "same_numerics": timed.same_numerics if timed else None,
        "episodes_to_target": _number(trial.episodes_to_target),
        "other_cores": _number(None if trial.conditions is None else trial.conditions.other_cores),
        "log": trial.log,
    }


def _layer(row: LayerRow) -> FrameRow:
    low, high = row.claim.claim or (math.nan, math.nan)
    return {
        "layer": row.name,
        "claim_low": low,
        "claim_high": high,
        "verdict": row.verdict,
        "engagement": row.engagement.engagement,
        **_figure("alone", row.speed.alone),
        **_figure("last", row.speed.last),
        **_figure("main_effect", row.speed.main_effect),
        **_figure("shapley", row.speed.shapley),
        **_figure("share", row.speed.share),
        **_figure("claimed_effect", row.claimed_effect),
        "learning": row.learning.learning,
        **_figure("learning_effect", row.learning.learning_effect),
        **_figure("episodes_needed", row.learning.episodes_needed),
        **_figure("time_to_target", row.time_to_target),
        **_figure("peak_memory", row.responses.peak_memory_mb.alone),
    }


def _combination(row: CombinationRow, taking_part: Layers, speed: Speed) -> FrameRow:
    return {
        "layers": combination_name(row.layers),
        **_switches(row.layers, taking_part),
        "status": row.status,
        "reason": row.reason,
        "trials": row.trials,
        "trials_ok": row.trials_ok,
        **_figure("episodes_per_min", row.episodes_per_min),
        **_figure("level", speed.level(row.episodes_per_min)),
        **_figure("speedup", row.speedup),
        **_figure("speedup_predicted", row.speedup_predicted),
        **_figure("ms_per_episode", row.ms_per_episode),
        **_figure("setup_s", row.setup_s),
        **_figure("compile_s", row.compile_s),
        **_figure("peak_memory_mb", row.peak_memory_mb),
        **_figure("utilization", row.usage.utilization),
        "dispatches_per_episode": _number(row.usage.dispatches_per_episode),
        "syncs_per_episode": _number(row.usage.syncs_per_episode),
        "numerics": row.numerics.numerics,
        "learning": row.learning.learning,
        "episodes_per_update": _number(row.learning.episodes_per_update),
        **_figure("episodes_to_target", row.learning.episodes_to_target),
        **_figure("time_to_target_s", row.learning.time_to_target_s),
        **{
            column: value
            for each in row.metrics
            for column, value in _figure(f"metric_{each.name}", each.level).items()
        },
    }
