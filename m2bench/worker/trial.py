"""One trial: build one combination, warm it up, time it; after that evaluate it, watch its phases, and count."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from m2bench.devices import device_speed, torch_device
from m2bench.devices.counters import count_pieces
from m2bench.devices.fingerprint import FingerprintRecorder
from m2bench.devices.phase_times import phase_ms
from m2bench.errors import TrainerError, TrainingEnded
from m2bench.processes.turns import Turns
from m2bench.records.results import Counts, Fingerprint, Moment, NumericsCheck, PeakMemory, Proof, TrialResult
from m2bench.records.spec import TrialSpec, WindowSpec, WorkloadSpec
from m2bench.statistics.steady import mean_error
from m2bench.systems.interface import System, Told, Workload

from .losses_and_returns import told_of_all, units_of
from .timing import no_collections, time_of_the_timer, timed_turns, timed_updates, timed_window

FINGERPRINTED = 4  # the update of which a fingerprint is taken: what compiles or captures has done so by then


@dataclass(frozen=True)
class _Checked:
    """What checks found, and the seconds that they took."""

    found: Mapping[str, NumericsCheck]
    seconds: float

    @classmethod
    def by(cls, check: Callable[[], Mapping[str, NumericsCheck]]) -> _Checked:
        begin = time.perf_counter()
        return cls(check(), time.perf_counter() - begin)


@dataclass(frozen=True)
class _WarmUp:
    """All that comes before the timed window; the first update is the one in which whatever is compiled is compiled."""

    update_s: list[float]
    told: list[Told]
    numerics: _Checked
    fingerprint: Fingerprint | None


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """The timed window. ``turn_updates``: how many updates each turn had; without turns it is one."""

    update_s: list[float]
    told: list[Told]
    turn_updates: list[int]
    energy_j: float | None


@dataclass(frozen=True, kw_only=True)
class _After:
    """What is asked of the system after the timed window, the looks that slow it down at last."""

    timer_s: float
    waits_s: dict[str, float]
    peak_memory_mb: PeakMemory
    proofs: Mapping[str, Proof]
    sources: Mapping[str, str]
    stream: _Checked
    eval_return: float | None
    phase_ms_per_episode: dict[str, float]
    counts: Counts | None


def run_trial(
    workload: Workload,
    workload_spec: WorkloadSpec,
    work: Path,
    spec: TrialSpec,
    window: WindowSpec,
    compiler_import_s: float = 0.0,
    on_window: Callable[[Moment], None] = lambda moment: None,
    turns: Turns | None = None,
) -> TrialResult:
    """Everything that a trial measures.

    ``compiler_import_s`` is what importing the compiler took in the process this one was forked
    from; it belongs to the price of compiling, whoever paid it. ``on_window`` is told when the timed window is
    about to "begin", and its "end". With ``turns`` the timed window consists of them (turns.py).
    """
    device = torch_device.resolve_device(workload_spec.device)
    start = time.perf_counter()
    system = workload.build(workload_spec, work, spec.layers, spec.seed)
    system.synchronize()
    setup_s = time.perf_counter() - start
    try:
        warm_up = _warm_up(system, window, device, may_fingerprint=turns is None)
        with no_collections(), system.timed_window():
            timed = _time(system, window, on_window, turns)
        after = _look_after(system, spec.counts, device if spec.device else None)
    except TrainingEnded as ended:
        raise TrainerError(f"{ended}, and a trial needs more: {_needed(window)}") from None
    finally:
        system.close()
    canary_s = device_speed.device_canary_s(device)  # nothing of the trial runs any more
    return _result(system, setup_s, compiler_import_s, warm_up, timed, after, canary_s)


def _warm_up(system: System, window: WindowSpec, device: torch.device, may_fingerprint: bool) -> _WarmUp:
    """Do the first updates; check the numerics after the first one, and take a fingerprint where one is needed."""
    update_s, told = timed_updates(system, 1)
    numerics = _Checked.by(system.check_numerics)
    fingerprint: Fingerprint | None = None
    if may_fingerprint and not system.offers_proofs:
        fingerprint, more_s, more = take_fingerprint(system, device)
        update_s, told = update_s + more_s, told + more
    more_s, more = timed_updates(system, window.warmup_updates - (len(update_s) - 1), window.warmup_s)
    return _WarmUp(update_s + more_s, told + more, numerics, fingerprint)


def _time(system: System, window: WindowSpec, on_window: Callable[[Moment], None], turns: Turns | None) -> _Timed:
    on_window("begin")
    before_j = system.energy_j()
    if turns is None:
        update_s, told = timed_window(system, window)
        turn_updates = [len(update_s)]
    else:
        update_s, told, turn_updates = timed_turns(system, turns)
    after_j = system.energy_j()
    on_window("end")
    energy_j = None if before_j is None or after_j is None else after_j - before_j
    return _Timed(update_s=update_s, told=told, turn_updates=turn_updates, energy_j=energy_j)


def _look_after(system: System, counting: bool, placed: torch.device | None) -> _After:
    """What is asked in this order. ``placed``: where the trial is to be judged by what it asks of the device."""
    return _After(
        timer_s=time_of_the_timer(system),
        waits_s=system.waits_s(),
        peak_memory_mb=system.peak_memory_mb(),
        proofs=system.proofs(),
        sources=system.sources(),
        stream=_Checked.by(system.check_stream),
        eval_return=system.evaluate(),
        phase_ms_per_episode=_undisturbed_phase_ms(system),
        counts=_counted(system, placed) if counting else None,
    )


def _undisturbed_phase_ms(system: System) -> dict[str, float]:
    with no_collections():
        return phase_ms(system)


def _counted(system: System, placed: torch.device | None) -> Counts | None:
    """By the system itself, or where a place is known by what it asks of the device there."""
    counts = system.count()
    return count_pieces(system, placed) if counts is None and placed is not None else counts


def _result(
    system: System,
    setup_s: float,
    compiler_import_s: float,
    warm_up: _WarmUp,
    timed: _Timed,
    after: _After,
    canary_s: float,
) -> TrialResult:
    timed_s = sum(timed.update_s)
    updates = len(timed.update_s)
    episodes = units_of(system, timed.told)
    told = warm_up.told + timed.told
    losses, returns = (told_of_all(told, measure) for measure in ("loss", "return"))
    # Waiting for data is taken from the timed window: while the phases are looked at, worker processes get ahead.
    waits_ms = {name: 1e3 * s / episodes for name, s in after.waits_s.items()}
    first_s = warm_up.update_s[0]
    return TrialResult(
        setup_s=setup_s + first_s if system.first_update_sets_up else setup_s,
        canary_s=(canary_s,),
        warmup_update_s=tuple(warm_up.update_s),
        update_s=tuple(timed.update_s),
        turn_updates=tuple(timed.turn_updates),
        episodes_per_update=system.episodes_per_update,
        episodes_per_min=60 * episodes / timed_s,
        window_error=mean_error(timed.update_s) if updates > 1 else None,
        timer_share=after.timer_s * updates / timed_s,
        energy_j_per_episode=None if timed.energy_j is None else timed.energy_j / episodes,
        env_steps_per_s=system.steps_per_episode and episodes * system.steps_per_episode / timed_s,
        compile_s=compiler_import_s + first_s - timed_s / updates if system.compiles else None,
        peak_memory_mb=after.peak_memory_mb,
        proofs=after.proofs,
        numerics={**warm_up.numerics.found, **after.stream.found},
        numerics_s=warm_up.numerics.seconds + after.stream.seconds,
        phase_ms_per_episode=after.phase_ms_per_episode | waits_ms,
        counts=after.counts,
        processes=system.processes,
        training_return=returns,
        eval_return=after.eval_return,
        update_units=tuple(each.units for each in told if each.units is not None),
        losses=losses,
        fingerprint=warm_up.fingerprint,
        sources=after.sources,
    )


def _needed(window: WindowSpec) -> str:
    """How long a trainer has to go on for a trial."""
    least = FINGERPRINTED + max(0, window.warmup_updates - (FINGERPRINTED - 2)) + window.timed_updates
    return (
        f"at least {least} updates, of which the last {window.timed_updates} or more are timed, after a warm-up of "
        f"{window.warmup_s:g} s and for up to {window.timed_s:g} s; let it train for longer"
    )


def take_fingerprint(system: System, device: torch.device) -> tuple[Fingerprint, list[float], list[Told]]:
    """That of update FINGERPRINTED of a system that has done its first one; seconds of the updates before it.

    And what all these updates told. Being watched takes time, so that of the update itself is not told.
    """
    times, told = timed_updates(system, FINGERPRINTED - 2)
    with FingerprintRecorder(device) as recorder:
        _, more = timed_updates(system, 1)
    return recorder.fingerprint(FINGERPRINTED), times, told + more
