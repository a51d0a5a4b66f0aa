"""Numbers that a Prometheus server or some other endpoint is asked for: one number, or a reason why there is none."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.torchserve_process import wait_until
from torchserve_rollout.analysis.samples import Measurement, Reading
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.signals.asked import AskedSource, asker
from torchserve_rollout.signals.endpoint import number_at
from torchserve_rollout.signals.prometheus import Access, Prometheus
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.spec.metric import MetricSpec

COHORTS = Cohorts(ModelName("m"), VersionName("2.0"), VersionName("1.0"))
Respond = Callable[[BaseHTTPRequestHandler], tuple[int, str]]


@contextmanager
def serving(respond: Respond, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a server that answers as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = respond(self)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def prometheus_says(kind: str, result: Any) -> Respond:
    content = {"status": "success", "data": {"resultType": kind, "result": result}}
    return lambda _: (200, json.dumps(content))


def vector(*values: str) -> Respond:
    return prometheus_says("vector", [{"metric": {}, "value": [1.0, value]} for value in values])


def why_no_number(respond: Respond) -> str:
    with serving(respond) as url, pytest.raises(RolloutError) as error:
        Prometheus(url).value("up")
    return error.value.message


@pytest.mark.parametrize("respond", [vector("1.5"), prometheus_says("scalar", [1.0, "1.5"])])
def test_a_query_gives_one_number(respond: Respond) -> None:
    with serving(respond) as url:
        assert Prometheus(f"{url}/").value("up") == 1.5


@pytest.mark.parametrize(
    ("respond", "said"),
    [
        (vector(), "the query gives no series: nothing was scraped, or it went stale"),
        (vector("1", "2"), "the query gives 2 series, not one"),
        (vector("NaN"), "up gives nan, which nothing can be compared with"),
        (vector("+Inf"), "up gives inf"),
        (prometheus_says("matrix", []), "the query gives a matrix, not one number"),
        (lambda _: (400, json.dumps({"status": "error", "error": "parse error"})), "answered 400: parse error"),
        (lambda _: (503, "down"), "answered 503"),
        (lambda _: (302, ""), "answered 302"),
        (lambda _: (200, "<html>"), "answered 200"),
        (lambda _: (200, "[]"), "answered 200"),
    ],
)
def test_whatever_is_not_one_number_is_a_reason(respond: Respond, said: str) -> None:
    assert said in why_no_number(respond)


def test_a_server_that_is_slow_or_away_does_not_answer() -> None:
    release = threading.Event()

    def slow(_: BaseHTTPRequestHandler) -> tuple[int, str]:
        release.wait(10)
        return 200, ""

    with serving(slow) as url, pytest.raises(RolloutError, match="does not answer"):
        try:
            Prometheus(url, Access(timeout_s=0.1)).value("up")
        finally:
            release.set()
    with pytest.raises(RolloutError, match="does not answer"):
        Prometheus(url).value("up")


def test_credentials_are_read_anew_for_every_question(tmp_path: Path) -> None:
    seen: list[str | None] = []

    def respond(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        seen.append(request.headers.get("Authorization"))
        return vector("1")(request)

    file = tmp_path / "secret"
    with serving(respond) as url:
        for secret in ("ann:pass:word\n", "token"):
            file.write_text(secret)
            Prometheus(url, Access(credentials=file)).value("up")
        Prometheus(url).value("up")
    assert seen == ["Basic YW5uOnBhc3M6d29yZA==", "Bearer token", None]
    with pytest.raises(RolloutError, match="the credentials cannot be read"):
        Prometheus(url, Access(credentials=tmp_path / "none")).value("up")


def test_only_a_trusted_certificate_is_believed(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with serving(vector("1"), tls) as url:
        assert Prometheus(url, Access(ca=certificate)).value("up") == 1
        with pytest.raises(RolloutError, match="SSLError"):
            Prometheus(url).value("up")


@pytest.mark.parametrize(
    ("body", "path", "number"),
    [("0.5\n", "", 0.5), ('{"a": {"b": [1, 2.5]}}', "a.b.1", 2.5), ('{"a": "7"}', "a", 7.0)],
)
def test_an_endpoint_answers_a_number_or_has_one_in_it(body: str, path: str, number: float) -> None:
    with serving(lambda _: (200, body)) as url:
        assert number_at(url, path) == number


@pytest.mark.parametrize(
    ("status", "body", "path", "said"),
    [
        (200, "fine", "", "gives 'fine', which is not a number"),
        (200, "nan", "", "gives nan"),
        (200, "{}", "a.b", "has nothing at a.b"),
        (200, '{"a": true}', "a", "has True at a, which is not a number"),
        (200, "fine", "a", "something else than JSON"),
        (500, "1", "", "answered 500"),
        (200, "1" * 2_000_000, "", "more than a megabyte"),
    ],
)
def test_an_endpoint_without_a_number_is_a_reason(status: int, body: str, path: str, said: str) -> None:
    with serving(lambda _: (status, body)) as url, pytest.raises(RolloutError) as error:
        number_at(url, path)
    assert said in error.value.message


def first(source: AskedSource) -> Measurement:
    try:
        (measured,) = wait_until(lambda: list(source.collect().values()), 10, "an answer")
        return measured
    finally:
        source.close()


def test_both_versions_are_asked_for_where_they_are_compared() -> None:
    def by_version(request: BaseHTTPRequestHandler) -> tuple[int, str]:
        query = parse_qs(urlsplit(request.path).query)["query"][0]
        return vector({'cost{m="m",v="2.0"}': "8", 'cost{m="m",v="1.0"}': "5"}[query])(request)

    metric = MetricSpec(prometheus='cost{m="{model}",v="{version}"}', interval=0.1)
    with serving(by_version) as url:
        ask = asker(metric, COHORTS, Prometheus(url))
        assert first(AskedSource(metric, COHORTS, ask, True)) == Measurement(metric.key, Reading(1, 8), Reading(1, 5))
        assert first(AskedSource(metric, COHORTS, ask, False)).stable is None


def test_an_answer_is_told_once_and_an_error_until_it_is_over() -> None:
    is_broken = threading.Event()
    is_broken.set()
    metric = MetricSpec(http="http://x", interval=0.1)

    def ask(version: VersionName) -> float:
        if is_broken.is_set():
            raise RolloutError("away")
        return 3.0

    source = AskedSource(metric, COHORTS, ask, False)
    assert wait_until(source.collect, 5, "an error")[metric.key].error == "away"
    is_broken.clear()
    wait_until(lambda: source.collect().get(metric.key) == Measurement(metric.key, Reading(1, 3.0)), 5, "a number")
    source.close()


def test_without_a_server_configured_a_query_is_an_error() -> None:
    metric = MetricSpec(prometheus="up")
    measured = first(AskedSource(metric, COHORTS, asker(metric, COHORTS, None), False))
    assert measured.error.startswith("no Prometheus server is configured")
