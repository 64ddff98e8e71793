"""Where a worker that is a fresh interpreter begins.

Run as ``python -m m2bench.worker.spawned_worker REQUEST EVENTS LIFELINE``.

Neither torch nor what uses it is imported before ``main``: every data-loading process that the worker spawns imports
this module as well, because it is the worker's ``__main__``, and needs a small part of what the worker does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from m2bench.processes.json_lines import send

from .dispatch import jobs_for


def main() -> None:
    """Do the job of the request, a JSON document; its events go to the descriptor EVENTS.

    LIFELINE: a descriptor that ends when the launcher does, however it went.
    """
    request, events, lifeline = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    sys.exit(jobs_for(request).run(request, lambda event: send(events, event)))


def _end_with(lifeline: int) -> None:
    """Wait for the end of the lifeline; then end the worker and what it has started, which is its process group."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
