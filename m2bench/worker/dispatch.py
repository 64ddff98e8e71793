"""Which module does the jobs of a system, and how what comes of one is answered."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import cast

from m2bench.errors import TrainerError, UserError
from m2bench.options.known_systems import PROGRAMS
from m2bench.processes.json_lines import JobRequest, WorkerEvent
from m2bench.records.documents import to_json
from m2bench.records.results import FailureKind

Send = Callable[[WorkerEvent], None]
Tell = Callable[[object], None]
"""Sends a record of what has come of a job so far."""


def jobs_for(request: JobRequest) -> ModuleType:
    """The module with the jobs of the system that a request names; it has a function ``run``.

    It is imported when it is needed: only one of the two needs torch.
    """
    is_program = request.get("workload", {}).get("module") in PROGRAMS
    return importlib.import_module("m2bench.worker.programs" if is_program else "m2bench.worker.job_handlers")


def telling(send: Send) -> Tell:
    """Sends records as events."""
    return lambda record: send(cast(WorkerEvent, {"event": "progress", **to_json(record)}))


def answer(job: Callable[[], object], send: Send) -> int:
    """Do a job and send its result, or why there is none; the exit code of the process."""
    try:
        result = to_json(job())
    except UserError as error:
        send({"event": "result", "error": str(error)})
        return 1
    except Exception as error:  # noqa: BLE001 (whatever went wrong in a trial is its result)
        text = str(error) if isinstance(error, TrainerError) else f"{type(error).__name__}: {_first_line(error)}"
        if any(_is_out_of_memory(each) for each in (error, error.__cause__)):
            return _failed("out of memory", f"out of memory ({text})", send)
        kind: FailureKind = "not finite" if isinstance(error, FloatingPointError) else "error"
        return _failed(kind, text, send)
    send({"event": "result", "result": result})
    return 0


def _failed(kind: FailureKind, text: str, send: Send) -> int:
    send({"event": "result", "failure": text, "kind": kind})
    with suppress(OSError):  # a full disk has no room for the log
        traceback.print_exc()
    return 1


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Whether it is what Python or one of torch's allocators raises where there is no room."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "(no message)"
