"""The files that a user's trainer is made of, by digests: a run that is continued must be of the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
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
