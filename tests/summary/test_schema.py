"""What is written of a run is what the documented schema says, judged by an independent validator."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from made_run import FULL, SPEC, make_record, make_run
from planted_scale import CPU1, GPU, SET, crossing_at, scale_spec, summary_of
from repository import ROOT
from simulated_ways import Truth, spec_of, trials_of

from m2bench.findings.compare_machines import compare_machines
from m2bench.findings.summarize_ablation import summarize
from m2bench.findings.summarize_factors import summarize_factors
from m2bench.records.documents import to_json
from m2bench.records.scale_spec import Point
from m2bench.report.write_report import write_side_by_side
from m2bench.summary.ablation_summary import Summary
from m2bench.summary.factors_summary import FactorsSummary
from m2bench.summary.machines_summary import SideBySide
from m2bench.summary.scale_summary import ScaleSummary
from m2bench.summary.schema import json_schema

COMMITTED = json.loads((ROOT / "docs" / "summary.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(COMMITTED)


def sample() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "reports" / "sample" / "summary.json").read_text())
    return found


def test_the_committed_schema_is_that_of_the_types() -> None:
    assert json_schema(Summary) == COMMITTED, "write it: python -m m2bench.summary.schema > docs/summary.schema.json"
    jsonschema.Draft202012Validator.check_schema(COMMITTED)


def test_the_committed_schema_of_scale_is_that_of_its_types_and_holds_for_a_run() -> None:
    committed = json.loads((ROOT / "docs" / "scale-summary.schema.json").read_text())
    written = "write it: python -m m2bench.summary.schema scale > docs/scale-summary.schema.json"
    assert json_schema(ScaleSummary) == committed, written
    lost = {Point(SET, GPU, {"num_envs": 512}).name: "out of memory (512)"}
    for blocks in (1, 3):
        summary = summary_of(scale_spec(CPU1, GPU, blocks=blocks), crossing_at(64), faults=lost)
        jsonschema.Draft202012Validator(committed).validate(json.loads(json.dumps(to_json(summary))))


def test_the_committed_schema_of_ways_of_learning_is_that_of_their_types_and_holds_for_a_run() -> None:
    committed = json.loads((ROOT / "docs" / "factors-summary.schema.json").read_text())
    written = "write it: python -m m2bench.summary.schema factors > docs/factors-summary.schema.json"
    assert json_schema(FactorsSummary) == committed, written
    spec = spec_of(crossed=("batching",))
    trials = [*trials_of(spec, Truth(), np.random.default_rng(0))]
    for done in (0, 20, len(trials)):
        found = to_json(summarize_factors("run", make_record(spec), trials[:done]))
        jsonschema.Draft202012Validator(committed).validate(json.loads(json.dumps(found)))


def test_the_committed_schema_of_runs_side_by_side_is_that_of_its_types_and_holds_for_what_compare_writes(
    tmp_path: Path,
) -> None:
    """One of the runs has an interval, one has too few trials, one has nothing of a layer."""
    committed = json.loads((ROOT / "docs" / "side-by-side-summary.schema.json").read_text())
    written = "write it: python -m m2bench.summary.schema side-by-side > docs/side-by-side-summary.schema.json"
    assert json_schema(SideBySide) == committed, written
    kinds = {"known": replace(SPEC, blocks=3), "scant": SPEC, "other": replace(SPEC, layers=("amp",))}
    with ExitStack() as stack:
        stores = [stack.enter_context(make_run(tmp_path / name, spec=spec)) for name, spec in kinds.items()]
        write_side_by_side(compare_machines(stores), tmp_path / "out")
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [figure and bool(figure["interval"]) for figure in found["layers"][1]["figures"]] == [True, False, None]
    validator = jsonschema.Draft202012Validator(committed)
    validator.validate(found)
    del found["layers"][0]["figures"][0]["value"]
    assert not validator.is_valid(found)


def test_the_sample_is_valid() -> None:
    VALIDATOR.validate(sample())


@pytest.mark.parametrize("trials", [0, 3, None], ids=["none", "some", "all"])
def test_a_run_is_valid_however_far_it_came(trials: int | None, tmp_path: Path) -> None:
    with make_run(tmp_path / "run", spec=SPEC, trials=trials) as store:
        VALIDATOR.validate(json.loads(json.dumps(to_json(summarize("run", store.record(), store.trials())))))


def test_a_run_with_everything_is_valid(tmp_path: Path) -> None:
    spec = replace(FULL, layers=("batching", "amp"))
    with make_run(tmp_path / "run", spec=spec) as store:
        found = json.loads(json.dumps(to_json(summarize("run", store.record(), store.trials()))))
    assert found["learning"]["cells"]
    VALIDATOR.validate(found)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found.pop("combinations"),
        lambda found: found["layers"][0].pop("shapley_ci"),
        lambda found: found["layers"][0].update(shapley="27.7"),
        lambda found: found["layers"][0].update(shapley_ci=[1.0]),
        lambda found: found["layers"][0].update(verdict="good"),
        lambda found: found["noise"].update(aa_ratio_ci=found["noise"].pop("aa_ci")),
        lambda found: found["combinations"][0]["phase_ms_per_episode"].update(loss=None),
        lambda found: found.update(unfinished="never"),
        lambda found: found.update(more=1),
    ],
)
def test_a_document_that_is_otherwise_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    found = sample()
    spoil(found)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(found)


def test_what_fields_mean_is_in_the_schema() -> None:
    properties = COMMITTED["$defs"]["CombinationRow"]["properties"]
    assert properties["speedup"]["description"] == "Over the baseline, from its own trials."
    assert "share of the measured peak" in properties["mfu"]["description"], "of a flat record"
