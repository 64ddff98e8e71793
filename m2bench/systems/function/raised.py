"""What a user's code raises, as one line that says where in their code it happened."""

from __future__ import annotations

import os
import re
import sysconfig
import textwrap
import traceback
from pathlib import Path
from types import TracebackType

import torch

import m2bench
from m2bench.errors import TrainerError, UserError

LONGEST = 300  # characters of a message

_OURS = f"{Path(str(m2bench.__file__)).parent}{os.sep}"
_TORCH = f"{Path(torch.__file__).parent}{os.sep}"
_PYTHONS = ("<", *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib")))
_LIBRARIES = re.compile(r"[/\\](site|dist)-packages[/\\]")


class UsersCode:
    """Held while the user's code runs: raise TrainerError in place of what it raises, with the line that led there.

    An order to end the program is an error as well; an interruption passes.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, (TrainerError, UserError)):
            raise TrainerError(said(error)) from error


def said(error: BaseException) -> str:
    """What was raised, in one line, with the last line of the user's code on the way there."""
    place = _place(error)
    return f"{_what(error)} ({place})" if place else _what(error)


def as_named(file: str) -> str:
    """A file as the user would name it: from the folder that they work in, where it lies there."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def is_library(file: str) -> bool:
    """Whether a file is installed, and none of the user's own."""
    return file.startswith((_OURS, *_PYTHONS)) or bool(_LIBRARIES.search(file))


def _what(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ends the program: sys.exit({error.code!r})"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["(no message)"]
    told = 2 if lines[0].endswith(":") else 1  # a heading says nothing
    return textwrap.shorten(f"{type(error).__name__}: {' '.join(lines[:told])}", LONGEST, placeholder=" ...")


def _place(error: BaseException) -> str | None:
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return f"{as_named(error.filename)}:{error.lineno}"
    frames = [*_frames(error), *_frames(error.__cause__)]  # a StopIteration within a generator is but a cause
    # A trainer may itself be installed among the libraries.
    own = [each for each in frames if not _LIBRARIES.search(each.filename)] or [
        each for each in frames if not each.filename.startswith(_TORCH)
    ]
    return f"{as_named(own[-1].filename)}:{own[-1].lineno}: {own[-1].line}" if own else None


def _frames(error: BaseException | None) -> list[traceback.FrameSummary]:
    """The lines that an error came through, without Python's own and ours."""
    found = [] if error is None else traceback.extract_tb(error.__traceback__)
    return [
        each for each in found if not each.filename.startswith((_OURS, *_PYTHONS)) or _LIBRARIES.search(each.filename)
    ]
