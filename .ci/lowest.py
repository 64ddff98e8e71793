"""Prints a constraints file with the lowest version that pyproject.toml allows of everything that has a lower bound.

To try them: python3 .ci/lowest.py >lowest.txt; .venv/bin/pip install -c lowest.txt -e ".[dev]" (in a new one).
What they need themselves comes in the newest version that suits them.
"""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
NEED = re.compile(r"([\w.-]+)>=([\w.]+)(;.*)?")


def lowest(needs: list[str]) -> list[str]:
    """The line of each need that has a lower bound, with its marker."""
    found = filter(None, map(NEED.fullmatch, needs))
    return [f"{need[1]}=={need[2]}{need[3] or ''}" for need in found]


if __name__ == "__main__":
    print(*lowest([*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]), sep="\n")
