"""What is read from the output of a user's command."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, harmonic_mean
from typing import Any

from m2bench.errors import TrainerError, UserError

OWN_TIME = "time"
JSON = "json:"
DOCUMENT_CHARACTERS = 2**22  # of the output, as far as it may be one document

GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?([eE][+-]?\d+)?")
NUMBER_BEGINS_BEFORE = re.compile(r"(\d[.,]?|\.|(?<![\w)\]])-)$")
NUMBER_GOES_ON = re.compile(r"[.,]?\d|[eE][+-]?\d")


@dataclass(frozen=True)
class ReadMetric:
    """One number of a run: what the one group of ``pattern`` finds, what JSON holds at ``path``, or else its time."""

    name: str
    pattern: re.Pattern[str] | None = None
    path: str = ""

    @property
    def typed(self) -> str:
        """What a message calls it: the whole path, since its name is the last key alone."""
        return f"{JSON}{self.path}" if self.path else self.name


TIME = ReadMetric("time_s")
"""The command's own, in seconds."""


def read_metrics(typed: Sequence[str]) -> tuple[ReadMetric, ...]:
    """The metrics ``json:KEY.path``, ``time``, or patterns with one group; the command's time where there is none.

    Raises UserError for a pattern that is none, and for two of the same name.
    """
    metrics = tuple(_read_metric(each) for each in typed or (OWN_TIME,))
    names = [metric.name for metric in metrics]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"two metrics are called {name}.", "Name the group of one of them, as in 'SPS: (?P<sps>[0-9.]+)'."
            )
    return metrics


def _read_metric(typed: str) -> ReadMetric:
    if typed == OWN_TIME:
        return TIME
    if typed.startswith(JSON):
        path = typed.removeprefix(JSON)
        if not path:
            raise UserError(f"--metric {typed!r} names no key.", "Give it as json:sps, or as json:train.sps.")
        return ReadMetric(path.rpartition(".")[2], path=path)
    try:
        pattern = re.compile(typed)
    except re.error as error:
        raise UserError(f"--metric {typed!r} is not a regular expression: {error}.", "Correct it.") from error
    if pattern.groups != 1:
        raise UserError(
            f"--metric {typed!r} has {pattern.groups} groups, and it must have one, around the number.",
            "Give it as 'SPS: ([0-9.,]+)'. Write other parentheses as (?:...), or as \\( for the character itself.",
        )
    return ReadMetric(next(iter(pattern.groupindex), None) or _words_of(typed), pattern)


def _words_of(pattern: str) -> str:
    """What a pattern calls its number: the last words before the group, else the first ones after it."""
    before, _, after = re.sub(r"\\.", " ", pattern).partition("(")
    words = re.compile(r"[A-Za-z][\w/%]*(?: [A-Za-z][\w/%]*)*")
    found: list[str] = words.findall(before)[-1:] or words.findall(after.partition(")")[2])[:1]
    return found[0] if found else "metric"


class Readings:
    """What the metrics find in the output of one run."""

    def __init__(self, metrics: Sequence[ReadMetric]):
        self._metrics = metrics
        self._found: dict[str, list[float]] = {metric.name: [] for metric in metrics}
        self._output: list[str] = []
        self._room = DOCUMENT_CHARACTERS if any(metric.path for metric in metrics) else 0

    def read_line(self, line: str) -> None:
        """Look for all metrics. Raises TrainerError where something else than a number stands for one."""
        self.read_error_line(line)
        if self._room > 0:
            self._output.append(line)
            self._room -= len(line)
        if any(metric.path for metric in self._metrics) and line.startswith("{"):
            self._read_document(line, lambda name, value: self._found[name].append(value))

    def read_error_line(self, line: str) -> None:
        """Look for patterns: standard error holds progress and warnings, but no document."""
        for metric in self._metrics:
            if metric.pattern is not None:
                self._found[metric.name] += [
                    _number_found(metric.name, match) for match in metric.pattern.finditer(line) if match[1]
                ]

    def end(self) -> None:
        """Take the whole output for one document, where it is one."""
        if self._room > 0:
            self._read_document("\n".join(self._output), lambda name, value: self._found.update({name: [value]}))

    def _read_document(self, text: str, take: Callable[[str, float], None]) -> None:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return
        for metric in self._metrics:
            value = _at(document, metric.path) if metric.path else None
            if value is not None:
                take(metric.name, _number(metric.typed, value))

    def __getitem__(self, metric: ReadMetric) -> list[float]:
        return self._found[metric.name]


def _at(document: Any, path: str) -> Any:
    """What a document holds at a path; None where there is nothing. A key may have dots in it."""
    if isinstance(document, Mapping) and path in document:
        return document[path]
    key, dot, rest = path.partition(".")
    if isinstance(document, list) and key.isdecimal() and int(key) < len(document):
        inner = document[int(key)]
    elif isinstance(document, Mapping):
        inner = document.get(key)
    else:
        return None
    return _at(inner, rest) if dot else inner


def _number_found(name: str, match: re.Match[str]) -> float:
    """The number of a match. A part of one, or one whose unit the pattern leaves open, could be wrong by any factor."""
    line, (begin, end) = match.string, match.span(1)
    after = line[end:] if end == match.end() else ""
    before = line[:begin] if begin == match.start() else ""
    if NUMBER_GOES_ON.match(after) or NUMBER_BEGINS_BEFORE.search(before):
        raise TrainerError(
            f"--metric {name} matches only the part {match[1]!r} of a number in {_shortened(line)!r}: let its group "
            "take the whole, as in ([-+0-9.,e]+), or write what stands beside it into the pattern"
        )
    if after[:1].isalpha():
        unit = re.match(r"\w+", after)
        assert unit is not None
        raise TrainerError(
            f"--metric {name} matches {match[1]!r}, which is followed by {unit[0]!r} in {_shortened(line)!r}: write "
            "that into the pattern, so that no number in another unit is taken for it"
        )
    return _number(name, match[1])


def _shortened(line: str) -> str:
    return line if len(line) <= 100 else f"{line[:100]}..."


def _number(name: str, value: Any) -> float:
    """A number, which may have commas between thousands. Raises TrainerError for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = value.strip().rstrip(".,") if isinstance(value, str) else ""
    try:
        return float(text.replace(",", "") if GROUPED.fullmatch(text) else text.replace("_", "?"))
    except ValueError:
        raise TrainerError(f"--metric {name} is {value!r}, which is not a number") from None


def counting(values: Sequence[float], skip_first: int) -> Sequence[float]:
    """The last value, or where warm-up is skipped, those after it."""
    return values[skip_first:] if skip_first else values[-1:]


def shown_value(name: str, values: Sequence[float]) -> float:
    """What stands for the values of a metric that is not ranked: their mean.

    Raises TrainerError where one is not finite.
    """
    for value in values:
        if not math.isfinite(value):
            raise TrainerError(f"--metric {name} is {value}")
    return fmean(values)


def ranked_value(name: str, values: Sequence[float], lower_is_better: bool) -> float:
    """What stands for the values of the metric that is ranked: of times their mean, of speeds their harmonic mean.

    Each value is taken as that of an equal piece of work, so that both rank by what a piece took on average. Raises
    TrainerError where one is not finite, or not greater than 0: only such values have a ratio.
    """
    mean = shown_value(name, values)
    if min(values) <= 0:
        raise TrainerError(f"--metric {name} is {min(values):g}, and what is ranked must be greater than 0")
    return mean if lower_is_better else harmonic_mean(values)
