"""Writes what a run found: summary.json, impact.csv, report.md, and the tables in the terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from .analysis import summarize
from .errors import UserError
from .store import Store
from .tables import (
    Table,
    before_and_after_table,
    combinations_table,
    digits,
    groups_table,
    impact_remarks,
    impact_table,
    learning_table,
    percent,
    phases_table,
    responses_table,
    times,
    times_between,
    times_within,
)

PICTURE_WIDTH = 150  # characters


def write_report(store: Store) -> dict[str, Any]:
    """Write all files of the report from the stored trials alone; returns the summary.

    Raises UserError when a file cannot be written.
    """
    summary = summarize(store.folder.resolve().name, store.record(), store.trials())
    _write(store.folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    _write(store.folder / "impact.csv", _impact_csv(summary))
    _write(store.folder / "report.md", _markdown(summary))
    return summary


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written: {error.strerror}.", "Make room or give yourself access.") from error


def _impact_csv(summary: dict[str, Any]) -> str:
    columns = [
        "layer", "part", "difficulty", "priority", "claim_low", "claim_high", "alone", "last", "main_effect",
        "shapley", "shapley_ci_low", "shapley_ci_high", "share", "verdict", "episodes_needed", "time_to_target",
        "gain_surviving", "learning",
    ]  # fmt: skip
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for layer in summary["layers"]:
        claim, interval = layer["claim"], layer["shapley_ci"] or (None, None)
        row = {**layer, "layer": layer["name"], "claim_low": claim[0], "claim_high": claim[1]}
        row |= {"shapley_ci_low": interval[0], "shapley_ci_high": interval[1]}
        writer.writerow([row[column] for column in columns])
    return out.getvalue()


def report_tables(summary: dict[str, Any]) -> list[Table]:
    """The tables in the order in which they are shown."""
    tables = (
        combinations_table(summary),
        before_and_after_table(summary),
        phases_table(summary),
        responses_table(summary),
        groups_table(summary),
        learning_table(summary),
        impact_table(summary),
    )
    return [table for table in tables if table is not None]


def headline(summary: dict[str, Any]) -> str:
    """The main result: what trains fastest, and what has learned soonest."""
    best, soonest = summary["best"], summary["soonest"]
    if best is None:
        return "No combination has a figure yet."
    fastest = (
        f"On this {summary['device']} device the best combination, {'+'.join(best['layers']) or 'the baseline'}, "
        f"trains {times_within(best, 'speedup')} as fast as the baseline "
        f"({digits(best['episodes_per_min'])} episodes/min)."
    )
    baseline = next(c for c in summary["combinations"] if not c["layers"])
    if soonest is None or baseline["time_to_target_s"] is None:
        return fastest
    if not soonest["layers"]:
        return f"{fastest} But none reaches the learning target sooner than the baseline."
    sooner = times_within(summary, "soonest_gain")
    name = "+".join(soonest["layers"])
    return f"{fastest} The learning target is reached soonest with {name}, {sooner} as soon as by the baseline."


def remarks(summary: dict[str, Any]) -> list[str]:
    """What a reader must know to weigh the figures."""
    spec = summary["workload"]["spec"]
    notes = [
        f"{summary['trials_done']} of {summary['trials_planned']} trials done, in {spec['blocks']} "
        f"block{'s' if spec['blocks'] > 1 else ''}. One trial is one process and one observation; ratios are from "
        "least squares on logarithms with a level for every mini-block, with t intervals."
    ]
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
        "operations are counted apart from the timed window, without preparing the episodes; utilization is "
        + ("of the GPU." if "device_telemetry" in summary["machine"] else "of all cores together.")
        + " The matrix-product peak is the most this machine was measured to do in float32: "
        f"{summary['peak_flops'] / 1e9:,.0f} GFLOP/s."
    )
    return notes


def _noise_notes(noise: dict[str, Any]) -> list[str]:
    """How noisy the machine was, and what that hides."""
    notes = [f"Warning: {warning}." for warning in noise["conditions"]["warnings"]]
    if noise["aa_typical"] is None:
        return notes
    within = times_between(noise["aa_ratio"], noise["aa_ci"])
    pairs = f"{noise['aa_pairs']} pair{'s' if noise['aa_pairs'] > 1 else ''}"
    notes += [
        f"A/A test: identical baselines, one half of them against the other, give {within} "
        f"({pairs}). Two of them next to each other lay {times(noise['aa_typical'])} apart (median; worst "
        f"{times(noise['aa_worst'])})."
    ]
    if noise["drift"] is not None:
        notes.append(f"Over the run the baseline drifted to {times_within(noise, 'drift')} of its speed.")
    if noise["min_detectable"] is not None:
        notes.append(
            f"One trial scatters by {noise['trial_sd']:.1%}; the smallest main effect that this run finds in 80 % of "
            f"cases is {noise['min_detectable'] - 1:.1%}."
        )
    if noise["window_error"] is not None:
        notes.append(
            f"Within its window a trial's mean is known to {noise['window_error']:.1%} (median standard error; worst "
            f"{noise['window_error_worst']:.1%}); reading the clock takes at most {noise['timer_share_worst']:.2%} of "
            "an update."
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


def _recommendation(summary: dict[str, Any]) -> list[str]:
    """What to switch on, why, and what the rest would do."""
    advice = summary["recommended"]
    if advice is None:
        return []
    names = "+".join(advice["layers"])
    lines = [f"Recommended: {names or 'the baseline'}. {advice['why'][0].upper()}{advice['why'][1:]}."]
    if names:
        lines.append(f"Train it with: m2bench train --with {','.join(advice['layers'])}")
    known = [left for left in advice["left_out"] if left["ratio"] is not None]
    if known:
        effects = ", ".join(f"{left['layer']} {times_within(left, 'ratio')}" for left in known)
        lines.append(f"Left out, since adding it changes episodes/min by: {effects}.")
    return lines


def _numerics_note(summary: dict[str, Any]) -> str:
    """What the gates found, and what they cost."""
    verdicts = [c["numerics"] for c in summary["combinations"] if c["numerics"] is not None]
    changed = verdicts.count("changed")
    spent = summary["gates"]["prepare_s"] + summary["gates"]["trials_s"]
    found = (
        f"{changed} of {len(verdicts)} combinations compute something else than the plain trainer: see the status "
        "column. They keep their figures and are never called best"
        if changed
        else f"All {len(verdicts)} measured combinations compute what the plain trainer computes, within the contract "
        "of their layers"
    )
    draws = [found for c in summary["combinations"] if c["gates"] for found in c["gates"].get("draws", ())]
    ties = (
        f"{sum(d['rounding_ties'] for d in draws):,} rounding ties in {sum(d['draws'] for d in draws):,} drawn actions"
    )
    return (
        f"{found} (loss and gradients against a float64 referee, drawn actions, updates, and the episodes consumed; "
        f"{ties}; {digits(spent)} s of the run)."
    )


def _learning_notes(summary: dict[str, Any]) -> list[str]:
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
        "surviving: of a gain in episodes/min, what is left of it as time to target. "
        f"{learning['trials']} learning trials (rounds of one seed: {learning['rounds']}) took "
        f"{digits(learning['elapsed_s'])} s, {percent(learning['share_of_run'])} of the trials' time.",
    ]
    reasons = Counter(c["time_to_target_reason"] for c in summary["combinations"] if c["time_to_target_reason"])
    modelled = sum(c["time_to_target_modelled"] for c in summary["combinations"])
    if modelled:
        notes.append(
            f"* The time to target of {modelled} combinations is by a model: a layer in them was trained at other "
            "episodes per update only, and is taken to need as many times the episodes here. They are never called "
            "soonest."
        )
    notes += [f"No time to target for {count} combinations: {reason}." for reason, count in reasons.items()]
    return notes + [f"A learning trial has no result: {failure}." for failure in learning["failed"]]


def show_report(summary: dict[str, Any], folder: Path, console: Console) -> None:
    """Print the tables and where the report lies."""
    for table in report_tables(summary):
        draw_table(table, console)
        console.print()
    for remark in impact_remarks(summary):
        console.print(remark, markup=False, highlight=False)
    console.print(headline(summary), style="bold", highlight=False)
    for line in _recommendation(summary):
        console.print(line, highlight=False)
    for note in remarks(summary):
        console.print(f"- {note}", highlight=False)
    console.print(f"Report: {escape(str(folder / 'report.md'))}", highlight=False, soft_wrap=True)


def draw_impact(summary: dict[str, Any], path: Path) -> None:
    """Save the headline and the impact table as they look in a terminal, as one SVG without outside references."""
    console = Console(record=True, width=PICTURE_WIDTH, file=io.StringIO())
    console.print(headline(summary), style="bold", highlight=False)
    console.print()
    draw_table(impact_table(summary), console)
    for note in remarks(summary)[:2]:
        console.print(f"- {note}", highlight=False)
    # rich would have the reader's browser fetch a font from the network.
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.S)
    _write(path, console.export_svg(title="m2bench", code_format=template, unique_id="m2bench"))


def draw_table(table: Table, console: Console) -> None:
    """Print a table; names are shown, never obeyed as markup."""
    # A title of rich's own would be broken to the table's width.
    console.print(table.title, style="bold", markup=False, highlight=False)
    drawn = RichTable(header_style="bold")
    for column in table.columns:
        drawn.add_column(column, justify="right" if column in table.numeric else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(escape(cell) for cell in row))
    console.print(drawn)


def _markdown(summary: dict[str, Any]) -> str:
    lines = [f"# m2bench: {_plain(summary['run'])}", "", _plain(headline(summary)), ""]
    for line in _recommendation(summary):
        lines += [_plain(line), ""]
    for table in reversed(report_tables(summary)):
        lines += [f"## {_plain(table.title)}", "", *_markdown_table(table), ""]
        if table.title.startswith("Impact"):
            lines += [f"- {_plain(remark)}" for remark in impact_remarks(summary)] + [""]
    claims = [f"{layer['name']}: {layer['verdict_sentence']}" for layer in summary["layers"] if layer["verdict"]]
    if claims:
        lines += ["## The claims", "", *(f"- {_plain(claim)}" for claim in claims), ""]
    lines += ["## Noise and limits of this run", "", *(f"- {_plain(note)}" for note in remarks(summary)), ""]
    lines += ["## Machine and workload", "", *_markdown_table(_facts(summary)), ""]
    return "\n".join(lines)


def _facts(summary: dict[str, Any]) -> Table:
    machine, workload = summary["machine"], summary["workload"]
    spec = workload["spec"]["workload"]
    facts = {
        "started": summary["started"],
        "device": " ".join(str(machine[key]) for key in ("device", "device_name") if machine.get(key)),
        "chip": machine["chip"],
        "cores": f"{machine['physical_cores']} physical, {machine['logical_cores']} logical",
        "memory": f"{digits(machine['memory_mb'])} MB",
        "system": machine["system"],
        "power": machine["power"],
        "python, torch": f"{machine['python']}, {machine['torch']}",
        "torch threads": machine["torch_threads"],
        "environment": ", ".join(f"{k}={v}" for k, v in machine["environment"].items()) or "nothing that matters set",
        "market": f"{workload['market']['name']}, {workload['market']['candles']:,} candles",
        "known good policy": f"{digits(workload['good_return'])} % per held-out episode"
        if workload["good_return"] is not None
        else "none on this market",
        "environments per batch": workload["options"]["num_envs"],
        "episode": f"{workload['hyperparameters']['episode_length']} decisions",
        "policy": workload["hyperparameters"]["policy_size"],
        "learning rate follows episodes per update": spec["lr_scaling"],
    }
    rows = [(name, str(value)) for name, value in facts.items() if value is not None]
    return Table("Machine and workload", ("what", "value"), rows, frozenset())


def _markdown_table(table: Table) -> list[str]:
    rule = ["---:" if column in table.numeric else "---" for column in table.columns]
    rows = [table.columns, rule, *table.rows]
    return ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, within one table cell."""
    for mark in "\\`*_<>[]|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
