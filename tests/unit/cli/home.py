"""A directory as TorchServe's user has it, with a controller's API over rollouts that a test moves by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.unit.api.in_memory import InMemoryRollouts
from torchserve_rollout.api.app import create_app
from torchserve_rollout.api.server import ApiServer, listen

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "the-management-key"


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ran to its end."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Home:
    """``config/config.properties``, ``key_file.json``, and the API on a free port while ``serve`` is on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rollouts = InMemoryRollouts()
        self.token = TOKEN
        self._port = _free_port()
        self._server: ApiServer | None = None
        self.write_config()
        self.write_key_file()

    @property
    def controller_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def write_config(self, **properties: str) -> None:
        values = {
            "rollout_controller_address": self.controller_url,
            "management_address": "http://127.0.0.1:9",
            "model_store": "model-store",
            **properties,
        }
        file = self.directory / "config" / "config.properties"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))

    def write_key_file(self) -> None:
        expires = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        keys = {kind: {"key": TOKEN, "expiration time": expires} for kind in ("management", "inference")}
        (self.directory / "key_file.json").write_text(json.dumps({**keys, "API": {"key": "the-api-key"}}))

    def serve(self) -> None:
        """Let the controller answer."""
        app = create_app(
            self.rollouts, specs_dir=self.directory / "config" / "rollouts", valid_tokens=lambda: {self.token}
        )
        self._server = ApiServer(app, listen(self.controller_url))
        self._server.start()

    def stop(self) -> None:
        """Take the controller away."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """How ``ts-rollout`` is run here: command line and environment."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
        environment.pop("TS_ROLLOUT_CONFIG", None)
        return [sys.executable, "-m", "torchserve_rollout", *arguments], environment

    def cli(self, *arguments: str, timeout_s: float = 60.0) -> Finished:
        """Run ``ts-rollout`` to its end as a real process."""
        line, environment = self.command(*arguments)
        done = subprocess.run(
            line,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return Finished(done.returncode, done.stdout, done.stderr)


def _free_port() -> int:
    with listen("http://127.0.0.1:0") as probe:
        return int(probe.getsockname()[1])
