"""Spec files as a person names them: read, and with the probe files they name found."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import yaml

from torchserve_rollout.errors import UsageError
from torchserve_rollout.spec.load import load_spec
from torchserve_rollout.spec.yaml_text import read_mapping

Holder = MutableMapping[str, Any]


def read_text(file: Path) -> str:
    """The text of ``file``.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is not UTF-8 text", hint="save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}", hint="name a file that can be read") from error


def probe_holders(spec: Any) -> Iterator[tuple[str, Holder]]:
    """Each part of a spec that names a probe file, with its path in the spec.

    The spec is plain data and not validated: other problems must not hide a missing probe.
    """
    parts = [("prepare", spec.get("prepare"))]
    for key in ("gates", "alarms"):
        listed = spec.get(key)
        parts += [(f"{key}[{index}]", each) for index, each in enumerate(listed if isinstance(listed, list) else [])]
    for path, part in parts:
        if isinstance(part, MutableMapping) and isinstance(part.get("probe"), str):
            yield f"{path}.probe", part


def find_probe(name: str, home: Path, spec_folder: Path) -> Path | None:
    """The probe file ``name``: under TorchServe's ``home``, else beside the spec."""
    return next((folder / name for folder in (home, spec_folder) if (folder / name).is_file()), None)


def spec_to_send(file: Path, home: Path) -> str:
    """The text of a spec as the controller can use it: a probe file that lies beside the spec gets its full path.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is not a valid spec; carries all problems.
    """
    text = read_text(file)
    load_spec(text, str(file))
    data = dict(read_mapping(text, str(file)))
    is_changed = False
    for _, holder in probe_holders(data):
        found = find_probe(holder["probe"], home, file.parent)
        if found is not None and not (home / holder["probe"]).is_file():
            holder["probe"] = str(found.resolve())
            is_changed = True
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True) if is_changed else text
