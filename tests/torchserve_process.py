"""A real TorchServe for tests: own directory, free ports, token authorization on, nothing left behind.

    with TorchServeProcess(plugins_path=jar_directory) as server:
        server.register("null-1.0.mar")
        answer = server.predict("null", b"hello")

Start-up and every wait end by a condition with a deadline; a failure carries the end of the server's log.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil
import requests

LOOPBACK = "127.0.0.1"
POLL_S = 0.05
REQUEST_TIMEOUT_S = 60.0
FIRST_PORT, PORT_LOTS, PORTS_IN_A_LOT = 16_000, 4, 4_000

T = TypeVar("T")


class ServerTimeout(AssertionError):
    """A condition did not come true in time."""


def wait_until(condition: Callable[[], T], deadline_s: float, what: str) -> T:
    """Return the first truthy value of `condition`; raise ServerTimeout once `deadline_s` seconds are over."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise ServerTimeout(f"waited {deadline_s:g} s in vain for {what}")
        time.sleep(POLL_S)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one server listens, all on loopback."""

    gateway: int
    inference: int
    management: int
    metrics: int
    controller: int
    grpc_gateway: int
    grpc_inference: int
    grpc_management: int

    @classmethod
    def free(cls) -> Ports:
        """Ports nobody listens on now.

        They lie below those that the system gives to outgoing connections, so that none of these takes one before the
        server does, and each process of a parallel test run chooses from a range of its own.
        """
        lot = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PORT_LOTS
        begin = FIRST_PORT + lot * PORTS_IN_A_LOT
        ports = random.sample(range(begin, begin + PORTS_IN_A_LOT), PORTS_IN_A_LOT)
        return cls(*itertools.islice(filter(is_free, ports), len(fields(cls))))


def is_free(port: int) -> bool:
    """True if a server could listen there now."""
    with socket.socket() as trial:
        try:
            trial.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Tokens:
    """The three keys TorchServe wrote into key_file.json when it started."""

    management: str
    inference: str
    api: str


class TorchServeProcess:
    """One TorchServe started by its own command line in a private directory.

    Args:
        plugins_path: directory with plugin jars; None starts a plain TorchServe (the gateway is then not waited for).
        model_store: directory of archives; default: `model-store` in the private directory.
        properties: entries of config.properties that replace or add to the defaults below.
        environment: variables added to the server's environment.
        token_auth: False starts TorchServe with its token authorization off.
        vmargs: options for the JVM.

    `start` and `stop` may alternate: ports, directory and configuration stay the same (a server restart).
    """

    def __init__(
        self,
        *,
        plugins_path: Path | None = None,
        model_store: Path | None = None,
        properties: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        token_auth: bool = True,
        vmargs: str = "-Xmx768m",
    ) -> None:
        # Short on purpose: the workers' UNIX sockets live here, and a socket path may have 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="ts-"))
        self.temporary = self.directory / "t"
        self.logs = self.directory / "logs"
        self.config_file = self.directory / "config.properties"
        self.model_store = model_store or self.directory / "model-store"
        self.ports = Ports.free()
        self.token_auth = token_auth
        self.plugins_path = plugins_path
        self._environment = dict(environment or {})
        self._wrapper: subprocess.Popen[bytes] | None = None
        for each in (self.temporary, self.logs, self.model_store, self.directory / "workflow-store"):
            each.mkdir(parents=True, exist_ok=True)
        self.properties = self._default_properties(vmargs) | dict(properties or {})

    def _default_properties(self, vmargs: str) -> dict[str, str]:
        ports = self.ports
        defaults = {
            "inference_address": f"http://{LOOPBACK}:{ports.inference}",
            "management_address": f"http://{LOOPBACK}:{ports.management}",
            "metrics_address": f"http://{LOOPBACK}:{ports.metrics}",
            "grpc_inference_port": str(ports.grpc_inference),
            "grpc_management_port": str(ports.grpc_management),
            "rollout_gateway_address": f"http://{LOOPBACK}:{ports.gateway}",
            "rollout_grpc_gateway_address": f"{LOOPBACK}:{ports.grpc_gateway}",
            "rollout_controller_address": f"http://{LOOPBACK}:{ports.controller}",
            "rollout_controller": "off",
            "model_store": str(self.model_store),
            "workflow_store": str(self.directory / "workflow-store"),
            "enable_model_api": "true",
            "disable_token_authorization": "false" if self.token_auth else "true",
            "disable_system_metrics": "true",
            "metrics_mode": "prometheus",
            "number_of_netty_threads": "8",
            "default_workers_per_model": "1",
            "vmargs": vmargs,
        }
        if self.plugins_path is not None:
            defaults["plugins_path"] = str(self.plugins_path)
        return defaults

    # -- life -------------------------------------------------------------------------------------------------

    def start(self, deadline_s: float = 90.0) -> TorchServeProcess:
        """Start the server and return once management and (with a plugin) gateway answer."""
        self.config_file.write_text("".join(f"{key}={value}\n" for key, value in self.properties.items()))
        (self.directory / "key_file.json").unlink(missing_ok=True)
        environment = dict(os.environ) | {
            "TMPDIR": str(self.temporary),
            "TEMP": str(self.temporary),
            "LOG_LOCATION": str(self.logs),
            "METRICS_LOCATION": str(self.logs),
        }
        environment.pop("TS_CONFIG_FILE", None)
        with self._output_file.open("ab") as output:
            self._wrapper = subprocess.Popen(
                [
                    *(sys.executable, "-m", "ts.model_server", "--start", "--foreground", "--ncs"),
                    *("--ts-config", str(self.config_file)),
                ],
                cwd=self.directory,
                env=environment | self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(self._is_up, deadline_s, "TorchServe to come up")
        except ServerTimeout as timeout:
            self.stop()
            raise ServerTimeout(f"{timeout}\n{self.log_tail()}") from None
        return self

    def _is_up(self) -> bool:
        if self._wrapper is None or self._wrapper.poll() is not None:
            raise AssertionError(f"TorchServe ended during start-up\n{self.log_tail()}")
        try:
            if self.management("GET", "/models").status_code != 200:
                return False
            return self.plugins_path is None or self.ping().status_code == 200
        except (requests.ConnectionError, FileNotFoundError, json.JSONDecodeError):
            return False

    @property
    def jvm(self) -> psutil.Process:
        """The Java process (the wrapper's child)."""
        return psutil.Process(int((self.temporary / ".model_server.pid").read_text()))

    def is_running(self) -> bool:
        """True while the server's process is there."""
        return self._wrapper is not None and self._wrapper.poll() is None

    def stop(self, deadline_s: float = 30.0) -> None:
        """SIGTERM as `torchserve --stop` does, SIGKILL after the deadline; afterwards no process is left."""
        self._end(lambda process: process.terminate(), deadline_s)

    def kill(self) -> None:
        """SIGKILL the JVM, as an out-of-memory killer would; then clear away what it left."""
        self._end(lambda process: process.kill(), 10.0)

    def _end(self, end: Callable[[psutil.Process], None], deadline_s: float) -> None:
        if self._wrapper is None:
            return
        left = self.descendants()
        try:
            if self._wrapper.poll() is None:
                end(self.jvm)
                self._wrapper.wait(deadline_s)
        except (psutil.NoSuchProcess, FileNotFoundError, subprocess.TimeoutExpired):
            pass  # gone already or deaf: the sweep below settles both
        for process in [*left, psutil.Process(self._wrapper.pid)] if self._wrapper.poll() is None else left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=10)
        self._wrapper.wait(10)
        self._wrapper = None

    def descendants(self) -> list[psutil.Process]:
        """JVM, workers and whatever else the server started."""
        if self._wrapper is None:
            return []
        try:
            return psutil.Process(self._wrapper.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def remove(self) -> None:
        """End the server and delete its directory."""
        # Not stop(): nothing of it is wanted any more, and its quiet period takes seconds.
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> TorchServeProcess:
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    # -- what it says -------------------------------------------------------------------------------------------

    @property
    def _output_file(self) -> Path:
        return self.directory / "output.log"

    def log(self) -> str:
        """Everything the server printed (its console log holds what ts_log.log holds)."""
        return self._output_file.read_text(errors="replace") if self._output_file.exists() else ""

    def log_tail(self, lines: int = 60) -> str:
        """The last lines of the server's log, for failure messages."""
        return "\n".join(self.log().splitlines()[-lines:])

    def wait_for_log(self, text: str, deadline_s: float = 30.0) -> None:
        """Return once the log contains `text`."""
        try:
            wait_until(lambda: text in self.log(), deadline_s, f"the log to contain {text!r}")
        except ServerTimeout as timeout:
            raise ServerTimeout(f"{timeout}\n{self.log_tail()}") from None

    # -- its APIs -----------------------------------------------------------------------------------------------

    @property
    def tokens(self) -> Tokens:
        """The keys of this run; read anew each time, because TorchServe replaces them on request."""
        keys = json.loads((self.directory / "key_file.json").read_text())
        return Tokens(keys["management"]["key"], keys["inference"]["key"], keys["API"]["key"])

    def url(self, port: int, path: str = "") -> str:
        """The address of one of the server's listeners: `server.url(server.ports.metrics, "/metrics")`."""
        return f"http://{LOOPBACK}:{port}{path}"

    def inference_headers(self) -> dict[str, str]:
        """Authorization for the gateway and TorchServe's own inference listener."""
        return {"Authorization": f"Bearer {self.tokens.inference}"} if self.token_auth else {}

    def management_headers(self) -> dict[str, str]:
        """Authorization for the management listener."""
        return {"Authorization": f"Bearer {self.tokens.management}"} if self.token_auth else {}

    def management(self, method: str, path: str, **parameters: str | int | float) -> requests.Response:
        """Call the management API; `parameters` travel in the query string."""
        return requests.request(
            method,
            self.url(self.ports.management, path),
            params=parameters,
            headers=self.management_headers(),
            timeout=REQUEST_TIMEOUT_S,
        )

    def ping(self) -> requests.Response:
        """`GET /ping` on the gateway."""
        return requests.get(
            self.url(self.ports.gateway, "/ping"), headers=self.inference_headers(), timeout=REQUEST_TIMEOUT_S
        )

    def predict(
        self,
        model: str,
        data: bytes | str = b"x",
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> requests.Response:
        """`POST /predictions/{model}[/{version}]` on the gateway."""
        path = f"/predictions/{model}" if version is None else f"/predictions/{model}/{version}"
        return requests.post(
            self.url(self.ports.gateway, path),
            data=data,
            headers=self.inference_headers() | dict(headers or {}),
            timeout=timeout_s,
        )

    def metrics(self) -> str:
        """The text of TorchServe's /metrics."""
        answer = requests.get(self.url(self.ports.metrics, "/metrics"), timeout=REQUEST_TIMEOUT_S)
        answer.raise_for_status()
        return answer.text

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of `name` whose labels include `labels`; 0 when there is none."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        samples = (line for line in self.metrics().splitlines() if line.split("{")[0].split(" ")[0] == name)
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples if all(each in line for each in wanted))

    def register(self, archive: str, workers: int = 1, **parameters: str | int) -> None:
        """Register an archive of the model store and wait until its workers are loaded."""
        answer = self.management("POST", "/models", url=archive, initial_workers=workers, **parameters)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}\n{self.log_tail()}"

    def worker_pids(self, model: str, version: str) -> list[int]:
        """Process ids of one version's workers that have a process now."""
        answer = self.management("GET", f"/models/{model}/{version}")
        workers = answer.json()[0]["workers"] if answer.status_code == 200 else []
        # TorchServe goes on showing the process id of a worker that died.
        return [worker["pid"] for worker in workers if worker["pid"] > 0 and psutil.pid_exists(worker["pid"])]

    def wait_for_ready_workers(self, model: str, version: str, count: int = 1, deadline_s: float = 60.0) -> None:
        """Return once `count` workers of a version say READY."""

        def ready() -> bool:
            answer = self.management("GET", f"/models/{model}/{version}")
            if answer.status_code != 200:
                return False
            ready_now: int = sum(worker["status"] == "READY" for worker in answer.json()[0]["workers"])
            return ready_now >= count

        wait_until(ready, deadline_s, f"{count} READY workers of {model} {version}")
