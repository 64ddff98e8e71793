"""The harness knows no layer of the trading system by its name, no option of one, and not its unit.

It gets them from what the system tells of itself. What is allowed all the same stands here, with the reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import m2bench
import m2bench.baselines
import m2bench.optimizations
from m2bench.optimizations import LAYERS
from m2bench.systems.trading.options import TradingOptions

PACKAGE = Path(str(m2bench.__file__)).parent
TRADING = PACKAGE / "systems" / "trading"
"""The one room that may name them; baselines and optimizations, which it is made of, are no rooms of the harness."""
ALLOWED = {
    "records/earlier.py": "what the trading system was, when systems did not describe themselves",
    "report/charts/style.py": "&amp; of HTML",
    "machine/mps_features.py": "torch's own features, which are called so: compile, amp",
    "machine/checks.py": "torch.compile, as torch calls it",
    "systems/command/toggles.py": "an example of a toggle",
    "systems/function/declared.py": "an example of a layer's name",
    "systems/function/parameters.py": "an example of a parameter",
    "systems/function/template.py": "an example of a trainer",
}
NAMES = {*LAYERS} | {option.name for option in fields(TradingOptions)}
KEYS = {
    "policy": "a learning target is a policy's in any system that learns",
    "compile": "a word of English",
    "episodes": "a key of learning curves and of requests",
}
UNIT = re.compile(r"\b[Ee]pisodes?\b")


def harness_files() -> list[Path]:
    outside = {TRADING, *(Path(str(part.__file__)).parent for part in (m2bench.baselines, m2bench.optimizations))}
    found = [path for path in sorted(PACKAGE.rglob("*.py")) if not outside & {*path.parents}]
    return [path for path in found if str(path.relative_to(PACKAGE)) not in ALLOWED]


def texts(tree: ast.AST) -> Iterator[str]:
    """All string constants of a module, also within f-strings, but for docstrings."""
    explained = {
        node.value
        for body in ast.walk(tree)
        if isinstance(body, ast.Module | ast.ClassDef | ast.FunctionDef)
        for node in body.body
        if isinstance(node, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in explained:
            yield node.value


def words_of(tree: ast.AST) -> set[str]:
    """Words of all texts, and the names of attributes and parameters; ``grad-accumulation`` is one word."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    return names | {word for text in texts(tree) for word in re.findall(r"[\w-]+", text)}


@pytest.mark.parametrize("path", harness_files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_harness_names_no_layer_no_option_and_no_unit(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not words_of(tree) & (NAMES - {*KEYS}), path
    assert not [text for text in texts(tree) if UNIT.search(text) and text not in KEYS], path


def test_what_is_allowed_is_there() -> None:
    """A reason for what is gone would hide what comes back."""
    for name in ALLOWED:
        tree = ast.parse((PACKAGE / name).read_text())
        assert words_of(tree) & {*NAMES, "episode", "episodes", "batching"}, name


def test_a_name_is_found_wherever_it_stands() -> None:
    source = '"""About batching."""\nx = f"with {y} and dataloader"\nspec.num_workers\nf(policy=1)\nz = "an episode"\n'
    tree = ast.parse(source)
    assert words_of(tree) & NAMES == {"dataloader", "num_workers", "policy"}
    assert [text for text in texts(tree) if UNIT.search(text)] == ["an episode"]
