"""Events of a profiler as the calls that they were: who called whom, and what each took itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something with a name that lasted from ``start_ns`` to ``end_ns`` on one thread."""

    name: str
    start_ns: int
    end_ns: int
    thread: int = 0


@dataclass
class CallNode:
    """An event, how many calls it lies within, and its time without those that it made."""

    event: Event
    depth: int
    self_ns: int


def calls(events: Iterable[Event]) -> list[CallNode]:
    """The events by thread and start, each with its depth.

    An event that outlasts its caller is cut at the caller's end: the clocks of a profiler are read at different
    moments, so a child may seem to end some ns after its parent.
    """
    found: list[CallNode] = []
    open_calls: list[CallNode] = []
    for event in sorted(events, key=lambda e: (e.thread, e.start_ns, -e.end_ns)):
        while open_calls and (
            open_calls[-1].event.thread != event.thread or open_calls[-1].event.end_ns <= event.start_ns
        ):
            open_calls.pop()
        if open_calls:
            caller = open_calls[-1]
            event = Event(event.name, event.start_ns, min(event.end_ns, caller.event.end_ns), event.thread)
            caller.self_ns -= event.end_ns - event.start_ns
        call = CallNode(event, len(open_calls), event.end_ns - event.start_ns)
        found.append(call)
        open_calls.append(call)
    return found


def busy_and_gaps_ns(events: Iterable[Event]) -> tuple[int, int]:
    """How long at least one of the events was under way, and how long none was between the first and the last."""
    busy = gaps = 0
    reached: int | None = None
    for event in sorted(events, key=lambda e: e.start_ns):
        if reached is None:
            reached = event.start_ns
        gaps += max(0, event.start_ns - reached)
        busy += max(0, event.end_ns - max(reached, event.start_ns))
        reached = max(reached, event.end_ns)
    return busy, gaps
