"""This repository: its folders, the commands that its documentation shows, and git as the tests run it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SUPPORT = Path(__file__).parent
ROOT = SUPPORT.parents[1]
PAGES = {path: path.read_text() for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
README = PAGES[ROOT / "README.md"]


def commands_of(page: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


COMMANDS = list(dict.fromkeys(command for page in PAGES.values() for command in commands_of(page)))
GATE = [command for command in COMMANDS if command.startswith(("m2bench check", "m2bench baseline"))]


def git(repo: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *arguments], cwd=repo, check=True, capture_output=True, text=True)
    return done.stdout.strip()
