"""What the headline says of a run in which nothing can be recommended."""

from __future__ import annotations

from collections.abc import Callable

from made_run import STARTED, description_document, make_record, result

from m2bench.findings.summarize_ablation import summarize
from m2bench.options.run_spec import RunSpec
from m2bench.plan.designs import make_trials
from m2bench.records.combinations import Layers
from m2bench.records.results import NumericsCheck, Proof, TrialResult
from m2bench.records.spec import TrialSpec
from m2bench.report.headline import MOST_CHARACTERS, headline
from m2bench.store.stored_trial import StoredTrial

Ended = tuple[str, TrialResult | None]


def headline_of(layers: Layers, ended: Callable[[TrialSpec], Ended], unsupported: Layers = ()) -> tuple[str, str]:
    """That of a run of all combinations in two blocks, whose trials ended so."""
    document = description_document(layers)
    document["workload"]["target"] = None
    for layer in document["layers"]:
        layer["unsupported"] = "it needs a GPU" if layer["name"] in unsupported else None
    record = make_record(RunSpec(layers, ("full",), 2, seed=0, learning="off"), document)
    trials = []
    for trial in make_trials(record.spec):
        status, found = ended(trial)
        trials.append(StoredTrial(trial, STARTED, 1.0, status, None if status == "ok" else "why", None, found))
    return headline(summarize("run", record, trials))


def with_proofs(trial: TrialSpec, idle: Layers) -> TrialResult:
    return result(100.0, proofs={layer: Proof(layer not in idle, {}, "its dtype is float32") for layer in trial.layers})


def test_layers_that_did_nothing_are_named() -> None:
    def ended(trial: TrialSpec) -> Ended:
        return ("not-engaged" if trial.layers else "ok"), with_proofs(trial, trial.layers)

    what, advice = headline_of(("amp", "fused"), ended)
    assert what == "No recommendation: amp and fused did nothing."
    assert "switch" in advice
    assert len(advice) < MOST_CHARACTERS
    assert headline_of(("a", "b", "c", "d"), ended)[0] == "No recommendation: 4 layers did nothing."


def test_layers_that_cannot_run_here_are_named() -> None:
    def ended(trial: TrialSpec) -> Ended:
        return ("unsupported", None) if trial.layers else ("ok", result(100.0))

    what, advice = headline_of(("amp",), ended, unsupported=("amp",))
    assert what == "No recommendation: amp cannot run here."
    assert "--layers" in advice


def test_several_reasons_are_said_together() -> None:
    def ended(trial: TrialSpec) -> Ended:
        if "compile" in trial.layers:
            return "unsupported", None
        return ("not-engaged" if trial.layers else "ok"), with_proofs(trial, trial.layers)

    what, _ = headline_of(("amp", "compile"), ended, unsupported=("compile",))
    assert what == "No recommendation: amp did nothing; compile cannot run here."


def test_failures_and_other_numerics_are_counted() -> None:
    def failed(trial: TrialSpec) -> Ended:
        return ("failed", None) if trial.layers else ("ok", result(100.0))

    def changed(trial: TrialSpec) -> Ended:
        return "ok", result(100.0, numerics={"gradient": NumericsCheck(not trial.layers, {}, "off")})

    assert headline_of(("amp",), failed)[0] == "No recommendation: 1 of 2 combinations failed."
    assert headline_of(("amp",), changed)[0] == "No recommendation: 1 of 2 combinations computed something else."


def test_layers_that_work_are_recommended_without_such_reasons() -> None:
    def ended(trial: TrialSpec) -> Ended:
        return "ok", result(200.0 if trial.layers else 100.0)

    assert headline_of(("amp",), ended)[0].startswith("Switch on")
