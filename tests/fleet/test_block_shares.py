"""What is handed out to machines is done once by each, and again where a machine was lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from m2bench.fleet.block_shares import MOST_TRIES, Shares


def test_every_share_is_taken_once() -> None:
    shares = Shares(range(100))

    def machine(name: str) -> list[int]:
        done = []
        while (number := shares.take(name)) is not None:
            done.append(number)
            shares.finish(number)
        return done

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(machine, name) for name in "abcd"]
    assert sorted(number for each in found for number in each.result()) == list(range(100))


def test_who_is_free_waits_for_what_another_may_give_back() -> None:
    shares = Shares([7])
    assert shares.take("a") == 7
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shares.take, "b")
        sleep(0.05)
        assert not waiting.done()
        assert shares.give_back(7)
        assert waiting.result(timeout=5) == 7


def test_what_no_machine_can_finish_is_given_up() -> None:
    shares = Shares([7])
    again = []
    for _ in range(MOST_TRIES):
        shares.take("a")
        again.append(shares.give_back(7))
    assert again == [True] * (MOST_TRIES - 1) + [False]


@pytest.mark.timeout(20)
def test_nothing_is_handed_out_after_the_end() -> None:
    shares = Shares([1, 2])
    assert shares.take("a") == 1
    shares.stop()
    assert shares.take("a") is None


class Clock:
    """Of made-up machines."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def run_one(shares: Shares, clock: Clock, machine: str, share_s: float) -> None:
    number = shares.take(machine)
    assert number is not None
    clock.now += share_s
    shares.finish(number)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("is_lost", [False, True])
def test_the_last_ones_are_left_to_machines_that_would_have_done_them_sooner(is_lost: bool) -> None:
    """Two wait: ten seconds each on the slow machine, one on the fast one, which does both unless it is lost."""
    clock = Clock()
    shares = Shares(range(4), clock)
    run_one(shares, clock, "slow", 10.0)
    run_one(shares, clock, "fast", 1.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shares.take, "slow")
        third = shares.take("fast")
        assert third == 2
        sleep(0.05)
        assert not waiting.done()
        if is_lost:
            shares.give_back(third)
            assert waiting.result(timeout=5) == third
            return
        clock.now += 1.0
        shares.finish(third)
        run_one(shares, clock, "fast", 1.0)
        assert waiting.result(timeout=5) is None


@pytest.mark.timeout(20)
def test_a_slow_machine_works_as_long_as_it_holds_nobody_up() -> None:
    clock = Clock()
    shares = Shares(range(20), clock)
    run_one(shares, clock, "slow", 10.0)
    run_one(shares, clock, "fast", 1.0)
    assert shares.take("slow") == 2, "the 18 that wait would take the fast one 18 s"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("share_s", [1.0, 1.2])
def test_equal_machines_share_the_last_ones(share_s: float) -> None:
    """None takes exactly as long as another."""
    clock = Clock()
    shares = Shares(range(4), clock)
    for name, took_s in zip("abc", (share_s, 1.0, 1.0), strict=True):
        run_one(shares, clock, name, took_s)
    assert shares.take("a") == 3
