"""Calls, busy times and flame graphs against trees whose times are known."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from m2bench.devices.event_tree import Event, busy_and_gaps_ns, calls
from m2bench.devices.speedscope import write_speedscope


def random_tree(rng: random.Random, start: int, depth: int, thread: int, own: dict[str, int]) -> list[Event]:
    """A call whose own time is added to ``own``, with what it calls; the last event is the call itself."""
    name = f"f{rng.randrange(5)}"
    now, events = start, []
    for _ in range(rng.randrange(4) if depth else 0):
        pause = rng.randrange(1, 50)
        own[name] += pause
        inner = random_tree(rng, now + pause, depth - 1, thread, own)
        events += inner
        now = inner[-1].end_ns
    rest = rng.randrange(1, 50)
    own[name] += rest
    return [*events, Event(name, start, now + rest, thread)]


@pytest.mark.parametrize("seed", range(20))
def test_own_times_of_a_random_tree_come_back(seed: int) -> None:
    rng = random.Random(seed)
    own: dict[str, int] = defaultdict(int)
    events = random_tree(rng, 100, 4, 1, own)
    events += random_tree(rng, events[-1].end_ns, 4, 1, own) + random_tree(rng, 50, 4, 2, own)
    rng.shuffle(events)
    found: dict[str, int] = defaultdict(int)
    for call in calls(events):
        found[call.event.name] += call.self_ns
    assert found == own


def test_a_child_that_outlasts_its_caller_is_cut() -> None:
    parent, child = calls([Event("parent", 0, 10), Event("child", 4, 13)])
    assert (parent.self_ns, child.self_ns, child.depth) == (4, 6, 1)


@pytest.mark.parametrize("seed", range(20))
def test_busy_and_idle_times_by_ticking_them_off(seed: int) -> None:
    rng = random.Random(seed)
    events = [Event("k", start := rng.randrange(500), start + rng.randrange(1, 40)) for _ in range(15)]
    ticks = np.zeros(600, dtype=bool)
    for event in events:
        ticks[event.start_ns : event.end_ns] = True
    first, last = min(e.start_ns for e in events), max(e.end_ns for e in events)
    assert busy_and_gaps_ns(events) == (ticks.sum(), (~ticks[first:last]).sum())


def test_nothing_is_neither_busy_nor_idle() -> None:
    assert busy_and_gaps_ns([]) == (0, 0)


def test_a_flame_graph_opens_and_closes_in_order_and_keeps_the_times(tmp_path: Path) -> None:
    own: dict[str, int] = defaultdict(int)
    events = random_tree(random.Random(3), 1000, 5, 7, own)
    path = tmp_path / "flame.json"
    write_speedscope(path, "before", calls(events))
    document = json.loads(path.read_text())
    names = [frame["name"] for frame in document["shared"]["frames"]]
    (profile,) = document["profiles"]
    found: dict[str, int] = defaultdict(int)
    stack: list[int] = []
    now = profile["startValue"]
    for event in profile["events"]:
        assert event["at"] >= now
        if stack:
            found[names[stack[-1]]] += event["at"] - now
        now = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert stack.pop() == event["frame"]
    assert not stack
    assert (now, found) == (profile["endValue"], own)
