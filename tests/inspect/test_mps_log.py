"""The statistics of the MPS backend, from texts made by the formats in its source (MPSProfiler.mm)."""

from __future__ import annotations

import pytest

from m2bench.inspect.mps_log import MpsLog, parse_mps_log


def operations(*rows: tuple[str, int, float, float, float, str]) -> str:
    """A table as ``logOperationsProfilingStats`` prints it."""
    title = " MPS Operations Profiling: 2 graphs, 3 kernels "
    head = f"{'ID':^6}|{'#Runs':^7}|{'Mean KRNL(ms)':^15}|{'Mean GPU(ms)':^14}|{'Total GPU(ms)':^15}| Operation Name"
    lines = [
        f"{key:^7}{runs:^8}{f'{k:.3f}':^16}{f'{m:.3f}':^15}{f'{t:.3f}':^16} {name}" for key, runs, k, m, t, name in rows
    ]
    return "\n".join(["", f"{title:-^200}", head, "-" * 200, *lines, ""])


def fallbacks(*rows: tuple[int, int, float, float, str, str]) -> str:
    """A table as ``logCPUFallbackProfilingStats`` prints it."""
    title = " CPU Fallback Profiling: Total 4 Runs, 0.91 ms, 2.00 KB Copies "
    head = f"{'ID':^5}|{'#Runs':^7}|{'Mean CPU(ms)':^14}|{'Total CPU(ms)':^15}|{'Copy Overhead':^15}| Operation Name"
    lines = [
        f"{key:^6}{runs:^8}{f'{m:.3f}':^15}{f'{t:.3f}':^16}{size:^16} {name}" for key, runs, m, t, size, name in rows
    ]
    return "\n".join(["", f"{title:-^150}", head, "-" * 150, *lines, ""])


def copies(*rows: tuple[str, int, str, float, float, int, float, int, int]) -> str:
    """A table as ``logCopyProfilingStats`` prints it."""
    title = " MPS Copy Profiling: 12 total copies (3.00 MB), 7 scalar copies "
    head = (
        f"{'Kind':^12}|{'Total#':^10}|{'Total Size':^17}|{'Total KRNL(ms)':^16}|{'Total GPU(ms)':^15}|{'Scalars':^9}|"
        f"{'Scalars GPU':^13}|{'Blocking':^10}|{'memcpy':^8}"
    )
    lines = [
        f"{kind:^13}{count:^11}{size:^18}{f'{k:.3f}':^17}{f'{g:.3f}':^16}{scalars:^10}{f'{p:.2f} %':^14}"
        f"{blocking:^11}{memcpy:^9}"
        for kind, count, size, k, g, scalars, p, blocking, memcpy in rows
    ]
    return "\n".join(["", f"{title:-^160}", head, "-" * 160, *lines, ""])


LOG = (
    "a worker's own print, 12 episodes\n"
    + operations(
        ("K3", 512, 0.004, 0.011, 5.632, "aten::argmax:f32[1,3]"),
        ("G1", 384, 0.020, 0.009, 3.456, "aten::addmm:f32[1,128]:f32[1,122]:f32[122,128]"),
        ("G2", 128, 0.021, 0.008, 1.024, "aten::addmm:f32[1,64]:f32[1,128]:f32[128,64]"),
        ("K7", 4, 0.001, 0.002, 0.008, "fused_adam"),
    )
    + fallbacks((1, 4, 0.228, 0.912, "2.00 KB", "aten::linalg_svd"))
    + copies(
        ("MPS to CPU", 7, "28 B", 0.5, 0.7, 7, 100.0, 7, 0),
        ("CPU to MPS", 5, "3.00 MB", 0.1, 0.4, 0, 0.0, 1, 4),
    )
)


def test_operations_are_summed_over_their_shapes() -> None:
    found = parse_mps_log(LOG).operations
    assert found == {
        "aten::argmax": (512, 5.632),
        "aten::addmm": (512, pytest.approx(4.480)),
        "fused_adam": (4, 0.008),
    }


def test_fallbacks_and_copies_are_read() -> None:
    found = parse_mps_log(LOG)
    assert found.fallbacks == {"aten::linalg_svd": (4, 0.912)}
    assert found.copies == {"MPS to CPU": (7, 0.7), "CPU to MPS": (5, 0.4)}
    assert found.blocking_copies == 8


def test_what_two_processes_have_in_common_is_left_out() -> None:
    earlier = parse_mps_log(
        operations(("K3", 256, 0.004, 0.01, 2.6, "aten::argmax:f32[1,3]"), ("K7", 4, 0.001, 0.002, 0.008, "fused_adam"))
    )
    found = parse_mps_log(LOG).since(earlier, episodes=2)
    assert found.operations["aten::argmax"] == pytest.approx((128, 1.516))
    assert "fused_adam" not in found.operations
    assert found.fallbacks["aten::linalg_svd"] == pytest.approx((2, 0.456))
    assert found.blocking_copies == 4


def test_sizes_are_read_as_every_version_of_torch_writes_them() -> None:
    """2.13 writes KiB (c10/core/Allocator.h) where older versions wrote KB; below that all write bytes."""
    for small, large in (("512 bytes", "2.00 KiB"), ("28 bytes", "3.00 MB")):
        log = operations(("K3", 1, 0.1, 0.1, 0.1, "argmax:MPS:Float[1, 3]")) + fallbacks(
            (1, 4, 0.228, 0.912, large, "aten::linalg_svd")
        ) + copies(("MPS to CPU", 7, small, 0.5, 0.7, 7, 100.0, 7, 0))  # fmt: skip
        found = parse_mps_log(log)
        assert found.fallbacks == {"aten::linalg_svd": (4, 0.912)}
        assert found.copies == {"MPS to CPU": (7, 0.7)}


def test_kernels_are_summed_over_the_tensors_they_ran_with() -> None:
    log = operations(
        ("K3", 512, 0.004, 0.011, 5.0, "argmax:MPS:Float[1, 3]"),
        ("K4", 128, 0.004, 0.011, 1.0, "argmax:MPS:Float[32, 3]"),
    )
    assert parse_mps_log(log).operations == {"argmax": (640, 6.0)}


def test_a_table_whose_rows_look_new_is_not_taken_for_an_empty_one() -> None:
    log = operations(("K3", 1, 0.1, 0.1, 0.1, "argmax:MPS:Float[1, 3]")) + fallbacks(
        (1, 4, 0.228, 0.912, "2.00 kibibytes", "aten::linalg_svd")
    )
    with pytest.raises(ValueError, match="CPU Fallback Profiling"):
        parse_mps_log(log)


@pytest.mark.parametrize("text", ["", "There are no MPS operations logged for profiling\n", "something new"])
def test_a_log_without_operations_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no table"):
        parse_mps_log(text)


def test_nothing_more_is_nothing() -> None:
    log = parse_mps_log(LOG)
    assert log.since(log, 1) == MpsLog({}, {}, {}, 0)
