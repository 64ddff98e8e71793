"""The command ``scale``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from m2bench.errors import UserError
from m2bench.options.known_systems import DOORS, SYSTEMS, known_system
from m2bench.options.option import DEVICES, at_least, one_of, option, whole_numbers
from m2bench.options.run_options import DEFAULT_BLOCKS, LEARNING_MODES, TrialOptions
from m2bench.options.run_spec import RunSpec
from m2bench.options.workload_options import size_option
from m2bench.records.combinations import BASELINE, Layers
from m2bench.records.scale_spec import Scale, Setting, Value
from m2bench.records.spec import QUICK, WindowSpec, WorkloadSpec

from .command import AskedSystem, Given, command
from .console import interruptible, make_console
from .report import report_run
from .resuming import Resumable, advice_on_resuming, continued, refuse_more_blocks
from .shared_options import Seeded, combination_of, known_layers, new_folder, read_layers, results_option

T = TypeVar("T", int, float)
SIZED, SIZES = size_option("ablate")
USUAL = (1, 8, 32, 128, 512)
RECOMMENDED = known_system(SYSTEMS[0]).layers.recommended


def _read_devices(flag: str, typed: str) -> tuple[str, ...]:
    known = tuple(device for device in DEVICES if device != WorkloadSpec.device)
    names = [name.strip() for name in typed.split(",") if name.strip()]
    if not names:
        raise UserError(f"{flag} names no device.", f"Name some of: {', '.join(known)}.")
    return tuple(dict.fromkeys(one_of(known)(flag, name) for name in names))


def _read_settings(flag: str, typed: list[str]) -> tuple[Setting, ...]:
    found = [_read_setting(flag, text) for text in typed]
    twice = [setting.name for place, setting in enumerate(found) if setting.name in [s.name for s in found[:place]]]
    if twice:
        raise UserError(f"{flag} {twice[0]} is given twice.", "Give all of its values once, as in batch_size=32,64.")
    return tuple(found)


def _read_setting(flag: str, typed: str) -> Setting:
    name, equals, values = typed.partition("=")
    texts = list(dict.fromkeys(text.strip() for text in values.split(",") if text.strip()))
    if not equals or not name.isidentifier() or not texts:
        raise UserError(f"{flag} {typed!r} is not a setting.", "Give it as batch_size=32,64,128.")
    return Setting(name, _numbers(texts, int) or _numbers(texts, float) or tuple(texts))


def _numbers(texts: list[str], kind: Callable[[str], T]) -> tuple[Value, ...] | None:
    """The texts as numbers, the smallest first; None where one is none."""
    try:
        return tuple(sorted({kind(text) for text in texts}))
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True)
class ScaleAsked(Seeded, TrialOptions, Resumable):
    """What ``scale`` is asked for."""

    sizes: tuple[int, ...] = option(
        (),
        f"Numbers of {SIZES.many}, comma-separated: the setting {SIZES.option}.",
        spelled=SIZED.flag,
        metavar="<numbers>",
        read=whole_numbers(f"number of {SIZES.many}"),
        shown=f"{','.join(map(str, USUAL))}; none for your own trainer",
    )
    setting: tuple[Setting, ...] = option(
        (),
        "A setting of your own trainer and its values: a keyword parameter of the function, or what replaces {NAME} in "
        "--command. Repeatable; the speed is shown by the first that is a number.",
        kind=list[str],
        metavar="<name=values>",
        read=_read_settings,
    )
    devices: tuple[str, ...] = option(
        (), "Devices, comma-separated: cpu, cuda, mps.", metavar="<names>", read=_read_devices, shown="all there are",
        in_place="Put {device} into the command, and give --setting device=cpu,mps.",
    )  # fmt: skip
    threads: tuple[int, ...] = option(
        (),
        "Numbers of torch threads on the CPU, comma-separated. With a GPU only the smallest is used.",
        metavar="<numbers>",
        read=whole_numbers("number of threads"),
        shown="1, half of the fast cores, and all of them",
        in_place="Put {threads} into the command, and give --setting threads=1,2.",
    )
    with_layers: Layers | None = option(
        None,
        "Layers to measure together beside the baseline, comma-separated.",
        spelled="--with",
        metavar="<names>",
        read=read_layers,
        shown=f"what the run given by --run recommends, or {','.join(RECOMMENDED)}; none for your own trainer",
    )
    recommended_by: Path | None = option(
        None, "Folder of an ablate run, whose recommended layers are measured beside the baseline.", spelled="--run"
    )
    blocks: int = option(DEFAULT_BLOCKS, "How many times each point is measured.", read=at_least(1))
    learning: str = option(
        "quick",
        f"How much of learning is measured: {', '.join(LEARNING_MODES)}. quick trains to the target once at every "
        "size, in a fifth of the run's time; full does so in every block, for at most half of --trial-timeout.",
        read=one_of(LEARNING_MODES),
    )
    quick: bool = option(False, "Shorter trials: a first look, with wider intervals.")
    out: Path | None = results_option("scale-")


@command("scale")
def scale(asked: ScaleAsked, system: AskedSystem, given: Given) -> None:
    """Find out where to train: measure the speed by environments, on every device and number of threads."""
    from m2bench.run import run_scale

    if asked.resume is not None:
        spec, folder = continued("scale", asked.resume, asked.more_blocks, given), asked.resume
    else:
        spec, folder = _begun(asked, system), asked.out or new_folder("scale-")
    console = make_console()
    with interruptible(lambda: advice_on_resuming("scale", folder)):
        run_scale.run_scale(spec, folder, asked.resume is not None, asked.wait_for_quiet_s or 0.0, console)
        report_run(folder, console)


def _begun(asked: ScaleAsked, system: AskedSystem) -> RunSpec:
    """What a new run does; UserError for options that contradict each other."""
    from m2bench.plan.scale_trials import SETTINGS

    refuse_more_blocks(asked)
    own = system.workload.module in DOORS
    settings = _settings(asked, own)
    layers = _layers(asked, system.workload)
    workload = system.with_layers(layers)
    if own:  # described with the first of all values
        first = {setting.name: setting.values[0] for setting in settings}
        workload = replace(workload, options={**workload.options, SETTINGS: first})
    return RunSpec(
        layers=layers,
        design=(),
        blocks=asked.blocks,
        seed=asked.seed,
        workload=workload,
        window=QUICK if asked.quick else WindowSpec(),
        trial_timeout_s=asked.trial_timeout_s,
        learning=asked.learning,
        scale=Scale(
            combinations=tuple(dict.fromkeys((BASELINE, layers))),
            devices=asked.devices,
            threads=asked.threads,
            settings=settings,
        ),
    )


def _settings(asked: ScaleAsked, own: bool) -> tuple[Setting, ...]:
    if asked.setting and not own:
        raise UserError("--setting is for a trainer of your own.", f"For the trading system use {SIZED.flag}.")
    sizes = asked.sizes or (() if own else USUAL)
    layer = None if own else SIZED.layer
    environments = [Setting(SIZES.option, sizes, layer, SIZES.one, SIZES.many)] if sizes else []
    if environments and any(setting.name == SIZES.option for setting in asked.setting):
        raise UserError(f"{SIZED.flag} and --setting {SIZES.option} are the same.", "Leave one of them out.")
    return (*environments, *asked.setting)


def _layers(asked: ScaleAsked, workload: WorkloadSpec) -> Layers:
    """The set that is measured beside the baseline."""
    if asked.with_layers is not None and asked.recommended_by is not None:
        raise UserError("--with and --run both name a set of layers.", "Leave one of them out.")
    named = asked.with_layers
    if asked.recommended_by is not None:
        named = _recommended(asked.recommended_by)
    elif named is None:
        named = BASELINE if workload.module in DOORS else RECOMMENDED
    return combination_of(known_layers(workload, named), named) if named else BASELINE


def _recommended(folder: Path) -> Layers:
    from m2bench.findings.summarize_ablation import summarize
    from m2bench.store.results_database import Store

    with Store.open(folder) as store:
        advice = summarize(folder.name, store.record(), store.attempts()).recommended
    if advice is None:
        raise UserError(f"the run in {folder} recommends nothing.", "Name the layers with --with.")
    return advice.layers
