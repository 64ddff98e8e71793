"""Options of ``ablate`` that decide what a run does, and those that other commands share with it."""

from __future__ import annotations

from dataclasses import dataclass

from m2bench.errors import UserError

from .option import in_range, one_of, option

LEARNING_MODES = ("off", "quick", "full")
DEFAULT_DESIGN = ("single", "leave-one-out", "stack")
DEFAULT_BLOCKS = 3


def read_threads(flag: str, typed: str) -> int | None:
    """A number of threads, or None for ``auto``."""
    if typed == "auto":
        return None
    if not typed.isdecimal() or int(typed) < 1:
        raise UserError(f"{flag} {typed!r} is not a number of threads.", "Give a whole number of 1 or more, or auto.")
    return int(typed)


@dataclass(frozen=True, kw_only=True)
class TrialOptions:
    """What ends a trial."""

    trial_timeout_s: float = option(
        600.0, "Seconds after which a trial is killed.", spelled="--trial-timeout", read=in_range(1, 86_400)
    )


@dataclass(frozen=True, kw_only=True)
class ThreadOptions:
    """What a trial computes with."""

    threads: int | None = option(
        None,
        "Torch threads in every trial: a number, or auto to measure which number is fastest.",
        metavar="<number>",
        read=read_threads,
        shown="auto",
        in_place="Set OMP_NUM_THREADS in the shell, or in a toggle, as threads=env:OMP_NUM_THREADS=1.",
    )


@dataclass(frozen=True, kw_only=True)
class TimingOptions(TrialOptions, ThreadOptions):
    """What times trials."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(TimingOptions):
    """Options of ``ablate`` that are stored with the run as they were asked for."""

    learning: str = option(
        "quick",
        f"How much of learning is measured: {', '.join(LEARNING_MODES)}. quick adds trials for a fifth of the run's "
        "time; full trains every combination to the target, for at most half of --trial-timeout.",
        read=one_of(LEARNING_MODES),
    )
    allow_wrong_device: bool = option(False, "Continue on a device that computes wrongly; every figure is marked.")
