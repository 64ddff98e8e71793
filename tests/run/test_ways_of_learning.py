"""What a run of ``ablate --factors`` finds out before its first trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from made_run import description_document

from m2bench.errors import UserError
from m2bench.options.run_spec import RunSpec
from m2bench.processes.client import Launcher
from m2bench.records.description import Description
from m2bench.records.documents import read
from m2bench.records.factors_spec import Factors
from m2bench.records.spec import WorkloadSpec
from m2bench.run import run_ablation
from m2bench.systems.trading.options import LEARNING_FACTORS

NOBODY = cast(Launcher, None)


def described(options: dict[str, Any]) -> Description:
    """A system that is described as its options are: one layer needs REINFORCE, another one compiles."""
    document = description_document(("batching", "data-parallel", "compile"))
    ppo = options.get("algorithm") == "ppo"
    document["layers"][1]["unsupported"] = "its processes learn by REINFORCE" if ppo else None
    document["layers"][2]["compiles"] = True
    stages = "in two stages" if options.get("curriculum") else "none"
    document["system"] = {**document["system"], "facts": {"market": "m", "curriculum": stages}}
    return read(Description, document)


def described_with(monkeypatch: pytest.MonkeyPatch, *layers: str) -> Description:
    monkeypatch.setattr(run_ablation, "describe", lambda launcher, workload, logs: described(workload.options))
    factors = Factors(LEARNING_FACTORS, layers[:1], crossed=layers[1:])
    spec = RunSpec(layers, (), blocks=2, seed=0, workload=WorkloadSpec(), factors=factors)
    return run_ablation._described_with(factors, NOBODY, spec, described({}), Path())


def test_the_record_says_what_is_trained_without_and_with_the_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    found = described_with(monkeypatch, "batching")
    assert found.system.facts == {"market": "m", "curriculum": "none or in two stages"}
    assert replace(found, system=described({}).system) == described({})


def test_a_layer_that_cannot_be_with_all_factors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match=r"layer data-parallel cannot run here: its processes .*Leave it out of --with or"
    ):
        described_with(monkeypatch, "batching", "data-parallel")


def test_a_layer_whose_compiling_would_count_as_training_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="the layer compile compiles while it trains"):
        described_with(monkeypatch, "batching", "compile")
