"""What a fingerprint tells apart, and that taking it leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from m2bench.devices import fingerprint
from m2bench.devices.fingerprint import FingerprintRecorder
from m2bench.records.documents import read, to_json
from m2bench.records.results import Fingerprint

CPU = torch.device("cpu")


def seen(update: Callable[[], object]) -> Fingerprint:
    with FingerprintRecorder(CPU) as watch:
        update()
    return watch.fingerprint(4)


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor) -> Callable[[], None]:
    def update() -> None:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()

    return update


def trainer(seed: int = 0, *, fused: bool | None = None, amsgrad: bool = False) -> Callable[[], None]:
    torch.manual_seed(seed)
    model = nn.Linear(8, 4)
    optimizer = torch.optim.Adam(model.parameters(), fused=fused, amsgrad=amsgrad)
    return stepped(model, optimizer, torch.randn(16, 8))


def test_equal_work_has_an_equal_fingerprint_and_another_seed_other_weights() -> None:
    first, again, other = (seen(trainer(seed)) for seed in (0, 0, 1))
    assert first == again
    assert first.weights != other.weights
    assert (first.operators, first.settings) == (other.operators, other.settings)
    assert read(Fingerprint, to_json(first)) == first


def test_it_names_operators_forward_and_backward_with_their_types_and_optimizers() -> None:
    found = seen(trainer())
    assert found.operators["aten.addmm.default(float32)"].calls == 1
    assert found.operators["aten.mm.default(float32)"].calls == 1  # the gradient of the weights
    assert found.optimizers == {"Adam": 1}
    assert found.update == 4


X = torch.ones(4, 4)
IMAGES = torch.ones(2, 3, 8, 8)
WEIGHT = torch.ones(4, 4, requires_grad=True)


def in_mode(mode: object, update: Callable[[], object]) -> Callable[[], object]:
    def inside() -> None:
        with mode:  # type: ignore[attr-defined]
            update()

    return inside


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: X @ X, lambda: X.bfloat16() @ X.bfloat16()),
        (lambda: X @ X, lambda: X[:2] @ X),
        (lambda: X.relu(), lambda: X.t().relu()),
        (lambda: IMAGES.relu(), lambda: IMAGES.to(memory_format=torch.channels_last).relu()),
        (lambda: WEIGHT.relu(), in_mode(torch.no_grad(), lambda: WEIGHT.relu())),
        (in_mode(torch.no_grad(), lambda: WEIGHT.relu()), in_mode(torch.inference_mode(), lambda: WEIGHT.relu())),
        (lambda: X.sum(), lambda: X.sum(0)),
        (lambda: trainer()(), lambda: trainer(fused=True)()),
        (lambda: trainer()(), lambda: trainer(amsgrad=True)()),
    ],
    ids=["dtype", "shape", "strides", "memory format", "gradients", "inference mode", "argument", "fused", "amsgrad"],
)
def test_what_computes_otherwise_has_another_fingerprint(
    one: Callable[[], object], other: Callable[[], object]
) -> None:
    assert seen(one) != seen(other)


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_autocast_of_another_device_is_no_difference() -> None:
    assert seen(in_mode(torch.autocast("cuda"), lambda: X @ X)).operators == seen(lambda: X @ X).operators
    assert seen(in_mode(torch.autocast("cpu"), lambda: X @ X)).operators != seen(lambda: X @ X).operators


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("threads", lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
        ("float32 matmul precision", lambda: torch.set_float32_matmul_precision("high")),
        ("deterministic", lambda: torch.use_deterministic_algorithms(True)),
        ("anomaly detection", lambda: torch.autograd.set_detect_anomaly(True)),
        ("denormals flushed", lambda: torch.set_flush_denormal(True)),
    ],
)
def test_settings_of_torch_are_told(name: str, change: Callable[[], object]) -> None:
    threads, before = torch.get_num_threads(), seen(lambda: X + X).settings
    try:
        change()
        after = seen(lambda: X + X).settings
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")
        torch.use_deterministic_algorithms(False)
        torch.autograd.set_detect_anomaly(False)
        torch.set_flush_denormal(False)
    changed = {key for key in before if before[key] != after[key]}
    assert name in changed
    assert all("precision" in other for other in changed - {name})


def test_calls_of_compiled_graphs_are_counted_and_not_of_code_that_was_given_up() -> None:
    def plain(x: Tensor) -> Tensor:
        return x.relu() + 1

    def given_up(x: Tensor) -> Tensor:
        for _ in range(2):
            x = x.relu() + 1
            if x.max().item() > 1e6:
                break
        return x

    compiled, uncompilable = (torch.compile(f, backend="eager") for f in (plain, given_up))
    for function in (compiled, uncompilable):
        function(X)
    assert seen(lambda: (compiled(X), compiled(X))).compiled == {"graph": 2}
    assert seen(lambda: uncompilable(X)) == seen(lambda: given_up(X))


def processes() -> int:
    """Those below this one now: other tests may have left some."""
    return seen(lambda: X + X).helpers.get("process", 0)


def test_batches_and_the_processes_that_gave_them_are_counted() -> None:
    data = TensorDataset(torch.arange(32.0))
    before = processes()
    alone, beside = DataLoader(data), DataLoader(data, num_workers=1, persistent_workers=True)
    found = [seen(iter(loader).__next__) for loader in (alone, beside)]
    assert [f.loaders for f in found] == [{"_SingleProcessDataLoaderIter": 1}, {"_MultiProcessingDataLoaderIter": 1}]
    assert [f.helpers.get("process", 0) - before for f in found] == [0, 1]


def test_processes_of_other_kinds_are_counted_but_not_those_that_compile() -> None:
    before, words = processes(), ["-c", "import sys; sys.stdin.read()"]
    for more, counted in (([], 1), (["compile_worker"], 0)):
        with subprocess.Popen([sys.executable, *words, *more], stdin=subprocess.PIPE):
            assert processes() - before == counted


def test_weights_are_told_to_the_last_bit_and_in_no_order() -> None:
    model = nn.Linear(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    update = stepped(model, optimizer, torch.ones(1, 8))
    before = seen(update).weights
    optimizer.param_groups[0]["params"].reverse()
    assert seen(update).weights == before
    with torch.no_grad():
        model.bias[0] = torch.nextafter(model.bias[0], torch.tensor(9.0))
    assert seen(update).weights != before


def test_an_optimizer_that_is_never_stepped_says_nothing() -> None:
    before = seen(trainer()).weights
    spare = torch.optim.Adam(nn.Linear(3, 3).parameters(), fused=True)
    assert seen(trainer()).weights == before
    assert not spare.state


def test_after_many_calls_only_operators_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "MOST_DESCRIBED", 2)
    found = seen(lambda: [X.relu() for _ in range(5)]).operators
    assert {name: calls.calls for name, calls in found.items()} == {
        "aten.relu.default(float32)": 2, "aten.relu.default": 3,
    }  # fmt: skip


def test_a_profiler_of_the_users_own_is_left_alone() -> None:
    def update() -> None:
        with torch.profiler.profile() as own:
            X.relu()
        assert "aten::relu" in {event.name for event in own.events()}

    assert "aten.relu.default(float32)" in seen(update).operators


def test_operators_of_higher_order_run_as_always() -> None:
    from torch._higher_order_ops.map import map as torch_map

    assert seen(lambda: torch_map(torch.relu, X)).operators  # type: ignore[arg-type]  # torch calls f(x, *args)


def test_a_forked_process_does_not_go_on_recording() -> None:
    """Loaders fork in the middle of training, and live long."""

    with FingerprintRecorder(CPU):
        child = os.fork()
        if not child:
            os._exit(torch._C._len_torch_dispatch_stack())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert torch._C._len_torch_dispatch_stack() == 1


def test_nothing_is_left_behind() -> None:
    def fail() -> None:
        raise RuntimeError("planted")

    methods = torch.inference_mode.__enter__, torch.cuda.StreamContext.__enter__, torch.cuda.CUDAGraph.replay
    with pytest.raises(RuntimeError, match="planted"), FingerprintRecorder(CPU):
        fail()
    assert methods == (torch.inference_mode.__enter__, torch.cuda.StreamContext.__enter__, torch.cuda.CUDAGraph.replay)
    assert torch._C._len_torch_dispatch_stack() == 0
    assert seen(lambda: X + X).operators
