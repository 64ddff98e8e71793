"""A check's document in the forms that other tools read: Markdown, JUnit, GitHub, github-action-benchmark, Bencher."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from xml.etree import ElementTree

from m2bench.records.errors import UserError

from .aspects import AGREEMENT, COUNTS, SPEED, not_compared, unchecked, undecided, wrong
from .references import write_whole

MOST_ANNOTATIONS = 10  # GitHub shows no more per step
SUMMARY_BYTES = 1024 * 1024  # GitHub refuses a longer step summary

Document = dict[str, Any]


def write_outputs(document: Document, folder: Path) -> None:
    """All files of a check: the document itself, for people, and for two services that keep histories."""
    write_whole(folder / "check.json", json.dumps(document, indent=1) + "\n")
    write_whole(folder / "check.md", markdown(document))
    write_whole(folder / "github-action-benchmark.json", json.dumps(bigger_is_better(document), indent=1) + "\n")
    write_whole(folder / "bencher.json", json.dumps(bencher(document), indent=1) + "\n")


def markdown(document: Document) -> str:
    """The verdict, a table of the metrics, and all that was found."""
    lines = [f"### m2bench check: {document['verdict']}", "", document["sentence"], ""]
    if document["metrics"]:
        lines += ["| combination | metric | against | value | bounds | verdict |", "|---|---|---|---:|---:|---|"]
        lines += [
            f"| {m['combination']} | {m['name']} | {m['against']} | {_figure(m, m['value'])} "
            f"| {_figure(m, m['bounds'][0])} to {_figure(m, m['bounds'][1])} | {m['state']} |"
            for m in document["metrics"]
        ]
        lines.append("")
    lines += [f"- {finding}" for finding in findings(document)]
    lines += [f"- {note}" for note in document["notes"]]
    lines += ["", f"Again: `{document['reproduce']}`", ""]
    return "\n".join(lines)


def _figure(metric: Document, value: float) -> str:
    return f"{value:,.4g}" if metric["against"] == "floor" else f"{value:.3f}x"


def findings(document: Document) -> list[str]:
    """Everything that is not as it was, one sentence each."""
    return [
        *document["changes"],
        *(m["text"] for m in document["metrics"] if m["state"] == "slower"),
        *(change["sentence"] for change in document["counts"]),
        *document["not_comparable"],
    ]


# --- GitHub


def tell_github(document: Document, strict: bool, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Append the step summary, and return the annotations to be printed; nothing outside of GitHub Actions.

    Raises UserError when the summary cannot be written.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return []
    if "GITHUB_STEP_SUMMARY" in environment:
        _append(Path(environment["GITHUB_STEP_SUMMARY"]), markdown(document))
    return list(annotated(document, strict))


def _append(summary: Path, text: str) -> None:
    try:
        with summary.open("a", encoding="utf-8") as stream:
            stream.write(text.encode()[:SUMMARY_BYTES].decode(errors="ignore"))
    except OSError as error:
        raise UserError(
            f"the step summary {summary} cannot be written: {error.strerror}.", "Make room, and run the step again."
        ) from error


def annotated(document: Document, strict: bool) -> Iterator[str]:
    """The sentence first, then single findings, as many as GitHub shows."""
    fails = document["exit_code"] in failing(strict)
    level = "error" if fails else "notice" if document["verdict"] == "pass" else "warning"
    texts = [document["sentence"], *findings(document)]
    for text in texts[:MOST_ANNOTATIONS]:
        yield f"::{level} title=m2bench check::{_escaped(text)}"


def failing(strict: bool) -> tuple[int, ...]:
    """Exit codes that count as a failure: 3 (inconclusive, not comparable) does if one is strict."""
    return (1, 2, 3, 4) if strict else (1, 2, 4)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


# --- JUnit


def junit(document: Document, strict: bool) -> str:
    """One test per metric, one for the counts, one for learning and numerics.

    What is undecided is skipped, or failed if one is strict.
    """
    suite = ElementTree.Element("testsuite", name="m2bench check", time=str(document["seconds"]))
    for metric in document["metrics"]:
        name = f"{metric['combination']} {metric['name']} against {metric['against']}"
        kind = {"slower": "failure", "undecided": "undecided", "passed": ""}[metric["state"]]
        _case(suite, name, kind, metric["text"], strict)
    for reason in not_compared(document, SPEED):
        _case(suite, f"speed not compared: {reason.partition(':')[0]}", "undecided", reason, strict)
    for aspect in (COUNTS, AGREEMENT):
        failures, doubts, rest = (say(document, aspect) for say in (wrong, undecided, unchecked))
        kind = "failure" if failures else "undecided" if doubts else "unchecked" if rest else ""
        _case(suite, aspect, kind, "; ".join([*failures, *doubts, *rest]), strict)
    for outcome, tag in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(outcome, str(len(suite.findall(f"testcase/{tag}"))))
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


def levels(document: Document) -> Iterator[tuple[str, str, list[float]]]:
    """(combination, metric, values per block) of what was measured of the head."""
    for name, recorded in document["measured"].items():
        for metric in ("episodes_per_min", "speedup"):
            if recorded[metric]:
                yield name, metric, recorded[metric]


def geometric(values: list[float]) -> tuple[float, float]:
    """Geometric mean, and the factor of one standard error of it."""
    logs = [math.log(value) for value in values]
    error = stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
    return math.exp(fmean(logs)), math.exp(error)


def bigger_is_better(document: Document) -> list[Document]:
    """For github-action-benchmark's tool ``customBiggerIsBetter``."""
    found = []
    for name, metric, values in levels(document):
        level, factor = geometric(values)
        unit = "x" if metric == "speedup" else "episodes/min"
        found.append({"name": f"{name} {metric}", "unit": unit, "value": level, "range": f"{factor - 1:.1%}"})
    return found


def bencher(document: Document) -> Document:
    """Bencher Metric Format: by benchmark and measure, a value with one standard error below and above."""
    found: Document = {}
    for name, metric, values in levels(document):
        level, factor = geometric(values)
        measure = {"value": level, "lower_value": level / factor, "upper_value": level * factor}
        found.setdefault(name, {})[metric.replace("_", "-")] = measure
    return found
