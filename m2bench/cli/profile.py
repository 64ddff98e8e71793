"""The command ``profile``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from m2bench.errors import UserError
from m2bench.options.known_systems import PROGRAMS
from m2bench.options.option import option
from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.rules import NamedLayers

from .command import AskedSystem, command
from .console import interruptible, left_in, make_console
from .shared_options import Seeded, combination_of, known_layers, new_folder, read_layers, results_option

if TYPE_CHECKING:
    from m2bench.inspect.profile import Pair


def _read_combination(flag: str, typed: str) -> Layers:
    return BASELINE if typed == combination_name(BASELINE) else read_layers(flag, typed)


@dataclass(frozen=True, kw_only=True)
class Profile(Seeded):
    """What ``profile`` is asked for."""

    layer: Layers = option((), "Layer to profile, with and without it.", metavar="<names>", read=read_layers)
    with_layers: Layers = option(
        (),
        "Layers that are on beside it, comma-separated; without --layer, the combination to profile.",
        spelled="--with",
        metavar="<names>",
        read=read_layers,
    )
    against: Layers | None = option(
        None,
        "Combination to compare with: layers, comma-separated, or baseline.",
        metavar="<names>",
        read=_read_combination,
        shown="the same without --layer; without --layer, baseline",
    )
    quick: bool = option(False, "Shorter profiles: a first look, less precise.")
    metal_capture: Path | None = option(
        None, "Also write one update as a Metal capture (.gputrace) for Xcode to this path."
    )
    out: Path | None = results_option("profile-")


@command("profile")
def profile(asked: Profile, system: AskedSystem) -> None:
    """Show where the time goes with and without a layer, and why that changes the speed."""
    from m2bench.inspect import profile

    if system.workload.module in PROGRAMS:
        raise UserError(
            "a command cannot be profiled: m2bench sees only what it prints.",
            "Profile a function of your own, such as my_trainer.py:train, or run the command under py-spy.",
        )
    named = dict.fromkeys((*asked.layer, *asked.with_layers, *(asked.against or ())))
    pair = _pair(asked, known_layers(system.workload, named))
    workload = system.with_layers((*pair.before, *pair.after))
    folder = asked.out or new_folder("profile-")
    with interruptible(left_in(folder)):
        profile.profile_pair(workload, pair, asked.seed, folder, asked.metal_capture, make_console())


def _pair(asked: Profile, known: NamedLayers) -> Pair:
    """The two combinations to compare, in the system's order; UserError where there is one."""
    from m2bench.inspect.profile import Pair

    after = combination_of(known, {*asked.layer, *asked.with_layers})
    if not after:
        raise UserError("there is nothing to profile.", "Name a layer with --layer, or a combination with --with.")
    without = {*asked.with_layers} - {*asked.layer} if asked.layer else BASELINE
    before = combination_of(known, without if asked.against is None else asked.against)
    if before == after:
        raise UserError(f"both sides are {combination_name(after)}.", "Compare it with another combination: --against.")
    return Pair(before, after, seconds=0.3, pairs=2) if asked.quick else Pair(before, after)
