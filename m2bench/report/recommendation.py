"""What is said of the recommended set, and the commands that follow from it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from m2bench.errors import quoted
from m2bench.options.known_systems import Call
from m2bench.options.typed_commands import call_with, workload_words
from m2bench.records.combinations import Layers, combination_name
from m2bench.records.figure import Figure
from m2bench.records.rules import Rules
from m2bench.store.fleet import is_fleet
from m2bench.summary.ablation_summary import LeftOut, LeftOutState, Recommendation, Summary
from m2bench.text.figures import times_within
from m2bench.text.speed import Speed

from .sentences import listed

MOST_RIVALS = 4  # named
LONG_NAME = 80  # characters
STATES: Mapping[LeftOutState, str] = {
    "costs": "not worth it",
    "negligible": "no useful gain",
    "undecided": "undecided",
    "unknown": "undecided, no interval",
    "helps": "a gain, but another layer of the set is then not shown to help",
    "spoils": "changes what is learned from the same data",
    "changed": "computes something else",
    "failed": "its trials failed",
    "not-engaged": "was not at work",
    "unsupported": "cannot run here",
}
STATES_BY_TIME: Mapping[LeftOutState, str] = {
    **STATES,
    "costs": "reaches the learning target later",
    "negligible": "reaches the learning target hardly sooner",
    "undecided": "undecided by the time to the learning target",
}


def recommendation(summary: Summary, folder: Path | None = None) -> list[str]:
    """What each layer of the recommended set is worth there, what the others would do, and what may be as good.

    Last what to do next with the run in ``folder``, by default the usual one.
    """
    advice = summary.recommended
    if advice is None:
        return []
    lines, rules, noun = _not_measured(summary, advice), summary.rules, Speed.of(summary.system).noun
    noun = "Speed" if noun == "speed" else noun
    if advice.kept:
        left = ", ".join(
            f"{x.layer} {_of_the_speed(x.ratio)}{_along(x.layer, advice.layers, rules)}" for x in advice.kept
        )
        by_time = ", by the speed or by the time to the learning target" if advice.basis != "speed" else ""
        lines.append(f"Every layer of the set is shown to help{by_time}. {noun} left if one is removed: {left}.")
    if advice.left_out:
        added = ", ".join(
            f"{x.layer} {_of_the_speed(x.ratio)} ({_beside(x.layer, advice.layers, rules)}{_state(x)})"
            for x in advice.left_out
        )
        lines.append(f"{noun} if one is added: {added}.")
    lines += _rivals(advice)
    if advice.excluded:
        lines.append(f"{advice.excluded}.")
    command = more_blocks_command(summary, folder)
    if summary.unfinished == "speed":
        lines.append(f"Continue with: {_resume(summary, folder)}")
    elif command is not None:
        lines.append(f"Add blocks with: {command}")
    return lines


def _along(layer: str, chosen: Layers, rules: Rules) -> str:
    """In brackets, which layers go with one that is removed, since they need it."""
    gone = [x for x in chosen if x != layer and x not in rules.without(layer, chosen)]
    return f" (with {listed(gone)})" if gone else ""


def _beside(layer: str, chosen: Layers, rules: Rules) -> str:
    """What else changes in the set when this layer is added."""
    joined = rules.joined((layer,), chosen, (*chosen, *rules.needed([layer])))
    needed = [x for x in joined if x not in (*chosen, layer)]
    gone = [x for x in chosen if x not in joined]
    changes = {"with": needed, "in place of": gone}
    return "".join(f"{how} {listed(names)}, " for how, names in changes.items() if names)


def _not_measured(summary: Summary, advice: Recommendation) -> list[str]:
    """That the recommended set was not measured itself, where that is so, and the command that does."""
    if any(c.layers == advice.layers for c in summary.combinations):
        return []
    asked = workload_words("ablate", summary.workload.spec.workload, advice.layers)
    command = ["m2bench", "ablate", *asked, "--layers", ",".join(advice.layers), "--design", "leave-one-out"]
    return [
        f"This set was not measured itself. It is predicted from the {len(summary.combinations)} combinations that "
        f"were, by what layers and pairs of layers do. Measure it with: {shlex.join(command)}"
    ]


def _state(layer: LeftOut) -> str:
    return (STATES_BY_TIME if layer.by_time else STATES)[layer.state]


def _of_the_speed(ratio: Figure | None) -> str:
    return "not known" if ratio is None else times_within(ratio)


def _rivals(advice: Recommendation) -> list[str]:
    """The sets that are not shown to be worse than the recommended one, the best first."""
    named = [
        f"{_named_beside(rival.layers, advice.layers)} ({times_within(rival.ratio)})"
        for rival in advice.rivals[:MOST_RIVALS]
    ]
    more = f", and {len(advice.rivals) - MOST_RIVALS} more" if len(advice.rivals) > MOST_RIVALS else ""
    return [f"Possibly as good: {', '.join(named)}{more}."] if named else []


def _named_beside(rival: Layers, chosen: Layers) -> str:
    """Another set by its name or, where that is long, by how it differs."""
    name = combination_name(rival)
    if len(name) <= LONG_NAME or not chosen:
        return name
    changes = {
        "with": [layer for layer in rival if layer not in chosen],
        "without": [layer for layer in chosen if layer not in rival],
    }
    return "this set " + " and ".join(f"{how} {listed(layers)}" for how, layers in changes.items() if layers)


def more_blocks_command(summary: Summary, folder: Path | None = None) -> str | None:
    """The command that adds the blocks that would settle the run; None where none are needed or none would do."""
    advice = summary.recommended
    if advice is None or not advice.more_blocks:
        return None
    return f"{_resume(summary, folder)} --more-blocks {advice.more_blocks}"


def _resume(summary: Summary, folder: Path | None) -> str:
    elsewhere = " --scheduler ..." if folder is not None and is_fleet(folder) else ""
    return f"m2bench ablate --resume {quoted(folder or Path('reports') / summary.run)}{elsewhere}"


def training_call(summary: Summary) -> Call | None:
    """How the recommended set is trained as it was measured; None where nothing is to be switched on."""
    if summary.recommended is None:
        return None
    return call_with(summary.workload.spec.workload, summary.recommended.layers)
