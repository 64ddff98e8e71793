"""Lines of a user's function, for messages that say which one to change."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any

from .raised import as_named

DEFINED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def place_of(function: Callable[..., Any], parameter: str | None = None) -> str:
    """The file and line of a function, or of one of its parameters, as ``my_trainer.py:12``."""
    tree, offset = _tree(function)
    nodes = [*ast.walk(tree)]  # the outer ones before the inner ones
    arguments = [node.lineno for node in nodes if isinstance(node, ast.arg) and node.arg == parameter]
    defined = [node.lineno for node in nodes if isinstance(node, DEFINED)]
    return _place(function, offset + (*arguments, *defined, 1)[0])


def place_of_step(function: Callable[..., Any]) -> str | None:
    """The line of the optimizer's step in a function, with its text; None where none is found."""
    tree, offset = _tree(function)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "step":
            text = ast.unparse(node)
            if "opt" in text.lower():  # optimizer.step(), scaler.step(opt), and neither env.step nor scheduler.step
                return f"{_place(function, node.lineno + offset)}: {text}"
    return None


def undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that stands in the source, without what decorators and ``partial`` make of it."""
    while isinstance(function, partial):
        function = function.func
    inner: Callable[..., Any] = inspect.unwrap(function)
    return inner


def _place(function: Callable[..., Any], line: int) -> str:
    return f"{as_named(inspect.getsourcefile(undecorated(function)) or '')}:{line}"


def _tree(function: Callable[..., Any]) -> tuple[ast.Module, int]:
    """The function as written, and how many lines come before it; an empty tree where it cannot be read alone."""
    lines, first = inspect.getsourcelines(undecorated(function))
    try:
        return ast.parse(textwrap.dedent("".join(lines))), first - 1
    except SyntaxError:  # a lambda within a statement
        return ast.Module([], []), first - 1
