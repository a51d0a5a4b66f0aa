"""The directory TorchServe runs in for the demonstration, and the TorchServe in it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
MODEL = "assistant"
RUNTIME_LEFTOVERS = ("logs", "rollout-state", "tmp", "key_file.json")
EXIT_REFUSED = 6
PORTS = (8080, 8081, 8082, 8083, 8085, 7070, 7071, 7075)


class DemoError(Exception):
    """The demonstration cannot go on; the message says why and what to do."""


class RefusedError(DemoError):
    """``ts-rollout`` said no (exit code 6)."""


class Home:
    """``demo/``: laid out by ``ts-rollout init``; models and archives in it are kept for the next run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.models = directory / "models"
        self._environment = {
            **os.environ,
            # Its pid file, its sockets and the unpacked archives.
            "TMPDIR": str(directory / "tmp"),
            "TEMP": str(directory / "tmp"),
            "HF_HUB_OFFLINE": "1",
            "TS_ROLLOUT_CONFIG": str(directory / "config" / "config.properties"),
        }

    @property
    def how_to_stop(self) -> str:
        """The command that ends a TorchServe left running here; its pid file lies in its own TMPDIR."""
        return f"TMPDIR={self.directory / 'tmp'} {Path(sys.executable).with_name('torchserve')} --stop"

    def prepare(self) -> None:
        """Lay the directory out; forget an earlier run's journal and logs.

        Raises:
            DemoError: a port of config/config.properties is taken.
        """
        for port in PORTS:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    raise DemoError(
                        f"port {port} is taken; free it and start again. "
                        f"What an earlier --keep left is stopped with: {self.how_to_stop}"
                    ) from None
        self.forget_run()
        self.directory.mkdir(exist_ok=True)
        (self.directory / "tmp").mkdir()
        self.run("init", str(self.directory), cwd=ROOT)

    def forget_run(self) -> None:
        """Remove what a run leaves behind, except models and archives."""
        for name in RUNTIME_LEFTOVERS:
            path = self.directory / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def forget_archives(self) -> None:
        """Remove what an earlier run packaged."""
        shutil.rmtree(self.directory / "model-store", ignore_errors=True)
        (self.directory / "model-store").mkdir()

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """``ts-rollout ARGUMENTS`` in this directory; its standard output.

        Raises:
            DemoError: it failed; carries what it said.
        """
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ts-rollout")), *arguments],
            cwd=cwd or self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            kind = RefusedError if done.returncode == EXIT_REFUSED else DemoError
            raise kind(f"ts-rollout {' '.join(arguments)} failed ({done.returncode}):\n{done.stderr.strip()}")
        return done.stdout

    def start_torchserve(self, deadline_s: float = 60.0) -> None:
        """``torchserve --start --ts-config config/config.properties``; returns when gateway and controller answer.

        Raises:
            DemoError: they did not within the deadline; carries the end of the log.
        """
        self._torchserve("--start", "--ncs", "--ts-config", "config/config.properties")
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if self._answers():
                return
            time.sleep(0.2)
        raise DemoError(f"TorchServe did not come up within {deadline_s:.0f} s:\n{self._log_tail()}")

    def stop_torchserve(self) -> None:
        """``torchserve --stop``; returns when nothing listens any more."""
        self._torchserve("--stop")
        end = time.monotonic() + 30
        while time.monotonic() < end and self._answers(any_of=True):
            time.sleep(0.2)

    def _torchserve(self, *arguments: str) -> None:
        (self.directory / "logs").mkdir(exist_ok=True)
        with (self.directory / "logs" / "console.log").open("ab") as log:
            subprocess.run(
                [str(Path(sys.executable).with_name("torchserve")), *arguments],
                cwd=self.directory,
                env=self._environment,
                stdout=log,
                stderr=log,
                check=True,
            )

    def _answers(self, *, any_of: bool = False) -> bool:
        up = []
        for url in ("http://127.0.0.1:8080/ping", "http://127.0.0.1:8083/api/v1/health"):
            try:
                headers = {"Authorization": f"Bearer {self.token('inference')}"}
                up.append(requests.get(url, headers=headers, timeout=2).status_code == 200)
            except (requests.RequestException, OSError, ValueError):
                up.append(False)
        return any(up) if any_of else all(up)

    def _log_tail(self) -> str:
        console = self.directory / "logs" / "console.log"
        return "\n".join(console.read_text(errors="replace").splitlines()[-30:]) if console.exists() else "(no log)"

    def token(self, kind: str) -> str:
        """TorchServe's present token: ``inference`` or ``management``."""
        return str(json.loads((self.directory / "key_file.json").read_text())[kind]["key"])
