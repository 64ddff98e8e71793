"""The main result in two lines: what to switch on, how much faster that is, and how sure this is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from m2bench.findings.gains import INDIFFERENT
from m2bench.records.combinations import Layers
from m2bench.records.figure import Figure
from m2bench.summary.ablation_summary import Recommendation, Summary
from m2bench.text.figures import is_known, value_and_interval
from m2bench.text.speed import Speed

from .details import without_effect
from .recommendation import more_blocks_command
from .sentences import counted, listed, machine_name, marked

MOST_CHARACTERS = 100  # of a line of the headline
MOST_NAMED = 3  # layers; more are counted


def headline(summary: Summary, folder: Path | None = None) -> tuple[str, str]:
    """What to switch on and how much faster that is; how sure this is, empty where the first line says all.

    Each fits in MOST_CHARACTERS, unless names are too long for that. ``folder``: as for ``recommendation``.
    """
    advice = summary.recommended
    if advice is None:
        what, next_step = _nothing_to_compare(summary)
    else:
        what, next_step = _what_to_switch_on(summary, advice), _how_sure(summary, advice, folder)
    return what, next_step if summary.unfinished is None else f"Not finished: {_missing(summary)}."


def _nothing_to_compare(summary: Summary) -> tuple[str, str]:
    """Why fewer than two combinations can be compared, and what to do about it."""
    run = [c for c in summary.combinations if c.trials]
    idle = [layer.name for layer in summary.layers if layer.engagement.engagement == "not-engaged"]
    barred = [layer.name for layer in summary.layers if layer.reason]
    failed = sum(c.status == "failed" for c in run)
    changed = sum(c.numerics.numerics == "changed" for c in run)
    found = {
        f"{_named(idle)} did nothing": (
            idle, "Check that each switch reaches the code that runs; the notes of the first table say what was seen.",
        ),
        f"{_named(barred)} cannot run here": (
            barred, "The first table's notes say why. Name other layers with --layers.",
        ),
        f"{failed} of {counted(len(run), 'combination')} failed": (
            failed, "The status column of all combinations says why, and names the logs.",
        ),
        f"{changed} of {counted(len(run), 'combination')} computed something else": (
            changed, "The status column of all combinations says what differs.",
        ),
    }  # fmt: skip
    reasons = {why: advice for why, (is_so, advice) in found.items() if is_so}
    if not reasons:
        few = f"{counted(len(run), 'combination')} measured"
        reasons[few] = "At least two combinations without a failed trial are needed to compare them."
    first = marked(f"No recommendation: {next(iter(reasons))}", summary)
    others = "".join(f"; {why}" for why in [*reasons][1:])
    return _fitting(first, others) + ".", next(iter(reasons.values()))


def _named(layers: Sequence[str]) -> str:
    """The layers by name, or their number where there are many."""
    return listed(layers) if 0 < len(layers) <= MOST_NAMED else counted(len(layers), "layer")


def _what_to_switch_on(summary: Summary, advice: Recommendation) -> str:
    begin = "So far: switch on" if summary.unfinished else "Switch on"
    if advice.layers:
        # The longest that fits, since layers may have long names.
        speed = Speed.of(summary.system)
        wordings = ((" + ", "the baseline"), ("+", "the baseline"), ("+", ""))
        longest = [
            f"{begin} {_set(advice.layers, summary, plus)}: {_faster(advice.speedup, speed, than)}"
            for plus, than in wordings
        ]
        what = next((line for line in longest if len(line) < MOST_CHARACTERS), longest[-1])
    else:
        helping = {x.state for x in advice.left_out if x.ratio is not None and x.ratio.shows_gain}
        no_set = "no measured set has only layers that are" if helping else "no layer is"
        if helping == {"spoils"}:
            no_set = "no layer that learns the same is"
        what = f"{begin} nothing: {no_set} shown to help"
    what = marked(what, summary)
    return max((_fitting(what, f" on {where}") for where in (machine_name(summary), summary.device)), key=len) + "."


def _set(layers: Layers, summary: Summary, plus: str) -> str:
    """The layers by name, or those that are not in the set where that is shorter."""
    names, absent = plus.join(layers), [x.name for x in summary.layers if x.name not in layers]
    rest = f"all layers but {listed(absent)}" if absent else f"all {len(layers)} layers"
    return min(names, rest, key=len) if len(layers) > 2 else names


def _faster(speedup: Figure | None, speed: Speed, than: str) -> str:
    if speedup is None or not is_known(speedup):
        return f"how much {speed.words.better} is not known"
    ratio, interval = value_and_interval(speedup, "x")
    return f"{speed.times(ratio, than)}{interval and f' [{interval}]'}"


def _fitting(line: str, more: str) -> str:
    """The line, with more if it has room for it and a full stop."""
    return line + more if len(line + more) < MOST_CHARACTERS else line


def _how_sure(summary: Summary, advice: Recommendation, folder: Path | None) -> str:
    if not advice.settled:
        return _not_settled(summary, advice, more_blocks_command(summary, folder))
    better = f"is more than {INDIFFERENT:.0%} {Speed.of(summary.system).words.better}"
    settled = f"Settled: no other set{_that_would_do(advice)} {better}"
    nothing = without_effect(summary)
    return _fitting(settled, f"; no measurable effect: {listed(nothing)}") + "." if nothing else f"{settled}."


def _that_would_do(advice: Recommendation) -> str:
    """Which sets were compared, where others that may be faster change what is computed or learned."""
    barred = {left.state for left in advice.left_out}
    verbs = {"changed": "computes", "spoils": "learns"}
    same = " and ".join(verb for state, verb in verbs.items() if state in barred)
    return f" that {same} the same" if same else ""


def _not_settled(summary: Summary, advice: Recommendation, command: str | None) -> str:
    if advice.more_blocks is None and not {"full", "fraction"} & {*summary.workload.spec.design}:
        return "Not settled: this design cannot tell the best sets apart; --all may."
    if advice.more_blocks is None:
        return "Not settled: trials vary or fail too much here to tell the best sets apart."
    more = f"Not settled: about {counted(advice.more_blocks, 'more block')} would decide"
    return _fitting(more, f" ({command})") + "."


def _missing(summary: Summary) -> str:
    """What is done and what is not, of a run that was stopped."""
    if summary.unfinished == "speed":
        trials = f"{Speed.of(summary.system).words.trial}s"
        return f"{summary.trials_done} of {summary.trials_planned} {trials} done; the advice may change"
    return f"{counted(summary.learning.trials, 'learning trial')} done so far; the advice may change"
