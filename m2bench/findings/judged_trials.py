"""A run's trials as every figure takes them: marked where a layer did nothing or computes something else. Pure."""

from __future__ import annotations

from dataclasses import replace

from m2bench.store.stored_trial import RunRecord, StoredTrial

from .engagement import JudgedRun, judge_engagement
from .losses import with_losses_compared


def judge_trials(record: RunRecord, trials: list[StoredTrial]) -> JudgedRun:
    """What each layer did, and the trials with what their losses show beside the numerics checks that they ran."""
    judged = judge_engagement(record, trials)
    return replace(judged, trials=with_losses_compared(record, judged.trials))
