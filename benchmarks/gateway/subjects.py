"""What is compared: TorchServe itself, the gateway inside it, and proxies in front of it."""

from __future__ import annotations

import itertools
import runpy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.archives import write_archive
from tests.torchserve_process import TorchServeProcess

from benchmarks.gateway.proxies import PROXIES, Proxy

ROOT = Path(__file__).resolve().parents[2]
STABLE, CANDIDATE, SHADOW = "1.0", "2.0", "3.0"
CANDIDATE_PCT = 5
MIRROR_PCT = 10
# What the others are compared with. A candidate with few requests gets small batches, which cost its workers more,
# whoever splits: so what splits is compared with TorchServe itself under requests that name their version.
WHOLE, SPLIT = "direct", "direct, 95/5 by the client"
# Two controls: how much of a difference is chance, and how much is that of two JVMs, each compiled in its own way.
AGAIN, BESIDE = "direct again", "direct, in the gateway's JVM"
WITHOUT_POLICY = "gateway, no policy"
BATCH_SIZES = {"batched": 16, "single": 1}
"""Models by name. Both have the handler that does nothing; one of them gets its requests in batches."""

HANDLER = """
def handle(data, context):
    return None if data is None else ["ok"] * len(data)
"""

# TorchServe as a user gets it, but for what would drown the front end's share: a log line for each request and the
# machine's own metrics. All of it would cost every subject the same.
PROPERTIES = {"number_of_netty_threads": "0", "async_logging": "true"}
QUIET = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders><Console name="STDOUT" target="SYSTEM_OUT"/></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="STDOUT"/></Root></Loggers>
</Configuration>
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """One way to reach the models; what it is compared with, and who splits the requests over two versions.

    `prepare` puts its policy in force before it is measured.
    """

    name: str
    reference: str
    port: int
    processes: Callable[[], list[psutil.Process]]
    client_splits: bool = False
    prepare: Callable[[str], None] = lambda model: None

    def url(self, model: str) -> str:
        """Where requests for `model` go."""
        return f"http://127.0.0.1:{self.port}/predictions/{model}"


@contextmanager
def subjects(vmargs: str, direct_twice: bool) -> Iterator[list[Subject]]:
    """All subjects, up and ready: one plain TorchServe with the proxies before it, one with the gateway inside."""
    with ExitStack() as stack:
        plugins = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runpy.run_path(str(ROOT / "plugins" / "gateway" / "build_jar.py"))["build_jar"](plugins / "gateway.jar")
        plain = stack.enter_context(_server(None, vmargs))
        with_gateway = stack.enter_context(_server(plugins, vmargs))
        for server in (plain, with_gateway):
            for model, batch_size in BATCH_SIZES.items():
                for version in (STABLE, CANDIDATE, SHADOW):
                    archive = write_archive(server.model_store, model, version, HANDLER)
                    server.register(archive, batch_size=batch_size, max_batch_delay=1)
        found = [_direct(WHOLE, WHOLE, plain)]
        if direct_twice:
            found += [_direct(AGAIN, WHOLE, plain), _direct(BESIDE, WHOLE, with_gateway)]
        found.append(_direct(SPLIT, SPLIT, plain))
        found += _through_the_gateway(with_gateway)
        for name in PROXIES:
            proxy = stack.enter_context(Proxy(name, plain.ports.inference, CANDIDATE_PCT))
            found.append(_behind(proxy, plain))
        yield found


@contextmanager
def _server(plugins_path: Path | None, vmargs: str) -> Iterator[TorchServeProcess]:
    server = TorchServeProcess(plugins_path=plugins_path, properties=PROPERTIES, token_auth=False, vmargs=vmargs)
    log4j2 = server.directory / "log4j2.xml"
    log4j2.write_text(QUIET)
    server.properties["vmargs"] += f" -Dlog4j.configurationFile={log4j2.as_uri()}"
    with server:
        yield server


def _direct(name: str, reference: str, server: TorchServeProcess) -> Subject:
    return Subject(name, reference, server.ports.inference, server.descendants, client_splits=name == SPLIT)


def _behind(proxy: Proxy, server: TorchServeProcess) -> Subject:
    return Subject(proxy.name, SPLIT, proxy.port, lambda: [*server.descendants(), *proxy.processes()])


def _through_the_gateway(server: TorchServeProcess) -> list[Subject]:
    epochs = itertools.count(1)

    def without(model: str) -> None:
        answer = server.management("DELETE", f"/traffic/{model}", epoch=next(epochs))
        if answer.status_code not in (200, 404):
            raise RuntimeError(answer.text)

    def under(**more: str) -> Callable[[str], None]:
        def put(model: str) -> None:
            weights = f"{CANDIDATE}:{CANDIDATE_PCT}"
            answer = server.management(
                *("PUT", f"/traffic/{model}"), epoch=next(epochs), stable=STABLE, weights=weights, lease_s=3600, **more
            )
            if answer.status_code != 200:
                raise RuntimeError(answer.text)

        return put

    ways = {
        WITHOUT_POLICY: (WHOLE, without),
        "gateway, 95/5": (SPLIT, under()),
        "gateway, 95/5 + mirror": (SPLIT, under(mirror=f"{SHADOW}:{MIRROR_PCT}")),
    }
    return [
        Subject(name, reference, server.ports.gateway, server.descendants, prepare=prepare)
        for name, (reference, prepare) in ways.items()
    ]
