"""The catalogue's memory: one small JSON file per version under ``.catalogue`` in the model store."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from torchserve_rollout.packaging.entry import Entry

DIRECTORY = ".catalogue"


class Records:
    """Reads and writes the records of one model store. A record that cannot be read counts as lost."""

    def __init__(self, model_store: Path) -> None:
        self._model_store = model_store
        self._directory = model_store / DIRECTORY

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by one process at a time; the kernel lets go when its holder dies."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read(self, model: str, version: str) -> Entry | None:
        """The record of one version."""
        return self._read(self._file(model, version))

    def read_all(self) -> list[Entry]:
        """Every record there is."""
        found = (self._read(file) for file in self._directory.glob("*/*.json"))
        return [entry for entry in found if entry is not None]

    def write(self, entry: Entry) -> None:
        """Remember ``entry``; the record is complete or not there at all."""
        file = self._file(entry.model, entry.version)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{uuid4().hex}")
        with temporary.open("x", encoding="utf-8") as sink:
            json.dump(entry.to_json(), sink, indent=2, sort_keys=True, ensure_ascii=False)
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(file)

    def _file(self, model: str, version: str) -> Path:
        return self._directory / model / f"{version}.json"

    def _read(self, file: Path) -> Entry | None:
        try:
            entry = Entry.from_json(json.loads(file.read_bytes()), self._model_store)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # lost or cut short: the archive itself tells the same
        return entry if file == self._file(entry.model, entry.version) else None
