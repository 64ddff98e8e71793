"""Checks constraints.txt for every supported Python, on Linux x86-64 and macOS arm64, by the metadata of the wheels.

Every line has a wheel there, and whatever the project with all its extras or a line needs has a line that satisfies it:
then an installation there takes these versions, whichever machine asks. pip alone could not tell: it reads markers
such as sys_platform for the machine that it runs on. Nothing is installed, and of large wheels little is fetched.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] not in ("", "#")]
VERSION = "Programming Language :: Python :: 3."
PYTHONS = [line.removeprefix(VERSION[:-2]) for line in PROJECT["classifiers"] if line.startswith(VERSION)]
# The oldest systems that torch has wheels for: glibc 2.28 (of each wheel the tag may name an older one), macOS 14.
PLATFORMS = {
    "Linux": ("linux", "x86_64", ["manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"]
              + [f"manylinux_2_{minor}_x86_64" for minor in range(5, 29)]),
    "Darwin": ("darwin", "arm64", ["macosx_14_0_arm64"]),
}  # fmt: skip
CUDA = ("cuda-", "nvidia-", "triton")  # torch says itself which of them it needs

Metadata = dict[str, Any]


def main() -> None:
    """Print a line for every Python and platform, and what is wrong; exit code 1 when something is."""
    targets = [(python, system) for python in PYTHONS for system in PLATFORMS]
    with ThreadPoolExecutor(4) as pool:
        problems = list(pool.map(lambda target: examine(*target), targets))
    for (python, system), found in zip(targets, problems, strict=True):
        print(
            f"Python {python} on {system}:",
            "; ".join(found) or "every pin has a wheel, and its needs are pinned",
        )
    sys.exit(any(problems))


def examine(python: str, system: str) -> list[str]:
    """What is wrong with the pins for this Python and platform."""
    platform, machine, tags = PLATFORMS[system]
    environment = {
        "python_version": python, "python_full_version": f"{python}.0", "implementation_version": f"{python}.0",
        "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix",
        "sys_platform": platform, "platform_system": system, "platform_machine": machine,
    }  # fmt: skip
    pins = [pin for pin in PINS if pin.marker is None or pin.marker.evaluate(environment)]
    options = [word for tag in tags for word in ("--platform", tag)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--only-binary=:all:", "--quiet",
         "--use-feature=fast-deps", "--report=-", "--python-version", python, *options, "--target", "nowhere",
         *(f"{pin.name}{pin.specifier}" for pin in pins)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return [line for line in done.stderr.splitlines() if line.startswith("ERROR: Could not find")] or [done.stderr]
    wheels = [wheel["metadata"] for wheel in json.loads(done.stdout)["install"]]
    return unmet({canonicalize_name(wheel["name"]): wheel for wheel in wheels}, environment)


def unmet(pinned: dict[str, Metadata], environment: dict[str, str]) -> list[str]:
    """What the project or a pinned package needs in this environment and no pin satisfies."""
    found = set()
    for who, need in needs(pinned, environment):
        name = canonicalize_name(need.name)
        version = pinned[name]["version"] if name in pinned else None
        if version is None and not name.startswith(CUDA):
            found.add(f"{who} needs {need}, which is not pinned")
        elif version is not None and not need.specifier.contains(version, prereleases=True):
            found.add(f"{who} needs {need}, and {version} is pinned")
    return sorted(found)


def needs(pinned: dict[str, Metadata], environment: dict[str, str]) -> Iterator[tuple[str, Requirement]]:
    """Who needs what: the project with all its extras, and every pinned package with those that are asked for."""
    own = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    waiting = [(PROJECT["name"], "", own)]
    waiting += [(name, "", wheel.get("requires_dist", [])) for name, wheel in pinned.items()]
    while waiting:
        who, extra, lines = waiting.pop()
        for need in map(Requirement, lines):
            name = canonicalize_name(need.name)
            if name == PROJECT["name"] or (need.marker and not need.marker.evaluate(environment | {"extra": extra})):
                continue  # its own extras are among its lines
            yield who, need
            if name in pinned:
                waiting += [(name, asked, pinned[name].get("requires_dist", [])) for asked in need.extras]


if __name__ == "__main__":
    main()
