"""A check's outcome in the forms that other tools read: Markdown, JUnit, GitHub, github-action-benchmark, Bencher."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from xml.etree import ElementTree

from m2bench.errors import UserError
from m2bench.records.combinations import combination_name
from m2bench.records.description import Rate
from m2bench.store.files import write_file
from m2bench.text.figures import in_full
from m2bench.text.speed import Speed

from .metrics import GatedMetric
from .outcome import CheckOutcome
from .question import EPISODES, SPEEDUP
from .reasons import Aspect
from .references.stored import CHECK_FILE
from .verdict_words import sentence_of

MOST_ANNOTATIONS = 10  # GitHub shows no more per step
SUMMARY_BYTES = 1024 * 1024  # GitHub refuses a longer step summary


def write_outputs(outcome: CheckOutcome, folder: Path) -> None:
    """All files of a check: the document itself, for people, and for two services that keep histories."""
    write_file(folder / CHECK_FILE, json.dumps(outcome.to_json(), indent=1) + "\n")
    write_file(folder / "check.md", check_markdown(outcome))
    write_file(folder / "github-action-benchmark.json", json.dumps(bigger_is_better(outcome), indent=1) + "\n")
    write_file(folder / "bencher.json", json.dumps(bencher(outcome), indent=1) + "\n")


def check_markdown(outcome: CheckOutcome) -> str:
    """The verdict, a table of the metrics, and all that was found."""
    verdict = outcome.verdict
    lines = [f"### m2bench check: {verdict.kind}", "", sentence_of(verdict), ""]
    if verdict.judged:
        lines += ["| combination | metric | against | value | bounds | verdict |", "|---|---|---|---:|---:|---|"]
        lines += [
            f"| {combination_name(found.metric.combination)} | {found.metric.name} | {found.metric.against} "
            f"| {_figure(found.metric, found.value)} "
            f"| {_figure(found.metric, found.lower)} to {_figure(found.metric, found.upper)} | {found.state} |"
            for found in verdict.judged
        ]
        lines.append("")
    lines += [f"- {finding}" for finding in outcome.findings]
    lines += [f"- {note}" for note in verdict.notes]
    lines += ["", f"Again: `{outcome.reproduce}`", ""]
    return "\n".join(lines)


def _figure(metric: GatedMetric, value: float) -> str:
    return in_full(value) if metric.against == "floor" else f"{value:.3f}x"


# --- GitHub


def tell_github(outcome: CheckOutcome, strict: bool, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Append the step summary, and return the annotations to be printed; nothing outside of GitHub Actions.

    Raises UserError when the summary cannot be written.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return []
    if "GITHUB_STEP_SUMMARY" in environment:
        _append(Path(environment["GITHUB_STEP_SUMMARY"]), check_markdown(outcome))
    return list(annotated(outcome, strict))


def _append(summary: Path, text: str) -> None:
    try:
        with summary.open("a", encoding="utf-8") as stream:
            stream.write(text.encode()[:SUMMARY_BYTES].decode(errors="ignore"))
    except OSError as error:
        raise UserError(
            f"the step summary {summary} cannot be written: {error.strerror}.",
            "Free some disk space, and run the step again.",
        ) from error


def annotated(outcome: CheckOutcome, strict: bool) -> Iterator[str]:
    """The sentence first, then single findings, as many as GitHub shows."""
    fails = outcome.verdict.exit_code in failing(strict)
    level = "error" if fails else "notice" if outcome.verdict.kind == "pass" else "warning"
    texts = [sentence_of(outcome.verdict), *outcome.findings]
    for text in texts[:MOST_ANNOTATIONS]:
        yield f"::{level} title=m2bench check::{_escaped(text)}"


def failing(strict: bool) -> tuple[int, ...]:
    """Exit codes that count as a failure: 3 (inconclusive, not comparable) does if one is strict."""
    return (1, 2, 3, 4) if strict else (1, 2, 4)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


# --- JUnit


def junit(outcome: CheckOutcome, strict: bool) -> str:
    """One test per metric, one for the counts, one for learning and numerics.

    What is undecided is skipped, or failed if one is strict.
    """
    verdict = outcome.verdict
    suite = ElementTree.Element("testsuite", name="m2bench check", time=str(outcome.seconds))
    for found in verdict.judged:
        name = f"{combination_name(found.metric.combination)} {found.metric.name} against {found.metric.against}"
        kind = {"slower": "failure", "undecided": "undecided", "passed": ""}[found.state]
        _case(suite, name, kind, found.text, strict)
    for reason in verdict.not_compared(Aspect.SPEED):
        _case(suite, f"speed not compared: {reason.topic}", "undecided", str(reason), strict)
    for aspect in (Aspect.COUNTS, Aspect.AGREEMENT):
        failures, doubts = verdict.wrong(aspect), verdict.undecided(aspect)
        rest = list(map(str, verdict.not_checked(aspect)))
        kind = "failure" if failures else "undecided" if doubts else "unchecked" if rest else ""
        _case(suite, aspect, kind, "; ".join([*failures, *doubts, *rest]), strict)
    for count, tag in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite)))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, name: str, kind: str, message: str, strict: bool) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname="m2bench.check", name=name)
    if kind:
        tag = "failure" if kind == "failure" or (kind == "undecided" and strict) else "skipped"
        ElementTree.SubElement(case, tag, message=message)


# --- services that keep histories


@dataclass(frozen=True)
class Levels:
    """A metric of one combination: its value in each block."""

    combination: str
    metric: str
    values: list[float]


def measured_levels(outcome: CheckOutcome) -> Iterator[Levels]:
    """What was measured of the head."""
    speed = of_which_more_is_better(outcome.verdict.question.speed)
    metric = EPISODES if outcome.verdict.question.rate == Rate() else speed.label
    for name, recorded in outcome.measured.items():
        yield Levels(name, metric, [speed.value(kept) for kept in recorded.episodes_per_min])
        if recorded.speedup:
            yield Levels(name, SPEEDUP, recorded.speedup)


def of_which_more_is_better(speed: Speed) -> Speed:
    """A speed as the user counts it; of a time or a cost its inverse, as it is kept."""
    if not speed.rate.lower_is_better:
        return speed
    return Speed(speed.unit, Rate() if speed.is_time else Rate(speed.compared, is_metric=True))


def geometric(values: list[float]) -> tuple[float, float]:
    """Geometric mean, and the factor of one standard error of it."""
    logs = [math.log(value) for value in values]
    error = stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
    return math.exp(fmean(logs)), math.exp(error)


def bigger_is_better(outcome: CheckOutcome) -> list[dict[str, str | float]]:
    """For github-action-benchmark's tool ``customBiggerIsBetter``."""
    found: list[dict[str, str | float]] = []
    for each in measured_levels(outcome):
        level, factor = geometric(each.values)
        name = f"{each.combination} {each.metric}"
        unit = "x" if each.metric == SPEEDUP else of_which_more_is_better(outcome.verdict.question.speed).label
        found.append({"name": name, "unit": unit, "value": level, "range": f"{factor - 1:.1%}"})
    return found


def bencher(outcome: CheckOutcome) -> dict[str, dict[str, dict[str, float]]]:
    """Bencher Metric Format: by benchmark and measure, a value with one standard error below and above."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for each in measured_levels(outcome):
        level, factor = geometric(each.values)
        measure = {"value": level, "lower_value": level / factor, "upper_value": level * factor}
        found.setdefault(each.combination, {})[each.metric.replace("_", "-")] = measure
    return found
