"""The comparison with peers (peers/compare.py), by planted speeds: each at its best size, ratios within rounds."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

COMPARE = runpy.run_path(str(Path(__file__).parent / "peers" / "compare.py"))


def test_a_planted_ratio_comes_back_whatever_a_round_did_to_both() -> None:
    drift = [0.0, 0.4, -0.3, 0.1]
    wobble = [0.01, -0.01, 0.01, -0.01]
    logs = {
        (COMPARE["RECOMMENDED"], 32): [math.log(16_000) + d for d in drift],
        (COMPARE["RECOMMENDED"], 512): [math.log(45_000) + d + w for d, w in zip(drift, wobble, strict=True)],
        (COMPARE["JAX"], 32): [math.log(15_000) + d for d in drift],
        (COMPARE["JAX"], 512): [math.log(14_000) + d for d in drift],
    }
    assert COMPARE["best_sizes"](logs) == {COMPARE["RECOMMENDED"]: 512, COMPARE["JAX"]: 32}
    said = COMPARE["sentences"](logs)
    assert [line for line in said if " / " in line] == ["recommended set / JAX: 3.00x [2.95, 3.06], each at its best"]
