"""A TorchServe on this machine, started and stopped by its own command line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from torchserve_rollout.errors import RolloutError, ServerError, ServerUnreachable, UsageError
from torchserve_rollout.settings import load_settings
from torchserve_rollout.torchserve.fleet import node_from_settings

_POLL_S = 0.1


class LocalTorchServe:
    """One TorchServe in the foreground of its own session, its output in a log file.

    Args:
        home: the directory it is started in; its ``key_file.json`` and ``logs`` appear there.
        config_file: ``config.properties``.
        log_file: takes what it prints.
        temporary: its own TMPDIR: the pid file and the workers' sockets live there, so two servers never share one.
    """

    def __init__(
        self,
        home: Path,
        config_file: Path,
        log_file: Path,
        temporary: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if not config_file.is_file():
            raise UsageError(f"{config_file}: no such file")
        self._home = home
        self._config_file = config_file
        self._log_file = log_file
        self._temporary = temporary
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, deadline_s: float = 120.0) -> None:
        """Start it and return when its management API answers.

        Raises:
            ServerError: it ended instead. ServerUnreachable: it did not answer in time; it is stopped again.
        """
        for directory in (self._temporary, self._log_file.parent):
            directory.mkdir(parents=True, exist_ok=True)
        (self._home / "key_file.json").unlink(missing_ok=True)  # the last run's keys would be refused
        environment = {**os.environ, "TMPDIR": str(self._temporary), "TEMP": str(self._temporary), **self._environment}
        environment.pop("TS_CONFIG_FILE", None)
        command = [sys.executable, "-m", "ts.model_server", "--start", "--foreground", "--ncs"]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--ts-config", str(self._config_file)],
                cwd=self._home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_alive(self._process, deadline_s)
        except RolloutError:
            self.stop()
            raise

    def _wait_until_alive(self, process: subprocess.Popen[bytes], deadline_s: float) -> None:
        node = node_from_settings(load_settings(self._config_file, home=self._home))
        ends_at = time.monotonic() + deadline_s
        while True:
            if process.poll() is not None:
                raise ServerError(
                    f"TorchServe ended during start-up with code {process.returncode}",
                    status=process.returncode,
                    hint=f"its own words are in {self._log_file}",
                )
            try:
                node.models.is_alive()
                return
            except RolloutError as error:
                if time.monotonic() > ends_at:
                    raise ServerUnreachable(
                        f"TorchServe did not answer within {deadline_s:g} s: {error.message}",
                        hint=f"its own words are in {self._log_file}",
                    ) from error
            time.sleep(_POLL_S)

    @property
    def is_running(self) -> bool:
        """Whether the process we started is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self, deadline_s: float = 30.0) -> None:
        """SIGTERM to its session, SIGKILL after the deadline; workers and controller go with it."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(deadline_s)
        self._signal(signal.SIGKILL)
        self._process.wait(10)
        self._process = None

    def _signal(self, which: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, which)
        except ProcessLookupError:
            return
