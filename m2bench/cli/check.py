"""The command ``check``: the CI gate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from m2bench.errors import UserError
from m2bench.options.known_systems import DOORS
from m2bench.options.option import at_least, option
from m2bench.records.combinations import BASELINE, Layers

from .command import AskedSystem, Given, command
from .console import interruptible, make_console
from .gated import Gated, share_option
from .shared_options import new_folder, results_option

if TYPE_CHECKING:
    from m2bench.gate.asked import Asked
    from m2bench.gate.outcome import CheckOutcome

DELTA, DELTA_OF_REFERENCE = 0.05, 0.10  # another job's figures are not known well enough for less


def _read_floors(flag: str, typed: list[str]) -> dict[str, float]:
    """Least values by the names of Question's floors; a speed may be written with its unit, as ``2000 samples/s``."""
    from m2bench.gate.question import EPISODES, SPEEDUP

    found = {}
    for text in typed:
        name, equals, number = text.partition("=")
        if not equals:
            number, _, name = text.strip().partition(" ")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        is_known = name in (EPISODES, SPEEDUP) if equals else name.strip()
        if not is_known or not 0 < value < float("inf"):
            raise UserError(
                f"{flag} {text!r} is not a floor.",
                f'Give one as "2000 samples/s", in the unit of the trainer, as {SPEEDUP}=20 or as {EPISODES}=2000.',
            )
        found[name.strip()] = value
    return found


@dataclass(frozen=True, kw_only=True)
class Check(Gated):
    """What ``check`` is asked for."""

    base: str | None = option(
        None, "Commit to compare the working tree with; both are measured in this job.", asks=False
    )
    against: str | None = option(None, "Name of the stored reference to compare the working tree with.")
    floors: dict[str, float] | None = option(
        None,
        "Least value for the last combination of --layers: episodes_per_min=2000, speedup=20, or for your own trainer "
        'a speed in its unit, such as "2000 samples/s".',
        spelled="--min",
        kind=list[str],
        metavar="<value>",
        read=_read_floors,
    )
    delta: float | None = share_option(
        None, "Loss of speed to tolerate.", 0.5, f"{DELTA:.0%}; with --against {DELTA_OF_REFERENCE:.0%}"
    )
    alpha: float = share_option(
        0.01, "Probability of a false alarm per verdict, over all looks and metrics together.", 0.25
    )
    max_blocks: int = option(14, "Blocks after which an unclear verdict is inconclusive.", read=at_least(3))
    strict: bool = option(False, "Treat inconclusive and not comparable as failures in all outputs.")
    junit: Path | None = option(None, "Also write the verdict as JUnit XML to this file.", asks=False)
    out: Path | None = results_option("check-")


@command("check")
def check(asked: Check, system: AskedSystem, given: Given) -> None:
    """Compare the speed and the learning of the working tree with a commit, a stored reference or a floor. The CI gate.

    Exit codes: 0 pass, 1 error or nothing measured, 2 regression, 3 inconclusive or not comparable, 4 learning or
    numerics changed.
    """
    from m2bench.gate import run_check
    from m2bench.store.folders import refuse_used, removed_if_refused

    question = _question(asked, system, given)
    folder = asked.out or new_folder("check-")
    refuse_used(folder, "Choose another folder with --out.")
    with interruptible(lambda: "there is no verdict, and nothing was left behind"), removed_if_refused(folder):
        outcome = run_check.run_check(question, folder, make_console(to_stderr=asked.as_json))
    _tell(outcome, asked, folder)
    raise typer.Exit(outcome.verdict.exit_code)


def _question(asked: Check, system: AskedSystem, given: Given) -> Asked:
    """What the gate is asked; UserError for options that contradict each other."""
    from m2bench.gate.asked import Asked
    from m2bench.gate.question import EPISODES

    if asked.base is not None and asked.against is not None:
        raise UserError("--base and --against exclude each other.", "Give one of them.")
    if asked.base is None and asked.against is None and not asked.floors:
        raise UserError(
            "there is nothing to check against.",
            "Give --base REF (a commit), --against NAME (a stored reference) or --min speedup=20.",
        )
    request = asked.request(system, asked.against)
    _refuse_unfounded_speedup(asked.floors or {}, request.combinations)
    if EPISODES in (asked.floors or {}) and request.workload.module in DOORS:
        raise UserError(
            f"--min {EPISODES} does not apply to a trainer of your own, whose speed is in its own unit.",
            'Give it in that unit, as in --min "2000 samples/s".',
        )
    return Asked(
        request=request,
        delta=asked.delta or (DELTA_OF_REFERENCE if asked.against else DELTA),
        alpha=asked.alpha,
        max_blocks=asked.max_blocks,
        base=asked.base,
        against=asked.against,
        floors=asked.floors or {},
        command=("m2bench", "check", *given.words()),
    )


def _refuse_unfounded_speedup(floors: dict[str, float], combinations: tuple[Layers, ...]) -> None:
    if "speedup" in floors and (BASELINE not in combinations or combinations[-1] == BASELINE):
        raise UserError(
            "--min speedup needs the baseline and, last, the combination that is to be faster.",
            "Name both: --layers baseline,a+b",
        )


def _tell(outcome: CheckOutcome, asked: Check, folder: Path) -> None:
    """Print the verdict and write it; the verdict first: a disk that is full must not cost what took minutes."""
    from m2bench.gate import outputs
    from m2bench.store.files import write_file
    from m2bench.store.folders import make_folder

    typer.echo(json.dumps(outcome.to_json(), indent=1) if asked.as_json else outcome.in_words)
    outputs.write_outputs(outcome, folder)
    if asked.junit is not None:
        make_folder(asked.junit.parent, "Choose another file with --junit.")
        write_file(asked.junit, outputs.junit(outcome, asked.strict))
    for line in outputs.tell_github(outcome, asked.strict):
        typer.echo(line, err=asked.as_json)
    verdict = outcome.verdict
    typer.echo(f"Exit code {verdict.exit_code} ({verdict.kind}). Results: {folder}", err=asked.as_json)
