"""The whole product as a test sees it: TorchServe with gateway and embedded controller, driven by the CLI.

A test reads: given versions packaged, when a rollout is started under traffic, then it ends so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from tests.torchserve_process import TorchServeProcess, wait_until
from tests.traffic import Traffic
from torchserve_rollout.packaging.request import PackageRequest
from torchserve_rollout.packaging.store import Catalogue

ROOT = Path(__file__).resolve().parents[2]
FAULTY_HANDLER = ROOT / "tests" / "handlers" / "faulty.py"
MODEL = "assistant"

FAST_SPEC: dict[str, Any] = {
    "model": MODEL,
    "strategy": "canary",
    "steps": [
        {"weight": 5, "bake": "1s", "min_requests": 5},
        {"weight": 50, "bake": "1s", "min_requests": 20},
    ],
    "final_bake": "2s",
    "deadlines": {"candidate": "1s", "stable": "20s"},
    "lease": "4s",
    "prepare": {"timeout": "60s"},
    "alarms": [{"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.05, "min_samples": 10}],
}


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ran to its end."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Product:
    """One TorchServe home with everything in it. Use as a context manager."""

    def __init__(self, plugins_path: Path, **properties: str) -> None:
        self.server = TorchServeProcess(
            plugins_path=plugins_path,
            properties={
                "rollout_controller": "embedded",
                "rollout_state": "rollout-state",
                "rollout_specs": "specs",
                "rollout_tick": "200ms",
                "metrics_config": str(ROOT / "config" / "metrics.yaml"),
                "workflow_store": "/dev/null",
                "allowed_urls": "(?!)",
                **properties,
            },
        )
        self.home = self.server.directory
        self._catalogue = Catalogue(self.server.model_store)
        (self.home / "specs").mkdir()
        (self.home / "faults").mkdir()

    def __enter__(self) -> Product:
        self.server.__enter__()
        self.wait_for_controller()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.remove()

    # -- given --------------------------------------------------------------------------------------------------

    def package(self, version: str, *, load: str | None = None, model: str = MODEL) -> None:
        """A version of the null model whose behaviour the test can turn bad while it serves.

        ``load`` makes it fail while it loads: raise, runtime_error, memory_error, exit, hang.
        """
        fault_file = self.fault_file(version, model)
        if load is not None:
            fault_file.write_text(json.dumps({"load": load}))
        config = {"handler": {"fault_file": str(fault_file)}}
        # What `ts-rollout package` does, without starting a process for it.
        self._catalogue.package(PackageRequest(model, version, str(FAULTY_HANDLER), config=config))

    def fault_file(self, version: str, model: str = MODEL) -> Path:
        return self.home / "faults" / f"{model}-{version}.json"

    def turn(
        self, version: str, mode: str, *, model: str = MODEL, arguments: Mapping[str, float] | None = None
    ) -> None:
        """Switch a live version to another behaviour: ok, raise, exit, memory_error, hang, slow …"""
        path = self.fault_file(version, model)
        half = path.with_suffix(".half")
        half.write_text(json.dumps({"mode": mode, **(arguments or {})}))
        half.replace(path)

    def write_spec(self, changes: Mapping[str, Any] | None = None, name: str = "spec.yaml") -> Path:
        """``FAST_SPEC`` with some fields replaced, as a file."""
        path = self.home / "specs" / name
        path.write_text(yaml.safe_dump({**FAST_SPEC, **(changes or {})}))
        return path

    def live(self, version: str = "1.0", model: str = MODEL) -> None:
        """Package a version and let it go live as the first one."""
        self.package(version, model=model)
        spec = self.write_spec(
            {"model": model, "strategy": "all_at_once", "steps": [], "final_bake": "0s"}, "first.yaml"
        )
        assert self.cli("start", model, version, "--spec", str(spec)).code == 0
        assert self.wait_for_end(model)["phase"] == "SUCCEEDED"

    # -- when ---------------------------------------------------------------------------------------------------

    def cli(self, *arguments: str, timeout_s: float = 120.0) -> Finished:
        """Run ``ts-rollout`` as a user would, in TorchServe's home."""
        done = subprocess.run(
            [sys.executable, "-m", "torchserve_rollout", "--ts-config", str(self.server.config_file), *arguments],
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(self, version: str, changes: Mapping[str, Any] | None = None, model: str = MODEL) -> None:
        """Start a rollout of ``version`` with ``FAST_SPEC`` and some changes."""
        done = self.cli("start", model, version, "--spec", str(self.write_spec(changes)))
        assert done.code == 0, done.err

    def traffic(self, count: int, *, users: int = 8, model: str = MODEL) -> Traffic:
        """Users at the gateway who name no version."""
        return Traffic(
            self.server.url(self.server.ports.gateway, f"/predictions/{model}"),
            self.server.inference_headers,
            count=count,
            users=users,
            pause_s=0.02,
        )

    # -- then ---------------------------------------------------------------------------------------------------

    def rollout(self, ref: str = MODEL) -> dict[str, Any]:
        """The newest rollout of a model, from the controller's API; empty when there is none."""
        answer = requests.get(
            self.server.url(self.server.ports.controller, f"/api/v1/rollouts/{ref}"),
            headers=self.server.management_headers(),
            timeout=10,
        )
        return dict(answer.json()) if answer.status_code == 200 else {}

    def wait_for(
        self,
        what: str,
        condition: Callable[[dict[str, Any]], bool],
        deadline_s: float = 60.0,
        model: str = MODEL,
    ) -> dict[str, Any]:
        """The rollout once ``condition`` holds of it."""
        last: dict[str, Any] = {}

        def holds() -> bool:
            nonlocal last
            try:
                last = self.rollout(model)
            except requests.ConnectionError:
                return False
            return bool(last) and condition(last)

        try:
            wait_until(holds, deadline_s, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\nlast seen: {json.dumps(last, indent=2)}\n{self.story()}") from None
        return last

    def wait_for_end(self, model: str = MODEL, deadline_s: float = 90.0) -> dict[str, Any]:
        """The rollout in its terminal phase."""
        return self.wait_for(f"the rollout of {model} to end", lambda seen: seen["is_terminal"], deadline_s, model)

    def default_version(self, model: str = MODEL) -> str | None:
        answer = self.server.management("GET", f"/models/{model}")
        return answer.json()[0]["modelVersion"] if answer.status_code == 200 else None

    def versions(self, model: str = MODEL) -> set[str]:
        answer = self.server.management("GET", f"/models/{model}/all")
        return {entry["modelVersion"] for entry in answer.json()} if answer.status_code == 200 else set()

    def policy(self, model: str = MODEL) -> dict[str, Any] | None:
        answer = self.server.management("GET", f"/traffic/{model}")
        return dict(answer.json()) if answer.status_code == 200 else None

    def wait_for_controller(self, deadline_s: float = 30.0) -> None:
        def answers() -> bool:
            try:
                url = self.server.url(self.server.ports.controller, "/api/v1/health")
                return requests.get(url, timeout=5).status_code == 200
            except requests.ConnectionError:
                return False

        try:
            wait_until(answers, deadline_s, "the controller to answer")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None

    def story(self, lines: int = 60) -> str:
        """The end of the log without the polling of the controller, for failure messages."""
        noise = (
            "ACCESS_LOG",
            "HttpRequestHandler - Running",
            "[METRICS]",
            "Flushing req",
            "Looping backend",
            "RestJob",
            "Backend response time",
            "Backend received",
            "Sending response",
        )
        told = [line for line in self.server.log().splitlines() if not any(part in line for part in noise)]
        return "\n".join(told[-lines:])

    def controller(self) -> psutil.Process:
        """The embedded controller's process."""
        for process in self.server.descendants():
            if "torchserve_rollout" in process.cmdline():
                return process
        raise AssertionError("no controller runs")
