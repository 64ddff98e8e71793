"""What is read from the output of a user's command."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from m2bench.records.errors import TrainerError, UserError

JSON = "json:"
LAST_LINES = 5


@dataclass(frozen=True)
class Metric:
    """One number: what a ``pattern`` finds, or what the last line of JSON holds at ``keys``."""

    name: str
    pattern: re.Pattern[str] | None = None
    keys: tuple[str, ...] = ()

    def values(self, line: str) -> list[float]:
        """The numbers that a line of output holds. Raises TrainerError for one that is none."""
        if self.pattern is not None:
            return [self._number(found.group(1)) for found in self.pattern.finditer(line)]
        try:
            document: Any = json.loads(line)
            for key in self.keys:
                document = document[key]
        except (ValueError, KeyError, TypeError):
            return []
        return [self._number(document)]

    def _number(self, text: Any) -> float:
        try:
            return float(str(text).replace(",", ""))
        except ValueError:
            raise TrainerError(f"the metric {self.name} is {text!r}, which is not a number") from None


def read_metric(typed: str) -> Metric:
    """The metric ``json:KEY`` or a pattern with one group. Raises UserError for a pattern that is none."""
    if typed.startswith(JSON):
        keys = tuple(typed.removeprefix(JSON).split("."))
        return Metric(keys[-1], keys=keys)
    try:
        pattern = re.compile(typed)
    except re.error as error:
        raise UserError(f"--metric {typed!r} is no regular expression: {error}.", "Mend it.") from error
    if pattern.groups != 1:
        raise UserError(
            f"--metric {typed!r} has {pattern.groups} groups, and one is needed, around the number.",
            "Give it as 'SPS: ([0-9.]+)'.",
        )
    words = re.findall(r"[A-Za-z][A-Za-z0-9_/ -]*", typed.partition("(")[0])
    name = next(iter(pattern.groupindex), words[-1].strip() if words else "metric")
    return Metric(name, pattern)


def reduced(values: Sequence[float], skip_first: int) -> float:
    """The last value, or with warm-up to be skipped the mean of those after it."""
    return fmean(values[skip_first:]) if skip_first else values[-1]
