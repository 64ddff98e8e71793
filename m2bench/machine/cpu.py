"""CPU time, what disturbs, how threads wait; without any library, since the launcher of workers imports this."""

from __future__ import annotations

import resource

# A thread without work sleeps, with either OpenMP runtime, libgomp and libomp, which read this when they are loaded.
PASSIVE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
# More than a desktop at rest keeps busy: of all cores, and at least.
BUSY_SHARE = 0.05
LEAST_BUSY_CORES = 0.2


def spent_cpu_s() -> float:
    """Seconds of all cores that this process and those it has waited for have used."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def busy_from(cores: int) -> float:
    """The number of cores, kept busy by others, from which on they disturb a machine that has so many."""
    return max(LEAST_BUSY_CORES, BUSY_SHARE * cores)
