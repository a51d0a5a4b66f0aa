"""model-config.yaml: the part of an archive through which TorchServe overrules everybody.

Once an archive holds one, TorchServe takes its response and start-up timeouts from there, and 120 s where it is silent;
what the registration call asks for no longer counts. So every archive states them. ``minWorkers`` and ``maxWorkers`` in
it would start workers behind the controller's back and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from torchserve_rollout.errors import Problem

CONFIG_FILE = "model-config.yaml"
DEFAULT_TIMEOUTS_S = {"responseTimeout": 120, "startupTimeout": 120, "maxRetryTimeoutInSec": 300}

_POSITIVE = frozenset(
    {
        *DEFAULT_TIMEOUTS_S,
        "batchSize",
        "parallelLevel",
        "jobQueueSize",
        "sequenceMaxIdleMSec",
        "maxSequenceJobQueueSize",
    }
)
_NOT_NEGATIVE = frozenset({"maxBatchDelay", "clientTimeoutInMills", "sequenceTimeoutMSec"})
_WORKERS = frozenset({"minWorkers", "maxWorkers"})


def complete_config(config: Path | Mapping[str, Any] | None) -> tuple[bytes, list[Problem]]:
    """The text of the archive's model-config.yaml: the caller's values over our defaults; and all problems."""
    values, problems = _values_of(config)
    for key, value in values.items():
        path = f"config.{key}"
        if key in _WORKERS:
            hint = "leave it out: workers are scaled when the version is rolled out"
            problems.append(Problem(path, "would make TorchServe start workers by itself at registration", hint))
        elif key in _POSITIVE and (type(value) is not int or value < 1):
            problems.append(Problem(path, f"must be a whole number above 0, not {value!r}"))
        elif key in _NOT_NEGATIVE and (type(value) is not int or value < 0):
            problems.append(Problem(path, f"must be a whole number, 0 or more, not {value!r}"))
        elif key == "handler" and not isinstance(value, dict):
            problems.append(Problem(path, f"must hold the handler's options as key: value, not {value!r}"))
    if problems:
        return b"", problems
    text: str = yaml.safe_dump(DEFAULT_TIMEOUTS_S | values, sort_keys=True, allow_unicode=True)
    return text.encode(), []


def _values_of(config: Path | Mapping[str, Any] | None) -> tuple[dict[str, Any], list[Problem]]:
    if config is None:
        return {}, []
    if not isinstance(config, Path):
        return dict(config), []
    try:
        values = yaml.safe_load(config.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return {}, [Problem("config", f"{config} cannot be read: {error}")]
    except yaml.YAMLError as error:
        return {}, [Problem("config", f"{config} is no YAML: {error}")]
    if values is None:
        return {}, []
    if not isinstance(values, dict):
        return {}, [Problem("config", f"{config} must hold key: value pairs, not a {type(values).__name__}")]
    return {str(key): value for key, value in values.items()}, []
