"""Hosts that are reached by SSH: a server on 127.0.0.1 that is each of them, told apart by the user who logs in.

The server is asyncssh's. It runs commands as OpenSSH's does: in a process group of their own, which signals go to, and
which outlives the connection. What starts with Python is forked from the machines' server, which has Dask imported.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Thread

import asyncssh
from machines import Machines

LOOK_S = 0.02
NUMBERS = count()
"""Of what was started, on whichever hosts."""
CONFIG = """Host {name}
  HostName 127.0.0.1
  Port {port}
  User {name}
  IdentityFile {home}/.ssh/id
  UserKnownHostsFile {home}/.ssh/known
"""


class SshHosts:
    """Use as a context manager. ``home``: a home folder with the key and the configuration of a user of these hosts."""

    def __init__(self, machines: Machines, home: Path, *names: str):
        self.machines, self.home, self.names = machines, home, names
        self.commands: list[tuple[str, str]] = []
        self.pids: dict[str, int] = {}
        """Of all that was started with Python."""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> SshHosts:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _listen(self) -> None:
        folder = self.home / ".ssh"
        folder.mkdir(parents=True)
        host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        user.write_private_key(folder / "id")
        (folder / "id").chmod(0o600)
        user.write_public_key(folder / "allowed")
        self._server = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[host], authorized_client_keys=str(folder / "allowed"),
            process_factory=self._run,
        )  # fmt: skip
        port = self._server.sockets[0].getsockname()[1]
        (folder / "known").write_text(f"[127.0.0.1]:{port} {host.export_public_key().decode()}")
        (folder / "config").write_text(
            "".join(CONFIG.format(name=name, port=port, home=self.home) for name in self.names)
        )

    async def _run(self, process: asyncssh.SSHServerProcess[str]) -> None:
        name, command = process.get_extra_info("username"), process.command or ""
        self.commands.append((name, command))
        words = shlex.split(command)
        environment = {}
        if words[0] == "env":
            environment = dict(word.split("=", 1) for word in words[1 : words.index("-m") - 1])
            words = words[len(environment) + 1 :]
        if words[0] == "uname":
            process.exit(0)
        elif not Path(words[0]).exists():
            process.stderr.write(f"sh: {words[0]}: not found\n")
            process.exit(127)
        else:
            await self._fork(process, name, words[1:], environment)

    async def _fork(
        self, process: asyncssh.SSHServerProcess[str], host: str, words: list[str], environment: dict[str, str]
    ) -> None:
        name = f"{host}-{next(NUMBERS)}"
        self.machines.start(name, "python", host, arguments=words, environment=environment, trains=True)
        pid = self.pids[name] = self.machines.processes[name]
        killing = asyncio.create_task(_kill_when_told(process, pid))
        log, code = (self.machines.folder / f"{name}.{ending}" for ending in ("log", "rc"))
        told = 0
        while not process.is_closing():
            ended = code.exists() or not _is_there(pid)
            if log.exists():
                text = log.read_text()
                process.stderr.write(text[told:])
                told = len(text)
            if ended:
                process.exit(int(code.read_text()) if code.exists() else 137)
                break
            await asyncio.sleep(LOOK_S)
        killing.cancel()
        if not _is_there(pid):
            del self.machines.processes[name]  # which would be killed at last, and may be another one by then

    def running(self) -> list[str]:
        """The processes that are there."""
        return [name for name, pid in self.pids.items() if _is_there(pid)]


async def _kill_when_told(process: asyncssh.SSHServerProcess[str], pid: int) -> None:
    try:
        await process.stdin.read()
    except asyncssh.SignalReceived:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
