"""Which operators a device has kernels for, by the tables that PyTorch itself is built and tested from.

They lie in every installation of torch, whatever it was built for: torchgen's ``native_functions.yaml``, from which
the dispatcher is generated, and the test suite's list of operators that are expected to fail on MPS.
"""

from __future__ import annotations

import ast
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

Support = Literal["kernel", "composite", "falls back", "none", "unknown"]

# Bound to the CPU by hand in aten/src/ATen/mps/MPSFallback.mm, whatever the environment says.
ALWAYS_ON_THE_CPU = {
    "mps": {"embedding_renorm_", "linalg_svd", "_linalg_svd", "col2im", "upsample_nearest3d.vec"},
    "cuda": set(),
}
UNSEEN = (
    "What sparse and legacy constructors (tensor.new([...])) copy to the device is not seen: neither copy nor float64.",
    "The canary, and what proves that a layer was at work, are not run.",
    "The stand-in lets gather and index_select take places that lie on the host, which the device refuses.",
)
CAVEATS = {
    "mps": (
        "An operator counted as composite runs through other operators; those that it reached here were audited, those "
        "that it would reach on MPS alone were not.",
        "The tables say that a kernel is registered, not for which dtypes, nor whether it is a Metal kernel (about "
        "5 us) or an MPSGraph (about 20 us).",
        "Operators that autocast inserts are not among the audited ones: it casts to float16 by _to_copy, which is "
        "composite and copies by _copy_from, which has a kernel.",
        "A compiled policy is audited uncompiled: kernels that a compiler makes are not in the tables.",
        "Fused and foreach operators are taken as they stand; on MPS the foreach ones without a kernel run tensor by "
        "tensor.",
        "A kernel may be there and wrong: numerics are checked in every trial, on the device.",
        *UNSEEN,
    ),
    "cuda": (
        "An operator counted as composite runs through other operators; those that it reached here were audited.",
        "The tables say that a kernel is registered, not for which dtypes.",
        "Operators that autocast inserts are not among the audited ones.",
        "A compiled policy is audited uncompiled: kernels that a compiler makes are not in the tables.",
        *UNSEEN,
    ),
}


class KernelTables:
    """Kernels of ``target`` ("mps" or "cuda") in the installed torch.

    Raises FileNotFoundError where this installation does not carry the tables.
    """

    def __init__(self, target: str):
        self.target = target
        self.lacks_float64 = target == "mps"
        self._torch = _package("torch")

    def support(self, name: str, overload: str) -> Support:
        """How the operator ``aten::name.overload`` would run: by a kernel of its own, through others, or not at all.

        "falls back": on the CPU, with copies there and back, whatever the environment says.
        "unknown": the tables do not have it, as it is with operators of other libraries.
        """
        if {name, f"{name}.{overload}"} & ALWAYS_ON_THE_CPU[self.target]:
            return "falls back"
        return self._functions.get((name, "" if overload == "default" else overload), "unknown")

    def expected_to_fail(self, name: str) -> bool:
        """Whether torch's own tests expect the operator to fail on this device altogether."""
        return self.target == "mps" and name in self._expected_failures

    @cached_property
    def _functions(self) -> dict[tuple[str, str], Support]:
        from torchgen.gen import get_grouped_native_functions as grouped
        from torchgen.gen import parse_native_yaml
        from torchgen.model import DispatchKey, NativeFunctionsGroup

        tables = _package("torchgen") / "packaged" / "ATen" / "native"
        parsed = parse_native_yaml(str(tables / "native_functions.yaml"), str(tables / "tags.yaml"))
        index = parsed.backend_indices[DispatchKey[self.target.upper()]]
        found: dict[tuple[str, str], Support] = {}
        for entry in grouped(parsed.native_functions):
            group = entry if isinstance(entry, NativeFunctionsGroup) else None
            for function in entry.functions() if group is not None else (entry,):
                name = function.func.name
                # Functional and in-place forms of a structured operator run by the kernel of its out= form.
                inherits = group is not None and function.structured_delegate is not None and index.has_kernel(group)
                support = "kernel" if inherits or index.has_kernel(function) else _without_kernel(function)
                found[str(name.name), name.overload_name] = support
        return found

    @cached_property
    def _expected_failures(self) -> set[str]:
        """Keys of the list UNIMPLEMENTED_XFAILLIST: read as text, since it is only executed where there is MPS."""
        source = (self._torch / "testing" / "_internal" / "common_mps.py").read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Dict):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(t, ast.Name) and t.id == "UNIMPLEMENTED_XFAILLIST" for t in targets):
                    pairs = zip(node.value.keys, node.value.values, strict=True)
                    # A value of None says "for every dtype"; a list of dtypes is a limit, not a missing operator.
                    return {_operator(k.value) for k, v in pairs if isinstance(k, ast.Constant) and _is_none(v)}
        return set()


def _without_kernel(function: Any) -> Support:
    composite = (
        function.has_composite_implicit_autograd_kernel
        or function.has_composite_explicit_autograd_kernel
        or function.has_composite_explicit_autograd_non_functional_kernel
    )
    return "composite" if composite else "none"


def _operator(name: object) -> str:
    return str(name).replace(".", "_")  # linalg.eigh is the operator linalg_eigh


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"this installation of torch has no {name}")
    return Path(spec.origin).parent
