"""Writes calls as a flame graph for https://www.speedscope.app (its "evented" file format)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from .event_tree import CallNode

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def write_speedscope(path: Path, name: str, calls: Sequence[CallNode]) -> None:
    """One profile per thread, in ns from the thread's first event; ``calls`` as event_tree.calls gives them.

    Raises OSError when the file cannot be written.
    """
    frames: dict[str, int] = {}
    profiles = [
        _profile(f"{name}, thread {thread}", list(group), frames)
        for thread, group in groupby(calls, key=lambda call: call.event.thread)
    ]
    document = {
        "$schema": SCHEMA,
        "name": name,
        "exporter": "m2bench",
        "shared": {"frames": [{"name": frame} for frame in frames]},
        "profiles": profiles,
    }
    path.write_text(json.dumps(document, separators=(",", ":")))


def _profile(name: str, calls: list[CallNode], frames: dict[str, int]) -> dict[str, Any]:
    first = calls[0].event.start_ns
    events: list[dict[str, Any]] = []
    open_calls: list[CallNode] = []

    def close(depth: int) -> None:
        while len(open_calls) > depth:
            ended = open_calls.pop()
            events.append({"type": "C", "frame": frames[ended.event.name], "at": ended.event.end_ns - first})

    for call in calls:
        close(call.depth)
        frame = frames.setdefault(call.event.name, len(frames))
        events.append({"type": "O", "frame": frame, "at": call.event.start_ns - first})
        open_calls.append(call)
    close(0)
    end = max(event["at"] for event in events)
    return {"type": "evented", "name": name, "unit": "nanoseconds", "startValue": 0, "endValue": end, "events": events}
