"""What a report says in sentences, from the summary."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from m2bench.findings.noise import aa_in_words, drift_in_words
from m2bench.machine.checks import warnings_of_machine
from m2bench.records.combinations import BASELINE, Layers, combination_name
from m2bench.records.description import Device, Machine
from m2bench.records.documents import read
from m2bench.records.errors import quoted
from m2bench.records.spec import WorkloadSpec
from m2bench.records.wrong_device import mark_of
from m2bench.text.figures import digits, is_known, percent, percent_within, times, times_between, times_within, within

Document = dict[str, Any]


def machine_name(summary: Document) -> str:
    """What a reader calls the machine: its GPU where that has a memory of its own, else its chip."""
    machine = summary["machine"]
    name = machine["device_name"] if "device_memory_mb" in machine else machine["chip"]
    return f"{name} ({summary['device']})"


def compared(summary: Document) -> dict[str, Document]:
    """The combinations that are looked at closely, by what they are; none where the baseline has no figure.

    The baseline, the recommended one and the fastest one, under both names where these are the same; the baseline
    alone where there is nothing to recommend it against.
    """
    measured = {tuple(c["layers"]): c for c in summary["combinations"] if c["speedup"] is not None}
    if BASELINE not in measured:
        return {}
    roles: dict[Layers, list[str]] = {BASELINE: ["baseline"]}
    if summary["recommended"] is not None:
        for role, chosen in (("recommended", summary["recommended"]), ("fastest", summary["best"])):
            roles.setdefault(tuple(chosen["layers"]), []).append(role)
    return {", ".join(names): measured[layers] for layers, names in roles.items()}


def recommended(summary: Document) -> Document | None:
    """The recommended combination; None where the run does not recommend any."""
    advice = summary["recommended"]
    return next((c for c in summary["combinations"] if advice and c["layers"] == advice["layers"]), None)


def headlines(summary: Document) -> list[str]:
    """The main results, the first first: what to switch on, what is faster, which layers gain, what learns soonest."""
    return [
        f"{marked(_first_headline(summary), summary)}.",
        *_sentence(_unfinished(summary)),
        *_sentence(_by_time_headline(summary)),
        *_sentence(_fastest_headline(summary)),
        *_sentence(what_layers_are_worth(summary)),
        *_sentence("" if _is_soonest(summary) else soonest_headline(summary)),  # else the first one says it
    ]


def marked(text: str, summary: Document) -> str:
    """A title or first sentence, which says so where the figures come from a device that computes wrongly."""
    return text + mark_of(summary)


def warnings(summary: Document) -> list[str]:
    """What can make every figure doubtful: for the place right under the first headline."""
    found = (
        *warnings_of_machine(read(Machine, summary["machine"]), read(Device, summary["machine"])),
        *summary["noise"]["conditions"]["warnings"],
    )
    return [f"Warning: {warning}." for warning in found]


PHASES = {"speed": "Speed phase", "learning": "Learning phase", "sweep": "Sweep of environments"}


def _first_headline(summary: Document) -> str:
    """The recommendation; of a run that is not finished, as what it is so far, for this line is read alone."""
    found, phase = _recommended_headline(summary), summary["unfinished"]
    return found if phase is None else f"{PHASES[phase]} not finished: so far {found[0].lower()}{found[1:]}"


def _recommended_headline(summary: Document) -> str:
    """What to switch on, how much faster, how sure; that it is not settled comes first."""
    advice = summary["recommended"]
    if advice is None:
        measured = sum(c["speedup"] is not None for c in summary["combinations"])
        return f"No set of layers can be recommended: {measured or 'no'} combination{'s' * (measured != 1)} measured"
    name, where = combination_name(advice["layers"]), f"On this {machine_name(summary)}"
    if not advice["settled"]:
        # Of a run that was stopped, what it is to do yet may tell.
        where = f"Not settled yet{'' if summary['unfinished'] == 'speed' else _more_blocks(summary)}. {where}"
    speed = f"{within(advice['episodes_per_min'], advice['episodes_per_min_ci'])} episodes/min"
    undecided = f"; undecided: {_listed(advice['undecided'])}" if advice["undecided"] else ""
    if not advice["layers"]:
        helps = any(x["ratio_ci"] is not None and x["ratio_ci"][0] > 1 for x in advice["left_out"])
        none = "no set that was measured has only layers that are" if helps else "no layer is"
        return f"{where} {none} shown to help, so none is recommended over the baseline, {speed}{undecided}"
    sooner = f", and reaches the learning target {_gain(summary)}" if _is_soonest(summary) else ""
    return (
        f"{where} switch on {name}: it trains {times_within(advice, 'speedup')} as fast as the baseline, "
        f"at {speed}{sooner}{undecided}"
    )


def _more_blocks(summary: Document) -> str:
    """How many more blocks would settle it, where that is known."""
    more = summary["recommended"]["more_blocks"]
    if more is None and "full" not in summary["workload"]["spec"]["design"]:
        return ": this design cannot tell the best sets apart, and --all may"
    if more is None:
        return ": trials scatter or fail too much here to tell the best sets apart"
    return f": about {more} more block{'s' * (more != 1)} would tell"


def _is_soonest(summary: Document) -> bool:
    """Whether the recommended combination is the one that learns soonest, by a known gain over the baseline."""
    chosen, soonest = recommended(summary), summary["soonest"]
    if chosen is None or soonest is None or summary["soonest_gain"] is None or not is_known(summary["soonest_gain_ci"]):
        return False
    return bool(chosen["layers"] == soonest["layers"] != [])


def _gain(summary: Document) -> str:
    """How many times sooner than the baseline the soonest combination reaches the learning target."""
    ends = summary["soonest_gain_ci"]
    unsure = "" if ends is not None and ends[0] > 1 else " (not shown)"
    return f"{times_within(summary, 'soonest_gain')} sooner{unsure}"


def _unfinished(summary: Document) -> str:
    """What is done and what is not, of a run that was stopped."""
    done, planned = summary["trials_done"], summary["trials_planned"]
    learned = summary["learning"]["trials"]
    missing = {
        "speed": f"{done} of {planned} speed trials are done, and another set may be recommended in the end",
        "learning": f"all {planned} speed trials are done, but not all learning trials ({learned or 'none'} so far), "
        "and another set may be recommended in the end",
        "sweep": "all trials are done but those of the sweep",
    }
    phase = summary["unfinished"]
    return "" if phase is None else f"This run is not finished: {missing[phase]}"


def _fastest_headline(summary: Document) -> str:
    """How the fastest combination stands to the recommended one; nothing where it is the same."""
    fastest = summary["recommended"] and summary["recommended"]["fastest"]
    if not fastest:
        return ""
    name, ends = combination_name(fastest["layers"]), fastest["ratio_ci"]
    ratio = times_within(fastest, "ratio")
    if ends is None or ends[0] <= 1:
        return f"Of all combinations {name} is estimated to be fastest, {ratio} the speed of this, which is not shown"
    return f"The fastest, {name}, trains {ratio} as fast as this, but {fastest['but']}"


def _by_time_headline(summary: Document) -> str:
    """What the time to the learning target would choose, where that is another set than the speed chooses."""
    by_time = summary["recommended"] and summary["recommended"]["by_time"]
    if not by_time or by_time["layers"] == summary["recommended"]["by_speed"]:
        return ""
    name, sooner = combination_name(by_time["layers"]), times_within(by_time, "sooner")
    by_speed = combination_name(summary["recommended"]["by_speed"])
    if not is_known(by_time["sooner_ci"]):
        return f"By the time to the learning target {name} would be chosen; how much sooner it is is not known"
    if by_time["shown"]:
        return f"It is chosen by the time to the learning target, which it reaches {sooner} sooner than {by_speed}"
    return (
        f"By the time to the learning target {name} would be chosen, estimated to reach it {sooner} sooner than "
        f"{by_speed}, which is not shown"
    )


def _sentence(text: str) -> list[str]:
    return [f"{text}."] if text else []


def what_layers_are_worth(summary: Document) -> str:
    """Who makes the gains, who does nothing, who costs; by Shapley values and their intervals."""
    known, gains = [layer for layer in summary["layers"] if layer["shapley_ci"] is not None], summary["gains"]
    costing = sorted((x for x in known if x["shapley_ci"][1] < 1), key=lambda x: float(x["shapley"]))
    nothing = [layer for layer in known if layer["shapley_ci"][0] <= 1 <= layer["shapley_ci"][1]]
    said = []
    if gains is not None:
        verb = "makes" if len(gains["makers"]) == 1 else "make"
        said.append(f"{_listed(gains['makers'])} {verb} {_share(gains)} of the gains before costs")
    if costing:
        said.append(
            _listed([f"{layer['name']} costs {_loss(layer['shapley'], layer['shapley_ci'])}" for layer in costing])
        )
    mixed = [layer for layer in nothing if any(_shown(layer, name) for name in ("alone", "last"))]
    said += [_mixed(layer) for layer in mixed]
    without = [layer["name"] for layer in nothing if layer not in mixed]
    if without:
        said.append(
            f"{'no' if said else 'No'} effect is shown of {_listed(without)}, alone, added last, or averaged over all "
            "orders of switching layers on"
        )
    return "; ".join(said)


def _shown(layer: Document, name: str) -> bool:
    ends = layer[f"{name}_ci"]
    return ends is not None and not ends[0] <= 1 <= ends[1]


def _mixed(layer: Document) -> str:
    """Of a layer that does something in some places, and on average nothing that is shown."""
    return (
        f"{layer['name']} depends on the others, with {times_within(layer, 'alone')} alone and "
        f"{times_within(layer, 'last')} added last, and no effect shown on average"
    )


def _share(gains: Document) -> str:
    if gains["makers"] == gains["layers"]:
        return "all"
    if not is_known(gains["share_ci"], "%"):
        return "an unknown share"
    return percent_within(gains, "share") + ("" if gains["share_ci"] else " (by a model, so without an interval)")


def _loss(ratio: float, interval: list[float]) -> str:
    """What a ratio below 1 takes away."""
    return within(100 * (1 - ratio), [100 * (1 - end) for end in reversed(interval)], "%") + " of the speed"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def soonest_headline(summary: Document) -> str:
    """What has learned soonest, and whether it is shown to be sooner than the baseline; nothing where nothing has."""
    soonest = summary["soonest"]
    if soonest is None:
        return ""
    if not soonest["layers"]:
        return "No combination reaches the learning target sooner than the baseline"
    first = f"The learning target is reached soonest with {'+'.join(soonest['layers'])}"
    if summary["soonest_gain"] is None:
        return f"{first}, of those whose time to it is known; the baseline's is not"
    if not is_known(summary["soonest_gain_ci"]):
        return f"{first}; how much sooner than by the baseline is not known"
    return f"{first}: {_gain(summary)} than by the baseline"


def _at_most(share: float) -> str:
    return "less than 0.01 %" if share < 1e-4 else f"at most {share:.2%}"


MOST_RIVALS = 4  # named
STATES = {
    "costs": "costs more than it brings",
    "negligible": "gains nothing that matters",
    "undecided": "undecided",
    "helps": "a gain, but beside it another layer is not shown to help",
    "unknown": "undecided, without an interval",
    "spoils": "learns otherwise from the same episodes",
    "changed": "computes something else",
    "failed": "trials of it failed",
    "not-engaged": "was not at work",
    "unsupported": "cannot run here",
}
STATES_BY_TIME = STATES | {
    "costs": "reaches the learning target later",
    "negligible": "reaches the learning target no sooner by what matters",
    "undecided": "undecided by the time to the learning target",
}


def recommendation(summary: Document, folder: Path | None = None) -> list[str]:
    """What each layer of the recommended set is worth there, what the others would do, and what is as good.

    Last what to do next with the run in ``folder``.
    """
    advice = summary["recommended"]
    if advice is None:
        return []
    lines = []
    if advice["layers"]:
        kept = ", ".join(f"{_ratio(x)} without {x['layer']}" for x in advice["kept"])
        lines.append(
            f"Recommended: {combination_name(advice['layers'])}. Each layer in it is shown to help, given the others"
            f"{', by the speed or the time to the learning target' if advice['basis'] != 'speed' else ''}; with one "
            f"fewer its speed would be {kept}."
        )
    if advice["left_out"]:
        added = ", ".join(f"{_ratio(x)} with {x['layer']} ({_state(x)})" for x in advice["left_out"])
        lines.append(f"With one layer more its speed would be {added}.")
    lines += _rivals(advice)
    if advice["excluded"]:
        lines.append(f"{advice['excluded']}.")
    resume = f"m2bench ablate --resume {'DIR' if folder is None else quoted(folder)}"
    if summary["unfinished"] == "speed":
        lines.append(f"Go on with: {resume}")
    elif advice["more_blocks"]:
        lines.append(f"Add blocks with: {resume} --more-blocks {advice['more_blocks']}")
    return lines


def _state(layer: Document) -> str:
    return (STATES_BY_TIME if layer["by_time"] else STATES)[layer["state"]]


def _ratio(layer: Document) -> str:
    return "an unknown share" if layer["ratio"] is None else times_within(layer, "ratio")


def _rivals(advice: Document) -> list[str]:
    """The sets that are not shown to be worse than the recommended one, the best first."""
    rivals = advice["rivals"]
    if not rivals:
        return []
    named = ", ".join(
        f"{combination_name(rival['layers'])} ({times_within(rival, 'ratio')})" for rival in rivals[:MOST_RIVALS]
    )
    more = f", and {len(rivals) - MOST_RIVALS} more" if len(rivals) > MOST_RIVALS else ""
    return [f"Not shown to be worse than this: {named}{more}."]


TRAIN_OPTIONS = {
    "device": "--device",
    "data": "--data",
    "num_envs": "--num-envs",
    "episode_length": "--episode-length",
    "policy": "--policy",
    "lr_scaling": "--lr-scaling",
    "compile_backend": "--compile-backend",
    "module": "--workload",
}
NEEDS = {"num_envs": "batching", "compile_backend": "compile"}
"""Options that mean nothing without a layer."""


def train_command(summary: Document) -> str | None:
    """The command that trains the recommended set as it was measured."""
    if summary["recommended"] is None:
        return None
    layers = summary["recommended"]["layers"]
    words = ["m2bench", "train", *(["--with", ",".join(layers)] if layers else [])]
    usual = asdict(WorkloadSpec())
    for name, value in summary["workload"]["spec"]["workload"].items():
        if name in TRAIN_OPTIONS and value != usual[name] and NEEDS.get(name) in (None, *layers):
            words += [TRAIN_OPTIONS[name], str(value)]
    return shlex.join(words)


def claims(summary: Document) -> list[str]:
    """One sentence per layer on what was claimed for it."""
    return [f"{layer['name']}: {layer['verdict_sentence']}." for layer in summary["layers"] if layer["verdict"]]


def remarks(summary: Document) -> list[str]:
    """What a reader must know to weigh the figures."""
    spec = summary["workload"]["spec"]
    notes = [
        f"{summary['trials_done']} of {summary['trials_planned']} speed trials done, in {spec['blocks']} "
        f"block{'s' if spec['blocks'] > 1 else ''}. One trial is one process and one observation; ratios are from "
        "least squares on logarithms with a level for every mini-block, with t intervals."
    ]
    notes += summary["workload"].get("market_remarks", [])
    notes += _noise_notes(summary["noise"])
    notes.append(_numerics_note(summary))
    notes += _learning_notes(summary)
    notes.append(
        "Memory is the peak of the device's allocator; on the CPU that of the trial's main process, torch included, "
        "without processes that load data."
    )
    notes.append(
        "The phases come from a stretch after the timed window, in which the device is waited for at the end of each "
        "(waiting for the feed is from the timed window); they divide the time and never state the speed."
    )
    notes.append(
        "Operators dispatched, values read by the host (on a GPU each is a wait for the device) and matrix-product "
        "operations are counted apart from the timed window, without preparing the episodes; what a compiler has fused "
        f"is not among the operators. Utilization is {_utilization_of(summary)}."
        + " The matrix-product peak is the most this machine was measured to do in float32: "
        f"{summary['peak_flops'] / 1e9:,.0f} GFLOP/s; products of a lower precision are held against it as well."
    )
    missing = {f"{name}: {why}" for c in summary["combinations"] for name, why in c["telemetry_not_available"].items()}
    notes += [f"Not available of the machine ({found})." for found in sorted(missing)]
    return notes


def _utilization_of(summary: Document) -> str:
    """What the column is a share of, by what the trials told (usage.py)."""
    if "device_telemetry" in summary["machine"]:
        return "of the GPU"
    if any(c["telemetry"]["own_cpu_share"] is not None for c in summary["combinations"]):
        return "the share of all cores that the trial's own processes used"
    return "of all cores together"


def _noise_notes(noise: Document) -> list[str]:
    """How noisy the machine was, and what that hides."""
    again = _sentence(_run_again(noise["conditions"]))
    if noise["aa_typical"] is None:
        return again
    within = times_between(noise["aa_ratio"], noise["aa_ci"])
    pairs = f"{noise['aa_pairs']} pair{'s' if noise['aa_pairs'] > 1 else ''}"
    notes = [
        f"A/A test: identical baselines, one half of them against the other, give {within} "
        f"({pairs}), {aa_in_words(noise['aa_ci'])}. Two of them next to each other lay {times(noise['aa_typical'])} "
        f"apart (median; worst {times(noise['aa_worst'])}).",
        *again,
    ]
    spread = noise["conditions"]["canary_spread"]
    if spread is not None:
        related = "" if noise["conditions"]["canary_related"] else "not shown to be "
        notes.append(
            f"A fixed computation beside the trials took {times(spread)} as long at slow times as at fast ones (5th and"
            f" 95th percentile); trials are {related}slower at its slow times."
        )
    if noise["drift"] is not None:
        notes.append(f"From the first to the last of them {drift_in_words(noise['drift'], noise['drift_ci'])}.")
    if noise["min_detectable"] is not None:
        notes.append(
            f"One trial scatters by {noise['trial_sd']:.1%}; the smallest main effect that this run finds in 80 % of "
            f"cases is {noise['min_detectable'] - 1:.1%}."
        )
    if len(noise["scatter_groups"]) > 1:
        groups = ", ".join(f"{_group(group)} by {group['sd']:.1%}" for group in noise["scatter_groups"])
        notes.append(f"Trials do not all scatter alike: {groups}. Every interval is made of its own trials' scatter.")
    if noise["window_error"] is not None:
        notes.append(
            f"Within its window a trial's mean is known to {noise['window_error']:.1%} (median standard error; worst "
            f"{noise['window_error_worst']:.1%}); reading the clock takes {_at_most(noise['timer_share_worst'])} of an "
            "update."
        )
    if noise["outliers"]:
        notes.append(
            f"Outliers, kept in all figures: {', '.join(noise['outliers'])}. Main effects by a robust fit stand in "
            "summary.json."
        )
    if noise["lack_of_fit_p"] is not None and noise["lack_of_fit_p"] < 0.05:
        notes.append(
            "Interactions of three or more layers matter here (lack of fit of the second-order model, p = "
            f"{noise['lack_of_fit_p']:.2g}): a main effect is an average over very different combinations."
        )
    return notes


def _run_again(conditions: Document) -> str:
    """How many trials were run a second time because of other load."""
    count = conditions["repeated_trials"]
    if count:
        trials, them = (f"{count} trials were", "them") if count > 1 else ("1 trial was", "it")
        return (
            f"{trials} run again at the end of a block, since other processes kept cores busy beside {them}; figures "
            "rest on the attempt beside the lesser load"
        )
    return "No trial was run again because of other load" if conditions["busy_trials"] else ""


def _group(group: Document) -> str:
    """Which trials scatter alike: ``with batching and without amp``."""
    parts = [
        f"{word} {_listed(layers)}" for word, layers in (("with", group["on"]), ("without", group["off"])) if layers
    ]
    return " and ".join(parts)


def _numerics_note(summary: Document) -> str:
    """What the gates found, and what they cost."""
    verdicts = [c["numerics"] for c in summary["combinations"] if c["numerics"] is not None]
    changed = verdicts.count("changed")
    if not verdicts:
        return "No combination has been compared with the plain trainer yet."
    spent = summary["gates"]["prepare_s"] + summary["gates"]["trials_s"]
    found = (
        f"{changed} of {len(verdicts)} combinations compute something else than the plain trainer: see the status "
        "column. They keep their figures and are never called best"
        if changed
        else f"All measured combinations ({len(verdicts)}) compute what the plain trainer computes, within the "
        "contract of their layers"
    )
    draws = [found for c in summary["combinations"] if c["gates"] for found in c["gates"].get("draws", ())]
    ties = (
        f"{sum(d['rounding_ties'] for d in draws):,} rounding ties in {sum(d['draws'] for d in draws):,} drawn actions"
    )
    return (
        f"{found} (loss and gradients against a float64 referee, drawn actions, updates, and the episodes consumed; "
        f"{ties}; {digits(spent)} s of the run)."
    )


def _learning_notes(summary: Document) -> list[str]:
    """How learning was measured, and what went wrong with it."""
    learning, target = summary["learning"], summary["learning"]["target"]
    if learning["mode"] == "off":
        return ["Learning was not measured (--learning off)."]
    if target is None:
        return [
            "Learning was not measured: no policy is known to be good on this market, and its held-out part is too "
            "short or too volatile to tell from luck whether one has learned to save trading costs."
        ]
    policy = "greedy policy" if target["measure"] == "greedy" else "policy, drawing its actions,"
    start = target["ignorant_return"]
    come_from = f" on the way there from {digits(start)} %, drawing at random" if start else ""
    notes = [
        f"Target: the {policy} makes {digits(target['return'])} % per held-out episode (mean of "
        f"{learning['evaluations_averaged']} evaluations), {target['share']:.0%} of what {target['good_policy']} makes "
        f"({digits(target['good_return'])} %){come_from}. Time to target is episodes to target / episodes per minute, "
        "without compiling.",
        f"Learning is the same where two learning curves lie within {learning['margin']:.0%} of what there is to "
        f"learn, over the same episodes, and the episodes to the target within {learning['episodes_margin']}x (two "
        "one-sided tests at 5 %; a seed is one observation; intervals 95 %), or where the gates prove it. Gain "
        "surviving: of a gain in episodes/min that is shown, what is left of it as time to target; a net loss: the "
        "target is reached later than by the baseline all the same. "
        f"{learning['trials']} learning trials (rounds of one seed: {learning['rounds']}) took "
        f"{digits(learning['elapsed_s'])} s, {percent(learning['share_of_run'])} of the trials' time.",
    ]
    reasons = Counter(
        c["time_to_target_reason"] for c in summary["combinations"] if c["time_to_target_reason"] and c["trials"]
    )
    modelled = sum(c["time_to_target_modelled"] for c in summary["combinations"])
    if modelled:
        notes.append(
            f"* The time to target of {modelled} combinations is by a model: a layer in them was trained at other "
            "episodes per update only, and is taken to need as many times the episodes here. They are never called "
            "soonest."
        )
    notes += [
        f"No time to target for {count} combination{'s' * (count != 1)}: {reason}." for reason, count in reasons.items()
    ]
    return notes + [f"A learning trial has no result: {failure}." for failure in learning["failed"]]
