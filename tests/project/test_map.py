"""What the map in CONTRIBUTING.md and the notes say of files is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from repository import ROOT

MAP = re.findall(r"^\| `([\w/.]+)` \| .* \| ?(.*) \|$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M)
PAGES = [ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/decisions/*.md")]


def test_the_map_has_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "m2bench").glob("*/__init__.py")}
    assert {Path(folder).name for folder, _ in MAP} >= rooms | {"baselines", "optimizations", "tests"}


@pytest.mark.parametrize(("folder", "start"), MAP)
def test_what_the_map_names_is_there(folder: str, start: str) -> None:
    assert all((ROOT / folder / file).is_file() for file in re.findall(r"`([\w/]+\.py)`", start))
    assert (ROOT / folder).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_modules_that_a_page_names_are_there(page: Path) -> None:
    """With their whole path, or from their room on."""
    named = re.findall(r"`(\w+/[\w/]+\.py)`", page.read_text())
    assert [
        file
        for file in named
        if not any((ROOT / top / file).is_file() for top in ("", "m2bench", "m2bench/report", "tests"))
    ] == []
