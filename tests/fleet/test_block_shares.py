"""What is handed out to machines is done once by each, and again where a machine was lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from m2bench.fleet.block_shares import MOST_TRIES, Shares


def test_every_share_is_taken_once() -> None:
    shares = Shares(range(100))

    def machine() -> list[int]:
        done = []
        while (number := shares.take()) is not None:
            done.append(number)
            shares.finish(number)
        return done

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(machine) for _ in range(4)]
    assert sorted(number for each in found for number in each.result()) == list(range(100))


def test_who_is_free_waits_for_what_another_may_give_back() -> None:
    shares = Shares([7])
    assert shares.take() == 7
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shares.take)
        sleep(0.05)
        assert not waiting.done()
        assert shares.give_back(7)
        assert waiting.result(timeout=5) == 7


def test_what_no_machine_can_finish_is_given_up() -> None:
    shares = Shares([7])
    again = []
    for _ in range(MOST_TRIES):
        shares.take()
        again.append(shares.give_back(7))
    assert again == [True] * (MOST_TRIES - 1) + [False]


@pytest.mark.timeout(20)
def test_nothing_is_handed_out_after_the_end() -> None:
    shares = Shares([1, 2])
    assert shares.take() == 1
    shares.stop()
    assert shares.take() is None
