"""What commands share whose runs can be continued."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from m2bench.errors import UserError, quoted
from m2bench.options.option import at_least, option
from m2bench.options.run_spec import RunSpec

from .command import Given
from .shared_options import read_duration


@dataclass(frozen=True, kw_only=True)
class Resumable:
    """What makes a long run, or goes on with one."""

    wait_for_quiet_s: float | None = option(
        None,
        "Longest time to wait in total, such as 90s or 10m, while other processes keep the machine busy.",
        spelled="--wait-for-quiet",
        metavar="<time>",
        read=read_duration,
        with_resume=True,
    )
    resume: Path | None = option(None, "Continue the run in this folder.", with_resume=True)
    more_blocks: int | None = option(
        None, "With --resume: add this many blocks to the run.", read=at_least(0), with_resume=True
    )


def refuse_more_blocks(asked: Resumable) -> None:
    """Raise UserError for blocks to be added to a run that is begun now."""
    if asked.more_blocks is not None:
        raise UserError("--more-blocks adds to an existing run.", "Name its folder with --resume, or use --blocks.")


def advice_on_resuming(command: str, folder: Path, words: str = "") -> str:
    """What becomes of a run that was interrupted; ``words``: what has to be typed again."""
    from m2bench.store.fleet import is_fleet
    from m2bench.store.results_database import FILE_NAME

    begun = (folder / FILE_NAME).exists() or is_fleet(folder)
    return f"continue with: m2bench {command} --resume {quoted(folder)}{words}" if begun else "no trial had finished"


def continued(command: str, folder: Path, more_blocks: int | None, given: Given) -> RunSpec:
    """A resumed run does what it was begun with.

    Raises UserError for an option that says otherwise, and for a run of another command.
    """
    from m2bench.run.run_ablation import stored_spec
    from m2bench.store.fleet import asked_of_fleet, is_fleet

    refused = [one.flag for one, _ in given.typed if not one.with_resume]
    if refused:
        raise UserError(
            f"--resume continues a run with the options it was begun with, and cannot take {', '.join(refused)}.",
            "Leave them out (--more-blocks adds blocks), or begin a new run without --resume.",
        )
    spec = asked_of_fleet(folder) if is_fleet(folder) else stored_spec(folder)
    began = "ablate" if spec.scale is None else "scale"
    if began != command:
        raise UserError(
            f"{folder} is a run of m2bench {began}.", f"Continue it with: m2bench {began} --resume {quoted(folder)}"
        )
    return replace(spec, blocks=spec.blocks + (more_blocks or 0))
