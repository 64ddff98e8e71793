"""What a check's document says of each thing it judges: what is wrong, and what is undecided. Pure."""

from __future__ import annotations

from typing import Any

SPEED, COUNTS, AGREEMENT = ASPECTS = ("speed", "counts", "learning and numerics")
OF_PREFIX = {"speeds": (SPEED,), "counts": (COUNTS,), "learning": (AGREEMENT,), "numerics": (AGREEMENT,)}
"""What a reason for not comparing begins with, and what it is about; any other is about all that has a reference."""

Document = dict[str, Any]


def wrong(document: Document, aspect: str) -> list[str]:
    """Findings that fail this aspect, one sentence each."""
    if aspect == SPEED:
        return [metric["text"] for metric in document["metrics"] if metric["state"] == "slower"]
    if aspect == COUNTS:
        against_base = document["base"] is not None  # a reference that is beaten must be replaced
        return [c["sentence"] for c in document["counts"] if c["after"] > c["before"] or not against_base]
    return list(document["changes"])


def undecided(document: Document, aspect: str) -> list[str]:
    """Why this aspect has neither failed nor passed."""
    noisy = [metric["text"] for metric in document["metrics"] if metric["state"] == "undecided"]
    return [*(noisy if aspect == SPEED else []), *not_compared(document, aspect)]


def not_compared(document: Document, aspect: str) -> list[str]:
    """Why this aspect, or a part of it, was not compared with anything."""
    if not document["blocks"] and not wrong(document, aspect):
        return document["not_comparable"] or ["nothing was measured"]
    return _about(aspect, document["not_comparable"])


def unchecked(document: Document, aspect: str) -> list[str]:
    """Why nothing, or not all, was asked of this aspect. That is no doubt, and no verdict either."""
    return _about(aspect, document["unchecked"])


def _about(aspect: str, reasons: list[str]) -> list[str]:
    return [reason for reason in reasons if aspect in OF_PREFIX.get(reason.partition(":")[0], (SPEED, COUNTS))]
