"""``pytest --m2bench``: the gate as tests, one for each thing it judges. pytest loads it where m2bench is."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sysconfig
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from .aspects import ASPECTS, unchecked, undecided, wrong

DEFAULT = "--base HEAD~1"

Document = dict[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that switches the gate on."""
    parser.addoption(
        "--m2bench",
        nargs="?",
        const=DEFAULT,
        type=_options,
        metavar="OPTIONS",
        help="Run the gate `m2bench check` as tests; with other options than the default in one word: "
        f'--m2bench="--base main".  [default: {DEFAULT!r}]',
    )


def _options(text: str) -> str:
    """Refuse a word that holds no options: whoever wrote it after --m2bench meant the tests to be run."""
    if text.startswith("-"):
        return text
    raise argparse.ArgumentTypeError(
        f"{text!r} is no option of m2bench check. Name tests to be run before it (pytest tests --m2bench), and give "
        f'options in one word (--m2bench="{DEFAULT}").'
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to measure beside other tests: they would take the processor from it."""
    if config.getoption("--m2bench") is not None and config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            "--m2bench measures speed, and tests that xdist runs beside it would disturb that. Run it with -n 0."
        )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the gate's tests after all others."""
    options = config.getoption("--m2bench")
    if options is not None:
        gate = Gate(shlex.split(options), config.rootpath)
        items += [GateItem.from_parent(session, name=f"m2bench check: {aspect}", gate=gate) for aspect in ASPECTS]


class Gate:
    """One check in ``folder``, run once: when the first of its tests asks for it."""

    def __init__(self, options: list[str], folder: Path):
        self.options = options
        self.folder = folder

    @property
    def strict(self) -> bool:
        return "--strict" in self.options

    def document(self) -> Document:
        """What the check found; pytest's failure, with its message, when there is no verdict."""
        if not self._done.stdout:
            pytest.fail(self._done.stderr.strip(), pytrace=False)
        document: Document = json.loads(self._done.stdout)
        return document

    @cached_property
    def _done(self) -> subprocess.CompletedProcess[str]:
        program = Path(sysconfig.get_path("scripts")) / "m2bench"
        command = [str(program), "check", *self.options, "--json"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)


class GateItem(pytest.Item):
    """The test of one aspect of the gate's verdict."""

    def __init__(self, *, gate: Gate, **arguments: Any):
        super().__init__(**arguments)
        self.gate = gate
        if self.config.pluginmanager.hasplugin("timeout"):  # without it the marker is unknown, and may be an error
            self.add_marker(pytest.mark.timeout(0))  # a gate takes minutes

    def runtest(self) -> None:
        """Fail for what is wrong in this aspect, skip for what is undecided."""
        document = self.gate.document()
        failures, doubts = wrong(document, self.aspect), undecided(document, self.aspect)
        if failures or (doubts and self.gate.strict):
            pytest.fail("\n".join([*failures, *doubts, f"Again: {document['reproduce']}"]), pytrace=False)
        if skipped := [*doubts, *unchecked(document, self.aspect)]:
            pytest.skip("; ".join(skipped))

    @property
    def aspect(self) -> str:
        return self.name.partition(": ")[2]

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says that the test stands."""
        return self.config.rootpath, None, self.name
