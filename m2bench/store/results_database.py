"""The results of a run in one SQLite file: every trial is a transaction of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from m2bench.errors import UserError, quoted
from m2bench.options.run_spec import RunSpec
from m2bench.records.description import Description, Prepared
from m2bench.records.documents import read, to_json
from m2bench.records.results import Conditions
from m2bench.records.spec import TrialSpec

from .stored_trial import RESULTS, Result, RunRecord, StoredTrial, settled

FILE_NAME = "results.sqlite"
ASKED_OF_FLEET = "fleet.json"
"""In the folder of a run on several machines, above those of the runs on each kind of machine."""
# "m2bn": marks the file as ours, so that a foreign database is told apart from an old one.
APPLICATION_ID = 0x6D32626E
# History of the schema. 1: run and trial tables, documents as JSON. 2: numerics checks in every result.
# 3: learning trials; how long every trial took and under what conditions. 4: how well the window is timed; energy.
# 5: phases by the clock, counts, telemetry. 6: threads; trials that repeat others.
SCHEMA = 6
READABLE = (5, 6)
BUSY_S = 60.0
"""For which a writer waits while others write: one for each of many machines."""
TABLES = """
CREATE TABLE run (id INTEGER PRIMARY KEY CHECK (id = 1), started TEXT NOT NULL, spec TEXT NOT NULL,
                  description TEXT NOT NULL);
CREATE TABLE trial (key TEXT PRIMARY KEY, spec TEXT NOT NULL, started TEXT NOT NULL, elapsed_s REAL NOT NULL,
                    status TEXT NOT NULL, reason TEXT, log TEXT, result TEXT NOT NULL, conditions TEXT NOT NULL);
"""


class Store:
    """Reads and writes one run's results. Use as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection):
        self.path = path
        self._connection = connection

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    @property
    def folder(self) -> Path:
        return self.path.parent

    @classmethod
    def create(cls, folder: Path, record: RunRecord) -> Store:
        """Begin a new run in ``folder``.

        Raises UserError when the folder holds another run or cannot be written.
        """
        path = folder / FILE_NAME
        if path.exists():
            raise UserError(
                f"{folder} already holds a run.",
                f"Continue it with: m2bench ablate --resume {quoted(folder)}, or choose another folder with --out.",
            )
        with _explained(path):
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, BUSY_S, isolation_level=None)
            # The run's row comes with the tables or not at all: a file without it would be nobody's.
            connection.executescript(f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; {TABLES}")
            found = {**to_json(record.description), **to_json(record.prepared)}
            connection.execute(
                "INSERT INTO run VALUES (1, ?, ?, ?)",
                (record.started, json.dumps(to_json(record.spec)), json.dumps(found)),
            )
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            connection.execute("COMMIT")
        return cls(path, connection)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open the run in ``folder``.

        Raises UserError when there is none, or when the file is not ours or of another schema.
        """
        path = folder / FILE_NAME
        if not path.exists():
            raise _no_run(folder)
        with _explained(path):
            connection = sqlite3.connect(path, BUSY_S, isolation_level=None)
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            connection.close()
            raise UserError(f"{path} is not a results file of m2bench.", "Give the folder that m2bench ablate wrote.")
        if schema not in READABLE:
            connection.close()
            raise UserError(
                f"{path} has results schema {schema}, and this m2bench reads schemas {min(READABLE)} to {SCHEMA}.",
                "Use the version of m2bench that wrote it, or run the ablation again.",
            )
        return cls(path, connection)

    def record(self) -> RunRecord:
        """The run's specification and description; UserError when the file was damaged."""
        with _explained(self.path):
            row = self._connection.execute("SELECT started, spec, description FROM run").fetchone()
        if row is None:
            raise UserError(f"{self.path} holds no run.", "Run the ablation again.")
        started, spec, description = row
        with _explained(self.path):
            found = json.loads(description)
            return RunRecord(read(RunSpec, json.loads(spec)), started, read(Description, found), read(Prepared, found))

    def replan(self, spec: RunSpec) -> None:
        """Change what the run is to do; UserError when this cannot be written."""
        with _explained(self.path):
            self._connection.execute("UPDATE run SET spec = ?", (json.dumps(to_json(spec)),))

    def add(self, trial: StoredTrial) -> None:
        """Store one finished trial; UserError when it cannot be written (the trials before it are safe)."""
        row = (
            trial.spec.key,
            json.dumps(to_json(trial.spec)),
            trial.started,
            trial.elapsed_s,
            trial.status,
            trial.reason,
            trial.log,
            _text(trial.result),
            _text(trial.conditions),
        )
        with _explained(self.path):
            self._connection.execute("INSERT INTO trial VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def set_aside(self, keys: Collection[str]) -> None:
        """Keep these trials under other keys, marked so that no figure rests on them; UserError when it cannot be
        written.
        """
        key = "key || '.aside' || rowid"
        marked = f"json_set(spec, '$.key', {key}, '$.set_aside', json('true'))"
        places = ", ".join("?" * len(keys))
        with _explained(self.path):
            self._connection.execute(
                f"UPDATE trial SET key = {key}, spec = {marked} WHERE key IN ({places})", tuple(keys)
            )

    def trials(self) -> list[StoredTrial]:
        """The trials on which figures rest, in the order in which they ended; see ``settled``."""
        return settled(self.attempts())

    def attempts(self) -> list[StoredTrial]:
        """All stored trials in the order in which they ended, with those that were run again."""
        with _explained(self.path), closing(self._connection.execute("SELECT * FROM trial ORDER BY rowid")) as rows:
            found = [_stored_trial(row) for row in rows]
        return [trial for trial in found if trial is not None]


def _no_run(folder: Path) -> UserError:
    if not (folder / ASKED_OF_FLEET).exists():
        return UserError(
            f"no run found: {folder / FILE_NAME} does not exist.", "Give the folder that m2bench ablate wrote."
        )
    kinds = [quoted(path.parent) for path in sorted(folder.glob(f"*/{FILE_NAME}"))]
    advice = f"Give the folder of one kind of machine: {', '.join(kinds)}." if kinds else "It holds no trial yet."
    return UserError(f"{folder} is a run on several machines.", advice)


def _text(record: Result | Conditions | None) -> str:
    return json.dumps({} if record is None else to_json(record))


def _stored_trial(row: tuple[Any, ...]) -> StoredTrial | None:
    """None for a kind of trial that only earlier versions had."""
    _, spec, started, elapsed_s, status, reason, log, result, conditions = row
    trial = read(TrialSpec, json.loads(spec))
    if trial.kind not in RESULTS:
        return None
    measured, meanwhile = json.loads(result), json.loads(conditions)
    return StoredTrial(
        spec=trial,
        started=started,
        elapsed_s=elapsed_s,
        status=status,
        reason=reason,
        log=log,
        result=read(RESULTS[trial.kind], measured) if measured else None,
        conditions=read(Conditions, meanwhile) if meanwhile else None,
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the disk, SQLite or a damaged document says into a message for the user."""
    try:
        yield
    except (sqlite3.DatabaseError, ValueError) as error:
        raise UserError(
            f"{path}: the results cannot be read or written ({error}).",
            "Check that the file is a results file of m2bench, that its disk has room, and that you may write there.",
        ) from error
    except OSError as error:
        raise UserError(
            f"{error.filename or path}: {error.strerror}.", "Choose a folder you may write to with --out."
        ) from error
