"""Hosts that are named: Dask is started on each over SSH, and nothing of it is left there.

The server is not OpenSSH's (ssh_hosts.py); what SSHCluster does, the keys and the user's configuration are real.
"""

from __future__ import annotations

import _thread
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import matplotlib
import pytest
from commands import typed
from launched import once, still_in, wait_until
from machines import Machines
from repository import PAGES, ROOT, commands_of
from ssh_hosts import SshHosts

from m2bench.errors import UserError
from m2bench.fleet import parent
from m2bench.store.fleet import events_of, folders_of_kinds
from m2bench.store.results_database import Store

ASKED = (
    "--workload", "fake_workload", "--quick", "--threads", "1", "--layers", "amp,batching", "--design", "full",
    "--learning", "off",
)  # fmt: skip


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("machines")) as found:
        yield found


@pytest.fixture
def reached(machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHosts]:
    """Two hosts that can be reached, as the user's own configuration of SSH says."""
    monkeypatch.setattr(parent, "LOOK_S", 0.2)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())  # where its fonts are known
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with (
        SshHosts(machines, tmp_path / "home", "one", "two") as found,
        (tmp_path / "home/.ssh/config").open("a") as file,
    ):
        file.write("Host closed\n  HostName 127.0.0.1\n  Port 1\n")
        file.flush()
        yield found


def ablate(folder: Path, *asked: str) -> CompletedProcess[str]:
    return typed("ablate", *ASKED, *asked, "--out", "run", cwd=folder)


def started_on(reached: SshHosts) -> list[tuple[str, str]]:
    """Where Dask was started."""
    return [(host, command) for host, command in reached.commands if "dask_spec" in command]


def assert_nothing_runs(reached: SshHosts) -> None:
    wait_until(lambda: not reached.running(), 10)
    assert not [process for process in still_in(reached.machines.folder) if "m2bench-" in process.info["cwd"]]


def trials_of(run: Path) -> int:
    found = 0
    for folder in folders_of_kinds(run).values():
        with suppress(UserError), Store.open(folder) as store:  # it is just being begun
            found += len(store.attempts())
    return found


def test_a_scheduler_and_a_worker_per_host_are_started_and_ended(reached: SshHosts, tmp_path: Path) -> None:
    """By the page's command. A host that cannot be reached stops all, and is left out where asked to."""
    (command,) = (each for each in commands_of(PAGES[ROOT / "docs" / "several-machines.md"]) if "--hosts" in each)
    words = shlex.split(command)
    names, out, asked = words.index("--hosts") + 1, words[words.index("--out") + 1], [*ASKED[:-4], "--learning", "off"]
    words[names : names + 1] = ["one,two,closed", "--blocks", "1"]
    refused = typed(*words[1:], *asked, cwd=tmp_path)
    assert refused.returncode == 1
    assert "closed cannot be reached (" in refused.stderr
    assert "Nothing was started" in refused.stderr
    assert not started_on(reached)
    assert not (tmp_path / out).exists()
    done = typed(*words[1:], *asked, "--skip-unreachable", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert started_on(reached)[0][0] == "one"
    assert sorted(host for host, _ in started_on(reached)) == ["one", "one", "two"]
    assert {event.machine for event in events_of(tmp_path / out) if "takes part" in event.text} == {"one", "two"}
    assert "Left out: closed cannot be reached" in done.stdout
    assert_nothing_runs(reached)


def test_an_interruption_ends_dask_on_all_hosts(reached: SshHosts, tmp_path: Path) -> None:
    running: list[str] = []

    def interrupt() -> None:
        running.extend(reached.running())
        _thread.interrupt_main()

    with once(lambda: trials_of(tmp_path / "run"), interrupt):
        done = ablate(tmp_path, "--blocks", "50", "--hosts", "one,two")
    assert done.returncode == 130
    assert "--resume run --hosts one,two" in done.stderr
    assert len(running) == 3, "a scheduler and two workers"
    assert_nothing_runs(reached)


def test_hosts_without_m2bench_are_named(reached: SshHosts, tmp_path: Path) -> None:
    done = ablate(tmp_path, "--hosts", "one,two", "--remote-python", "/opt/no such/python")
    assert done.returncode == 1
    assert "one has no m2bench[fleet] for '/opt/no such/python' (sh: /opt/no such/python: not found)" in done.stderr
    assert "two has no m2bench" in done.stderr
    assert not started_on(reached)
