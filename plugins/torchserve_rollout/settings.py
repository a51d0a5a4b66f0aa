"""What is read from ``config.properties``: TorchServe's own keys that concern us and the ``rollout_…`` keys."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torchserve_rollout.errors import Problem, SpecError, UsageError
from torchserve_rollout.units import parse_duration_s

CONFIG_VARIABLE = "TS_ROLLOUT_CONFIG"
DEFAULT_CONFIG = Path("config/config.properties")
KNOWN_KEYS = frozenset(
    {
        # read by the gateway
        "rollout_gateway_address",
        "rollout_grpc_gateway_address",
        "rollout_access_log",
        "rollout_default_deadline_s",
        "rollout_controller",
        # read here
        "rollout_controller_address",
        "rollout_state",
        "rollout_specs",
        "rollout_database",
        "rollout_tick",
        "rollout_notify",
        "rollout_prometheus",
        "rollout_prometheus_credentials",
        "rollout_prometheus_ca",
        "rollout_alerts_token",
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is. Relative paths are relative to ``home``, the directory TorchServe is started in.

    ``inference_url`` is TorchServe's own listener on loopback, ``gateway_url`` the public one in front of it.
    """

    home: Path
    config_file: Path | None = None
    inference_url: str = "http://127.0.0.1:8085"
    management_url: str = "http://127.0.0.1:8081"
    metrics_url: str = "http://127.0.0.1:8082"
    gateway_url: str = "http://127.0.0.1:8080"
    controller_url: str = "http://127.0.0.1:8083"
    is_token_required: bool = True
    model_store: Path = Path("model-store")
    state_dir: Path = Path("rollout-state")
    specs_dir: Path = Path("config/rollouts")
    database_url: str = ""
    tick_s: float = 1.0
    notify_urls: tuple[str, ...] = ()
    prometheus_url: str = ""
    prometheus_credentials: Path | None = None
    """A file with ``user:password`` or a bearer token."""
    prometheus_ca: Path | None = None
    alerts_token_file: Path | None = None
    """A file with the token that Alertmanager's webhook brings."""

    @property
    def key_file(self) -> Path:
        """TorchServe writes its tokens into the directory it was started in."""
        return self.home / "key_file.json"

    @property
    def journal_url(self) -> str:
        """SQLAlchemy URL of the journal."""
        return self.database_url or f"sqlite:///{self.state_dir / 'journal.db'}"


def read_properties(text: str) -> dict[str, str]:
    """Java ``.properties`` as TorchServe's launcher reads them: ``key=value`` lines, ``#`` and ``!`` comments.

    A backslash at the end of a line continues it on the next.
    """
    joined = re.sub(r"\\\r?\n[ \t]*", "", text)
    pairs = (line.split("=", 1) for line in map(str.strip, joined.splitlines()) if line[:1] not in ("#", "!"))
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def settings_from_properties(values: Mapping[str, str], *, home: Path, config_file: Path | None = None) -> Settings:
    """Settings from the keys of ``config.properties``.

    Raises:
        SpecError: a ``rollout_…`` key is unknown or has a value that cannot be read; carries all problems.
    """
    problems: list[Problem] = []
    for key in sorted(k for k in values if k.startswith("rollout_") and k not in KNOWN_KEYS):
        problems.append(Problem(key, "unknown key", f"known: {', '.join(sorted(KNOWN_KEYS))}"))
    tick_s = 1.0
    try:
        tick_s = parse_duration_s(values.get("rollout_tick", "1s"))
        if not 0.05 <= tick_s <= 60:
            problems.append(Problem("rollout_tick", "must be between 50ms and 60s"))
    except ValueError as error:
        problems.append(Problem("rollout_tick", str(error)))
    if problems:
        raise SpecError(str(config_file or "config.properties"), problems)

    def path_of(key: str, default: str) -> Path:
        return home / values.get(key, default)

    def path_if(key: str) -> Path | None:
        return home / values[key] if values.get(key) else None

    return Settings(
        home=home,
        config_file=config_file,
        inference_url=values.get("inference_address", "http://127.0.0.1:8085").rstrip("/"),
        management_url=values.get("management_address", "http://127.0.0.1:8081").rstrip("/"),
        metrics_url=values.get("metrics_address", "http://127.0.0.1:8082").rstrip("/"),
        gateway_url=values.get("rollout_gateway_address", "http://127.0.0.1:8080").rstrip("/"),
        controller_url=values.get("rollout_controller_address", "http://127.0.0.1:8083").rstrip("/"),
        is_token_required=values.get("disable_token_authorization", "false").lower() != "true",
        model_store=path_of("model_store", "model-store"),
        state_dir=path_of("rollout_state", "rollout-state"),
        specs_dir=path_of("rollout_specs", "config/rollouts"),
        database_url=values.get("rollout_database", ""),
        tick_s=tick_s,
        notify_urls=tuple(url for url in values.get("rollout_notify", "").split() if url),
        prometheus_url=values.get("rollout_prometheus", "").rstrip("/"),
        prometheus_credentials=path_if("rollout_prometheus_credentials"),
        prometheus_ca=path_if("rollout_prometheus_ca"),
        alerts_token_file=path_if("rollout_alerts_token"),
    )


def load_settings(config: Path | None = None, *, home: Path | None = None) -> Settings:
    """Settings from ``config``, else ``$TS_ROLLOUT_CONFIG``, else ``config/config.properties`` under ``home``.

    ``home`` defaults to the current directory: start commands where TorchServe was started.

    Raises:
        UsageError: the named file does not exist.
    """
    home = (home or Path.cwd()).resolve()
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    path = home / (named or DEFAULT_CONFIG)
    if not path.is_file():
        if named is not None:
            raise UsageError(f"{path}: no such file", hint="name TorchServe's config.properties with --ts-config")
        return Settings(
            home=home,
            model_store=home / "model-store",
            state_dir=home / "rollout-state",
            specs_dir=home / "config/rollouts",
        )
    return settings_from_properties(read_properties(path.read_text("utf-8")), home=home, config_file=path)
