"""The trading system with some layers, at the number of threads with which it is fastest here. Prints one JSON line.

Without layers it is the plain trainer in PyTorch, which has one environment.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from contestant import asked, fastest_threads, timed

from m2bench.records.spec import WorkloadSpec

UPDATES = 2  # in one call: every second one steps the macro part as well


def main() -> None:
    import torch

    from m2bench.systems.defaults import load_system

    words = asked(__doc__)
    spec = WorkloadSpec(device="cpu", options={"num_envs": words.num_envs} if words.num_envs > 1 else {})
    workload = load_system(spec)
    with TemporaryDirectory() as folder:
        workload.describe(spec, Path(folder))
        system = workload.build(spec, Path(folder), tuple(words.layers), 0)

        def run() -> float:
            for _ in range(UPDATES):
                system.update()
            system.synchronize()
            system.check_finite()
            return float(UPDATES * system.episodes_per_update)

        threads = fastest_threads(run, torch.set_num_threads)
        timed(run, words.seconds, num_envs=words.num_envs, threads=threads)
        system.close()


if __name__ == "__main__":
    main()
