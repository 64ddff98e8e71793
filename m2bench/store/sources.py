"""The files that a user's trainer is made of, and m2bench itself, by digests: what is measured must be the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

Sources = Mapping[str, str]
"""By path, from the folder that the trainer works in where it lies there, a digest of what the file holds."""
LARGEST = 16 * 2**20
"""Bytes; larger files are data, and would take long to read."""
DIGEST_BYTES = 8


def sources_of(files: Iterable[Path], folder: Path) -> Sources:
    """Those of the files that are there and can be read; paths are from ``folder``."""
    home, found = folder.resolve(), {}
    for named in {*files}:
        with suppress(OSError, ValueError):  # nothing of this name, or no name at all
            file = (home / named).resolve()
            if file.is_file() and file.stat().st_size <= LARGEST:
                name = file.relative_to(home) if file.is_relative_to(home) else file
                found[str(name)] = blake2b(file.read_bytes(), digest_size=DIGEST_BYTES).hexdigest()
    return dict(sorted(found.items()))


def unchanged(sources: Sources, folder: Path) -> Sources:
    """Those whose files still hold the same."""
    now = sources_of(map(Path, sources), folder)
    return {file: digest for file, digest in sources.items() if now.get(file) == digest}


@cache
def package_digest() -> str:
    """A digest of all of m2bench's own modules, wherever they are installed."""
    files: dict[str, Path] = {}
    for package in ("m2bench", "m2bench.baselines", "m2bench.optimizations"):
        found = find_spec(package)
        assert found is not None
        for folder in found.submodule_search_locations or ():
            name = package.replace(".", "/")
            files |= {f"{name}/{file.relative_to(folder)}": file for file in Path(folder).rglob("*.py")}
    digest = blake2b(digest_size=DIGEST_BYTES)
    for name in sorted(files):
        digest.update(f"{name} ".encode() + blake2b(files[name].read_bytes()).digest())
    return digest.hexdigest()
