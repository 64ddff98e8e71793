"""What a worker finds out before any trial: the machine, the device, the layers, the system under test.

Machine, device and workload are described by more facts than the code asks for, which differ between devices, systems
and versions. ``facts`` holds all of them, as they are shown and compared; the other fields are those asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .combinations import Layers
from .documents import WHOLE, Document, called, read, to_json
from .earlier import completed
from .matmul_peaks import MatmulPeak
from .rules import Rules
from .scale_spec import Place
from .spec import WorkloadSpec

Facts = Mapping[str, Any]
"""Free-form JSON."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine, without its device. ``environment``: variables that change how torch computes."""

    chip: str
    physical_cores: int | None
    logical_cores: int
    memory_mb: float
    system: str = ""
    python: str
    macos: str | None = None
    power: str | None = None
    m2bench: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    facts: Facts = field(metadata=WHOLE, repr=False)


@dataclass(frozen=True, kw_only=True)
class ThreadTimes:
    """Seconds of updates with this number of threads, one list for each combination."""

    threads: int
    update_s: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class MeasuredThreads:
    """What a worker measured with several numbers of threads."""

    measured: tuple[ThreadTimes, ...]


@dataclass(frozen=True, kw_only=True)
class ThreadChoice:
    """By what the number of threads was chosen.

    ``asked``: the number that was asked for, or "auto"; ``failure``: why others could not be tried.
    """

    asked: int | str
    measured: tuple[ThreadTimes, ...]
    failure: str | None


@dataclass(frozen=True, kw_only=True)
class MissingFeature:
    """A feature that this torch lacks on MPS, what it needs, and what holds otherwise.

    ``release``: the torch that has it; None where none has so far, and where an earlier version did not tell.
    """

    feature: str
    needs: str
    otherwise: str
    source: str
    release: str | None = None


@dataclass(frozen=True, kw_only=True)
class Device:
    """The device and the torch that drives it.

    ``torch`` is empty and ``torch_threads`` 0 where trials are programs of their own.
    ``missing_features``: those that this torch lacks on MPS, None on any other device. ``telemetry``: the tool that
    reads the device. ``log_environment``: variables that make the device's backend write a log.
    """

    device: str
    torch: str = ""
    torch_threads: int = 0
    thread_waiting: str | None = None
    keeps_memory: bool | None = None
    threads_chosen: ThreadChoice | None = None
    device_name: str | None = None
    all_devices: tuple[str, ...] = ()
    absent_devices: Mapping[str, str] = field(default_factory=dict)
    why_not_mps: str | None = None
    fork_after_compiler_import: bool = False
    cpp_compiler: str | None = None
    no_cpp_compiler_because: str | None = None
    missing_features: tuple[MissingFeature, ...] | None = field(default=None, metadata=called("gates"))
    telemetry: str | None = field(default=None, metadata=called("device_telemetry"))
    uuid: str | None = field(default=None, metadata=called("device_uuid"))
    memory_mb: float | None = field(default=None, metadata=called("device_memory_mb"))
    log_environment: Mapping[str, str] | None = field(default=None, metadata=called("device_log_environment"))
    facts: Facts = field(metadata=WHOLE, repr=False)

    def with_facts(self, facts: Facts) -> Device:
        """The device with these facts in place of what it told before."""
        return read(Device, {**self.facts, **facts})


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is claimed of a layer: a gain from ``low`` to ``high``, as ratios; 1.0 is no extra cost.

    ``phase``: the phase that the gain is claimed for, None for the whole episode. ``memory``: what memory is claimed to
    become, as a ratio.
    """

    low: float
    high: float
    text: str
    difficulty: str
    priority: str
    phase: str | None = None
    memory: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Contract:
    """How far a combination with this layer may lie from the plain trainer's own rounding error.

    The error of loss, gradients and logits against a double-precision referee may be at most ``tolerance`` times the
    plain float32 trainer's error, plus ``floor``; errors are relative. The defaults are for a layer that computes in
    float32, in another order.
    """

    tolerance: float = 4.0
    floor: float = 1e-5


@dataclass(frozen=True, kw_only=True)
class LayerDescription:
    """A layer as the system describes it.

    ``part``: what it replaces. ``claim``: None where nothing is claimed of it. ``exact``: it is held to the rounding of
    float32. ``compiles``: the first update compiles. ``compiled_apart``: beside it a layer that compiles has other code
    to compile. ``works_ahead``: processes of its own go on while the trainer waits.
    ``own_threads``: it computes by a thread on each core, whatever torch's number of threads.
    ``loss_tolerance``: by how much the first updates' losses may differ with it, as a share of them; None: by rounding.
    ``needs``: layers without which it cannot be on. ``excludes``: layers beside which it cannot be on.
    ``unsupported``: why it cannot run here, or None.
    """

    name: str
    part: str
    summary: str = ""
    claim: Claim | None
    contract: Contract | None = None
    exact: bool
    compiles: bool
    compiled_apart: bool = False
    works_ahead: bool = False
    own_threads: bool = False
    loss_tolerance: float | None = None
    needs: Layers = ()
    excludes: Layers = ()
    unsupported: str | None


@dataclass(frozen=True, kw_only=True)
class Target:
    """What learning trials are to reach: ``value``, of what ``measure`` names.

    ``loss`` or ``return``: what the updates tell. ``greedy`` or ``sampled``: the policy's return, a ``share`` of the
    way from an ignorant policy to a good one. ``first_units``: after how many units it is first looked at.
    ``each_policy_once``: whether a policy that has not learned since it was evaluated is not evaluated again.
    """

    measure: str
    good_policy: str = ""
    good_return: float | None = None
    ignorant_return: float | None = None
    share: float | None = None
    value: float = field(metadata=called("return"))
    first_units: float = 8
    each_policy_once: bool = False

    @property
    def is_told(self) -> bool:
        """Whether it is what updates tell, and not what an evaluation finds."""
        return self.measure in ("loss", "return")

    @property
    def falls(self) -> bool:
        """Whether less is better."""
        return self.measure == "loss"


@dataclass(frozen=True, kw_only=True)
class WorkloadDescription:
    """The system under test and what it is trained on.

    ``market``: the data, by its contents, where the system tells. ``options``: those of the system, with the defaults.
    ``threads_measured_on``: the combinations on which numbers of threads are tried. ``own_program``: a trial is a
    program of its own, which chooses its threads. ``repeats_itself``: whether it tells the same with equal seeds, None
    where nobody looked. ``sources``: the files of a user's trainer, with a digest of each. ``target``: None where
    learning is not measured.
    """

    market: Facts = field(default_factory=dict)
    options: Facts = field(default_factory=dict)
    market_remarks: tuple[str, ...] = ()
    good_return: float | None = None
    target: Target | None = None
    threads_measured_on: tuple[Layers, ...] = ()
    own_program: bool = False
    repeats_itself: bool | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    facts: Facts = field(metadata=WHOLE, repr=False)

    def with_facts(self, facts: Facts) -> WorkloadDescription:
        """The description with these facts in place of what it told before."""
        return read(WorkloadDescription, {**self.facts, **facts})


@dataclass(frozen=True)
class Unit:
    """The word for what a system processes and its speed is counted in: one episode, many episodes.

    Names and keys have those of the first system: ``episodes`` in them means units, whatever they are called.
    """

    one: str = "unit"
    many: str = "units"

    def named(self, count: float) -> str:
        """The word for so many of them."""
        return self.one if count == 1 else self.many


@dataclass(frozen=True)
class Rate:
    """How a speed, kept in units per minute, is shown: ``factor`` times it, or where lower is better, its inverse.

    ``label``: its unit; empty for units per minute. ``is_metric``: what is kept is no speed, but a metric that has the
    name ``label``, or its inverse.
    """

    label: str = ""
    factor: float = 1.0
    lower_is_better: bool = False
    is_metric: bool = False


@dataclass(frozen=True, kw_only=True)
class SystemDescription:
    """How reports speak of the system. ``facts``: what is trained, by what it is.

    ``no_target_because``: why learning is not measured, None where it is. ``first_update_sets_up``: its seconds are
    those of the set-up, and of compiling, which are not told apart.
    """

    unit: Unit
    rate: Rate = Rate()
    facts: Mapping[str, str]
    no_target_because: str | None
    first_update_sets_up: bool = False


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a system describes. ``claimed_together``: what is claimed of all layers at once, before and after."""

    system: SystemDescription
    device: Device
    layers: tuple[LayerDescription, ...]
    claimed_together: Mapping[str, Sequence[str]] = field(default_factory=dict)
    workload: WorkloadDescription


@dataclass(frozen=True, kw_only=True)
class Description(Described):
    """What a worker describes. ``counting``: the version of the way in which operators are counted."""

    machine: Machine
    counting: int | None = None

    @property
    def facts(self) -> Facts:
        """All facts of machine and device, in one table."""
        return {**self.machine.facts, **self.device.facts}

    @staticmethod
    def completed(document: Document) -> Document:
        """The document with what earlier versions did not tell."""
        return completed(document)

    def asked_of(self, workload: WorkloadSpec) -> Document:
        """All that was asked of the system, with the options that it took by default, wherever its code lies."""
        return to_json(replace(workload, folder="", options={**self.workload.options, **workload.options}))

    def rules_among(self, layers: Layers) -> Rules:
        """What these layers need, and which of them exclude each other."""
        found = [layer for layer in self.layers if layer.name in layers]
        needs = ((layer.name, needed) for layer in found for needed in layer.needs)
        excludes = ((layer.name, other) for layer in found for other in layer.excludes if other in layers)
        return Rules(tuple(needs), tuple(excludes))

    def layer(self, name: str) -> LayerDescription | None:
        """The layer of this name, if the system has one."""
        return next((layer for layer in self.layers if layer.name == name), None)


@dataclass(frozen=True, kw_only=True)
class PlaceLimits:
    """What a place can do at most.

    ``peak_flops``: operations per second of a product of float32 matrices. ``bytes_per_s``: read and written by a copy
    that no cache holds. ``dispatch_s``: seconds that handing over one operator takes.
    """

    place: Place
    peak_flops: float
    bytes_per_s: float
    dispatch_s: float


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What preparing the trials told.

    ``prepare_s``: seconds that it took. ``device_faults``: what the device computes wrongly, None where the code does
    not look. ``peak_flops``: the most operations per second of a product of float32 matrices, 0 where trials are
    programs of their own. ``peaks``: in each precision, by torch's threads and by all cores; ``bytes_per_s``: read and
    written by a copy that no cache holds. Earlier versions did not measure these. ``metrics``: what the plain program
    told before all trials. ``places``: of a run of ``scale``, what every place can do.
    """

    prepare_s: float
    device_faults: tuple[str, ...] | None = None
    peak_flops: float
    peaks: tuple[MatmulPeak, ...] = ()
    bytes_per_s: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    places: tuple[PlaceLimits, ...] = ()
