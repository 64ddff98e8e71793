"""What a check's document says of each thing it judges: what is wrong, and what is undecided. Pure."""

from __future__ import annotations

from typing import Any

SPEED, COUNTS, AGREEMENT = ASPECTS = ("speed", "counts", "learning and numerics")
OF_PREFIX = {"speeds": (SPEED,), "counts": (COUNTS,), "learning": (AGREEMENT,), "numerics": (AGREEMENT,)}
"""What a reason for not comparing begins with, and what it is about; any other is about all that has a reference."""

Document = dict[str, Any]


def is_judged(document: Document, aspect: str) -> bool:
    """Whether the check was asked about this aspect: floors alone say nothing of counts."""
    return aspect != COUNTS or document["base"] is not None or document["reference"] is not None


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
    return [
        reason
        for reason in document["not_comparable"]
        if aspect in OF_PREFIX.get(reason.partition(":")[0], (SPEED, COUNTS))
    ]
