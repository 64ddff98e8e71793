"""What ``check`` and ``baseline save`` are both asked: which combinations to measure, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2bench.errors import UserError
from m2bench.options.known_systems import known_system
from m2bench.options.option import in_range, option
from m2bench.options.run_options import TimingOptions
from m2bench.records.combinations import BASELINE, Layers, combination_name, layers_of
from m2bench.records.spec import WindowSpec, WorkloadSpec

from .command import AskedSystem
from .shared_options import AsJson, Seeded, combination_of, known_layers

if TYPE_CHECKING:
    from m2bench.gate.measure import Request
    from m2bench.gate.references.reference import Reference


RECOMMENDED = known_system(WorkloadSpec.module).layers.recommended


@dataclass(frozen=True, kw_only=True)
class Gated(TimingOptions, Seeded, AsJson):
    """What is measured to be compared with a later or an earlier state."""

    layers: str | None = option(
        None,
        "Combinations to measure, such as baseline,a+b.",
        metavar="<names>",
        shown=f"those of the reference, else baseline,{combination_name(RECOMMENDED)}; for your own trainer baseline "
        "alone",
    )
    window_s: float | None = option(
        None,
        "Seconds for which each process is timed; more gives less noise.",
        spelled="--window",
        read=in_range(0.01, 600),
        shown="1 to 2",
        in_place="Leave it out: a trial is one run of the command.",
    )

    def request(self, system: AskedSystem, against: str | None) -> Request:
        """What to measure, of the combinations of the reference ``against`` where none are given.

        UserError for a combination that there is not, and for an option that has no effect on any of them.
        """
        from m2bench.gate.measure import Request

        combinations = _combinations(self.layers, against, system.workload)
        taking_part = tuple(dict.fromkeys(chain.from_iterable(combinations)))
        window, timed_s = WindowSpec(), self.window_s
        if timed_s is not None:
            window = replace(window, warmup_s=timed_s / 2, timed_s=timed_s, timed_most_s=timed_s)
        return Request(
            workload=system.with_layers(taking_part),
            window=window,
            combinations=combinations,
            seed=self.seed,
            trial_timeout_s=self.trial_timeout_s,
            threads=self.threads,
        )


def _combinations(text: str | None, against: str | None, workload: WorkloadSpec) -> tuple[Layers, ...]:
    """What is asked for, else what the reference has, else what is recommended.

    A system of the user's own has layers of its own, whose names only its description tells.
    """
    if text is None:
        if against is not None:
            return reference_named(against).layers
        return tuple(dict.fromkeys((BASELINE, known_system(workload.module).layers.recommended)))
    found = tuple(layers_of(name.strip()) for name in text.split(",") if name.strip())
    if any(found):
        known = known_layers(workload, dict.fromkeys(chain.from_iterable(found)))
        found = tuple(combination_of(known, layers) for layers in found)
    if not found or len(set(found)) < len(found):
        raise UserError(f"--layers {text!r} names no combination, or one twice.", "Give some, as in baseline,a+b.")
    return found


def reference_named(name: str) -> Reference:
    """The stored reference of this repository; UserError when there is none of that name."""
    from m2bench.gate.references.stored import find
    from m2bench.gate.repository import repository

    return find(repository(Path.cwd()), name)


def share_option(default: float | None, help: str, most: float, shown: str | None = None) -> Any:  # noqa: A002
    """Declare a share, as 5% or 0.05; ``shown``: its default in words, where it has none of its own."""
    return option(default, help, metavar="<share>", read=_read_share(most), shown=shown or f"{default:.0%}")


def _read_share(most: float) -> Callable[[str, str], float]:

    def read(flag: str, typed: str) -> float:
        try:
            value = float(typed.removesuffix("%").strip()) / (100 if typed.endswith("%") else 1)
        except ValueError:
            raise UserError(f"{flag} {typed!r} is not a share.", "Give one as 5% or 0.05.") from None
        if not 0 < value <= most:
            raise UserError(f"{flag} must be more than 0 and at most {most:.0%}, and {typed} was given.", "5% is 0.05.")
        return value

    return read
