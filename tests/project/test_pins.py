"""The Pythons that are supported are the same everywhere, and the check of the pins finds what is wrong with them."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from types import ModuleType

import pytest
import yaml
from packaging.utils import canonicalize_name
from repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PINS, LOWEST = script("pins"), script("lowest")


def test_the_same_pythons_are_named_everywhere() -> None:
    supported = [f"3.{minor}" for minor in range(11, 15)]
    assert supported == PINS.PYTHONS
    assert PROJECT["project"]["requires-python"] == f">={supported[0]}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{supported[0]}".replace(".", "")
    assert f"Python {supported[0]} to {supported[-1]}" in (ROOT / "README.md").read_text()
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert jobs["linux"]["strategy"]["matrix"]["python"] == supported
    assert {supported[0], supported[-1]} <= set(jobs["macos"]["strategy"]["matrix"]["python"])


def test_every_pin_is_one_version() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 50
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+(; .+)?", line) for line in lines)


NEEDS = {
    "nothing": ("", []),
    "what is pinned": ("mdurl>=0.1", []),
    "another version": ("mdurl>=2", ["rich needs mdurl>=2, and 0.1.2 is pinned"]),
    "what is not pinned": ("colorama", ["rich needs colorama, which is not pinned"]),
    "on another system": ("colorama; sys_platform == 'win32'", []),
    "for an older Python": ("colorama; python_version < '3.12'", []),
    "for this Python": (
        "colorama; python_version > '3.13'", ['rich needs colorama; python_version > "3.13", which is not pinned'],
    ),
    "with an extra that nobody asks for": ("colorama; extra == 'all'", []),
    "of another package, with an extra": (
        "mdurl[more]", ['mdurl needs slow; extra == "more", which is not pinned'],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NEEDS)
def test_a_pin_that_lacks_what_it_needs_is_told(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line, expected = NEEDS[case]
    monkeypatch.setattr(PINS, "PROJECT", {"name": "m2bench", "dependencies": ["rich"], "optional-dependencies": {}})
    pinned = {
        "rich": {"version": "15.0", "requires_dist": [line] if line else []},
        "mdurl": {"version": "0.1.2", "requires_dist": ["slow; extra == 'more'"]},
    }
    assert PINS.unmet(pinned, {"python_version": "3.14", "sys_platform": "linux"}) == expected


def test_what_the_project_needs_is_pinned() -> None:
    """Its extras as well; here by name alone, since the versions are asked of the wheels."""
    named = {canonicalize_name(line.name) for line in PINS.PINS}
    needs = PINS.needs({}, {"sys_platform": "darwin", "python_version": "3.11"})
    assert {canonicalize_name(need.name) for _, need in needs} <= named


def test_the_lowest_versions_are_those_that_are_allowed() -> None:
    needs = ["torch>=2.11", "m2bench[data]", "pytest", "zeus-apple-silicon>=1.0.4; sys_platform == 'darwin'"]
    assert LOWEST.lowest(needs) == ["torch==2.11", "zeus-apple-silicon==1.0.4; sys_platform == 'darwin'"]


def test_all_that_users_install_has_a_lowest_version() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    needs = [*PROJECT["project"]["dependencies"], *(need for name in extras if name != "dev" for need in extras[name])]
    assert len(LOWEST.lowest(needs)) == len(needs) > 15


def test_the_lowest_versions_are_tried_in_the_oldest_python() -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["lowest"]
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert PROJECT["project"]["requires-python"] == f">={python}"
