"""``pytest --m2bench``: the gate as tests, one for each thing it judges. pytest loads it where m2bench is."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from .reasons import Aspect

DEFAULT = "--base HEAD~1"
VERDICTS = (0, 2, 3, 4)  # exit codes of a check that came to one
PREFIX = "m2bench check: "  # of the names of its tests


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
    try:
        shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be split into words: {error}.") from error
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
        items += [
            GateItem.from_parent(session, name=f"{PREFIX}{aspect}", gate=gate, aspect=aspect) for aspect in Aspect
        ]


@dataclass(frozen=True)
class Suite:
    """The tests that a check is made of, as JUnit has them, and the command that runs it again."""

    cases: ElementTree.Element
    reproduce: str

    def messages(self, aspect: Aspect, outcome: str) -> list[str]:
        """What the tests of this aspect say that are a ``failure``, or ``skipped``."""
        found = [case for case in self.cases.iter("testcase") if _aspect_of(case) is aspect]
        return [element.get("message", "") for case in found for element in case.findall(outcome)]


def _aspect_of(case: ElementTree.Element) -> Aspect:
    """Counts, and learning and numerics, are one test each; all others are of the speed."""
    return next((aspect for aspect in Aspect if aspect == case.get("name")), Aspect.SPEED)


class Gate:
    """One check in ``folder``, run once: when the first of its tests asks for it."""

    def __init__(self, options: list[str], folder: Path):
        self.options = options
        self.folder = folder

    def suite(self) -> Suite:
        """What the check found; pytest's failure, with its message, when there is no verdict."""
        if isinstance(self._found, str):
            pytest.fail(self._found, pytrace=False)
        return self._found

    @cached_property
    def _found(self) -> Suite | str:
        program = Path(sysconfig.get_path("scripts")) / "m2bench"
        with tempfile.TemporaryDirectory() as folder:
            parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
            parser.add_argument("--junit", type=Path, default=Path(folder) / "check.xml")
            asked, others = parser.parse_known_args(self.options)
            command = [str(program), "check", *others, "--json", "--junit", str(asked.junit)]
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
            if done.returncode not in VERDICTS:
                return done.stderr.strip()
            (cases,) = ElementTree.parse(self.folder / asked.junit).getroot()
            return Suite(cases, json.loads(done.stdout)["reproduce"])


class GateItem(pytest.Item):
    """The test of one aspect of the gate's verdict."""

    def __init__(self, *, gate: Gate, aspect: Aspect, **arguments: Any):
        super().__init__(**arguments)
        self.gate = gate
        self.aspect = aspect
        if self.config.pluginmanager.hasplugin("timeout"):  # without it the marker is unknown, and may be an error
            self.add_marker(pytest.mark.timeout(0))  # a gate takes minutes

    def runtest(self) -> None:
        """Fail for what is wrong in this aspect, skip for what is undecided."""
        suite = self.gate.suite()
        if failures := suite.messages(self.aspect, "failure"):
            pytest.fail("\n".join([*failures, f"Again: {suite.reproduce}"]), pytrace=False)
        if skipped := suite.messages(self.aspect, "skipped"):
            pytest.skip("; ".join(skipped))

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where pytest says that the test stands."""
        return self.config.rootpath, None, self.name
