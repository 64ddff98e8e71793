"""CPU time, and how threads wait for work; without any library, since the launcher of workers imports this."""

from __future__ import annotations

import resource

# A thread without work sleeps, with either OpenMP runtime, libgomp and libomp, which read this when they are loaded.
PASSIVE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def spent_cpu_s() -> float:
    """Seconds of all cores that this process and those it has waited for have used."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)
