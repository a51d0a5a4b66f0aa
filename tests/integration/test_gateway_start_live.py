"""How the gateway starts, whom it starts, and what it says when it cannot."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
import requests

from tests.archives import ECHO_HANDLER, write_archive
from tests.torchserve_process import LOOPBACK, TorchServeProcess, wait_until

# Stands in the place of the controller's package: what is tried here is how the gateway starts and watches a process.
CHILD = """
import os, pathlib, signal, sys, time
pathlib.Path(os.environ["CHILD_LOG"]).open("a").write(f"{os.getpid()} {' '.join(sys.argv[1:])}\\n")
print("child speaks", flush=True)
while True:
    time.sleep(0.1)
"""

Child = dict[str, str]


@pytest.fixture
def child(tmp_path: Path) -> Child:
    """Environment in which `python -m torchserve_rollout` is a process that notes its arguments and waits."""
    package = tmp_path / "path" / "torchserve_rollout"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(CHILD)
    return {"PYTHONPATH": str(package.parent), "CHILD_LOG": str(tmp_path / "child.log")}


def starts(child: Child) -> list[tuple[int, list[str]]]:
    """Process id and arguments of every start of the child."""
    log = Path(child["CHILD_LOG"])
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(int(pid), arguments) for pid, *arguments in lines]


def test_the_controller_is_started_watched_and_stopped_with_torchserve(plugins_path: Path, child: Child) -> None:
    server = TorchServeProcess(
        plugins_path=plugins_path, properties={"rollout_controller": "embedded"}, environment=child
    )
    with server:
        wait_until(lambda: starts(child), 10, "the controller to be started")
        (pid, arguments) = starts(child)[0]
        assert arguments == [
            *("serve", "--ts-config", str(server.config_file), "--parent-pid", str(server.jvm.pid)),
        ]
        server.wait_for_log("child speaks")
        psutil.Process(pid).kill()
        wait_until(lambda: len(starts(child)) == 2, 10, "the controller to be started again")
        server.wait_for_log("Rollout controller ended with exit code 137; next start in 1 s")
        second = starts(child)[1][0]
        server.stop()
        assert not psutil.pid_exists(second)


@pytest.mark.parametrize("mode", ["external", "off"])
def test_no_controller_is_started_when_it_is_run_elsewhere(plugins_path: Path, child: Child, mode: str) -> None:
    server = TorchServeProcess(plugins_path=plugins_path, properties={"rollout_controller": mode}, environment=child)
    with server:
        assert starts(child) == []
        answer = server.management("GET", "/rollouts")
        assert answer.status_code == 503
        assert f"rollout_controller (now: {mode})" in answer.json()["message"]


def test_a_python_without_the_package_is_named_in_one_line(plugins_path: Path, tmp_path: Path) -> None:
    # A finder that knows no torchserve_rollout, whatever is installed beside it.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'torchserve_rollout' else find(name, *rest)\n"
    )
    server = TorchServeProcess(
        plugins_path=plugins_path,
        properties={"rollout_controller": "embedded"},
        environment={"PYTHONPATH": str(tmp_path)},
    )
    with server:
        server.wait_for_log("-m pip install torchserve-rollout")


def test_an_address_in_use_is_reported_and_torchserve_goes_on(plugins_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        address = f"http://{LOOPBACK}:{taken.getsockname()[1]}"
        server = TorchServeProcess(properties={"plugins_path": str(plugins_path), "rollout_gateway_address": address})
        with server:
            server.wait_for_log(f"Rollout gateway cannot listen on {address}")
            assert "inference_address=" in server.log()
            assert server.management("GET", "/traffic").status_code == 200


def test_https_uses_torchserves_certificate_and_takes_nothing_else(plugins_path: Path, tmp_path: Path) -> None:
    keystore = tmp_path / "keys.p12"
    subprocess.run(
        [
            *("keytool", "-genkeypair", "-keyalg", "RSA", "-storetype", "PKCS12", "-keystore", str(keystore)),
            *("-storepass", "changeit", "-dname", "CN=localhost", "-ext", f"SAN=IP:{LOOPBACK}"),
        ],
        check=True,
        capture_output=True,
    )
    server = TorchServeProcess(
        properties={"plugins_path": str(plugins_path), "keystore": str(keystore), "keystore_pass": "changeit"}
    )
    server.properties["rollout_gateway_address"] = f"https://{LOOPBACK}:{server.ports.gateway}"
    name = write_archive(server.model_store, "null", "1.0", ECHO_HANDLER)
    with server:
        server.wait_for_log("Rollout gateway listens on https://")
        server.register(name)
        headers = server.inference_headers()
        url = f"{LOOPBACK}:{server.ports.gateway}/predictions/null"
        certificate = tmp_path / "certificate.pem"
        certificate.write_text(ssl.get_server_certificate((LOOPBACK, server.ports.gateway)))
        answer = requests.post(f"https://{url}", data=b"x", headers=headers, timeout=10, verify=str(certificate))
        assert answer.text == "answer of 1.0"
        with pytest.raises(requests.ConnectionError):
            requests.post(f"http://{url}", data=b"x", headers=headers, timeout=10)


def test_https_without_a_certificate_says_which_settings_are_missing(plugins_path: Path) -> None:
    server = TorchServeProcess(properties={"plugins_path": str(plugins_path)})
    server.properties["rollout_gateway_address"] = f"https://{LOOPBACK}:{server.ports.gateway}"
    with server:
        server.wait_for_log("Set keystore, or certificate_file and private_key_file")


class Controller(ThreadingHTTPServer):
    """Answers every request with what it was asked, and the status of the model's name."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Controller.Handler)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = {
                "request": f"{self.command} {self.path}",
                "body": json.loads(body) if body else None,
                "authorization": self.headers.get("Authorization"),
            }
            self.send_response(409 if "busy" in self.path else 200)
            self.end_headers()
            self.wfile.write(json.dumps(asked).encode())

        def log_message(self, *args: object) -> None:
            """Stay silent."""


@pytest.fixture
def controller() -> Iterator[Controller]:
    with Controller() as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


def test_rollouts_are_passed_to_the_controller_and_its_answers_back(plugins_path: Path, controller: Controller) -> None:
    address = f"http://{LOOPBACK}:{controller.server_port}"
    server = TorchServeProcess(plugins_path=plugins_path, properties={"rollout_controller_address": address})
    with server:
        calls = [
            (("GET", "/rollouts", {}), "GET /api/v1/rollouts", None),
            (("GET", "/rollouts/my%20model", {}), "GET /api/v1/rollouts/my%20model", None),
            (
                ("POST", "/rollouts/m", {"version": "2.0", "spec": "careful"}),
                "POST /api/v1/rollouts",
                {"model": "m", "version": "2.0", "spec": "careful"},
            ),
            (("POST", "/rollouts/m", {"version": "2.0"}), "POST /api/v1/rollouts", {"model": "m", "version": "2.0"}),
            (
                ("PUT", "/rollouts/m", {"action": "abort", "reason": "it is late"}),
                "POST /api/v1/rollouts/m/abort",
                {"reason": "it is late", "actor": "management-api"},
            ),
            (
                ("PUT", "/rollouts/m", {"action": "pause"}),
                "POST /api/v1/rollouts/m/pause",
                {"reason": None, "actor": "management-api"},
            ),
        ]
        for (method, path, parameters), request, body in calls:
            answer = server.management(method, path, **parameters)
            authorization = f"Bearer {server.tokens.management}"
            assert answer.status_code == 200
            assert answer.json() == {"request": request, "body": body, "authorization": authorization}
        busy = server.management("PUT", "/rollouts/busy", action="promote")
        assert (busy.status_code, busy.json()["request"]) == (409, "POST /api/v1/rollouts/busy/promote")
        for method, path, parameters, status in [
            ("POST", "/rollouts/m", {}, 400),
            ("PUT", "/rollouts/m", {"action": "explode"}, 400),
            ("PUT", "/rollouts", {"action": "abort"}, 405),
            ("DELETE", "/rollouts/m", {}, 405),
        ]:
            refused = server.management(method, path, **parameters)
            assert refused.status_code == status, refused.text
            assert refused.json()["code"] == status
