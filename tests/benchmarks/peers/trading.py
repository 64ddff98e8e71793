"""The trading system with some layers, at the number of threads with which it is fastest here. Prints one JSON line.

Without layers it is the plain trainer in PyTorch, which has one environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from m2bench.machine.cpu import PASSIVE_WAITING

os.environ.update({name: os.environ.get(name, value) for name, value in PASSIVE_WAITING.items()})  # before torch is

import torch
from contestant import asked, timed

from m2bench.machine.identity import fast_cores
from m2bench.records.spec import WorkloadSpec
from m2bench.run.threads import candidates, fewest_fast
from m2bench.systems.defaults import load_system
from m2bench.worker.thread_times import time_threads


def main() -> None:
    words = asked(__doc__)
    options = {"num_envs": words.num_envs} if words.num_envs > 1 else {}
    spec = WorkloadSpec(device="cpu", options=options)
    layers = tuple(words.layers)
    with TemporaryDirectory() as folder:
        work, workload = Path(folder), load_system(spec)
        workload.describe(spec, work)
        threads = fewest_fast(time_threads(workload, spec, work, [layers], candidates(fast_cores())))
        torch.set_num_threads(threads)
        system = workload.build(spec, work, layers, 0)

        def run() -> float:
            for _ in range(2):  # every second one steps the macro part as well
                system.update()
            system.synchronize()
            system.check_finite()
            return 2.0 * system.episodes_per_update

        timed(run, words.seconds, num_envs=words.num_envs, threads=threads)
        system.close()


if __name__ == "__main__":
    main()
