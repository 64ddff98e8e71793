"""CPU time, what disturbs, and what makes processes steady. No library: the launcher of workers imports this."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

# A thread without work sleeps, with either OpenMP runtime, libgomp and libomp, which read this when they are loaded.
PASSIVE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def kept_memory() -> dict[str, str]:
    """What glibc reads at the start so that memory which is freed stays with the process; nothing where it is not used.

    It would give large blocks back to the system and fetch them anew, or not, by how the heap happens to lie:
    docs/decisions/032-memory-is-kept.md. Before 2.35 it takes no higher threshold for mapping than 32 MiB.
    """
    with suppress(AttributeError, OSError, ValueError):  # this system does not tell, or has another library
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        if name == "glibc":
            major, minor = (int(part) for part in version.split(".")[:2])
            mapped_from = 2**32 if (major, minor) >= (2, 35) else 2**25
            return {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(mapped_from)}
    return {}


STEADY = {**PASSIVE_WAITING, **kept_memory()}
"""What every worker has in its environment, unless the shell says otherwise."""
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
