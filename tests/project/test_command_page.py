"""The commands in docs/your-command.md, in their order, as a reader types them."""

from __future__ import annotations

import gzip
import json
import shlex
import subprocess
from pathlib import Path

from commands import typed
from repository import PAGES, ROOT, commands_of

NUMBERS = 50_000
PAGE = PAGES[ROOT / "docs" / "your-command.md"]


def test_a_reader_of_the_page_can_type_its_commands(tmp_path: Path) -> None:
    """With one block where they have more, and a quarter of the numbers to sort."""
    for command in commands_of(PAGE):
        command = command.replace("200000", str(NUMBERS))
        arguments = shlex.split(command)
        if arguments[0] != "m2bench":
            subprocess.run(command, shell=True, cwd=tmp_path, check=True)
            continue
        if "--all" in arguments:
            arguments += ["--blocks", "1"]
        if "--more-blocks" in arguments:
            arguments[arguments.index("--more-blocks") + 1] = "1"
        done = typed(*arguments[1:], cwd=tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    summary = json.loads((tmp_path / "reports" / "sorting" / "summary.json").read_text())
    rows = {tuple(row["layers"]): row for row in summary["combinations"]}
    assert [*map(len, rows)] == [0, 1, 1, 2]
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert all(row["trials"] >= 2 for row in rows.values()), "the run was continued"
    logs = {name: (tmp_path / f"reports/sorting/logs/b1.{name}.log").read_text().strip() for name in ("fast", "bytes")}
    in_order = "".join(sorted(map("{}\n".format, range(1, NUMBERS + 1)), reverse=True)).encode()
    sizes = {name: len(gzip.compress(in_order, level)) for name, level in (("fast", 1), ("bytes", 9))}
    for name, size in sizes.items():
        assert abs(int(logs[name]) / size - 1) < 0.05, "another gzip compresses as well but for some bytes"
