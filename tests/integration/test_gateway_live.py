"""The gateway in a real TorchServe: what a caller gets. What happens when a candidate goes bad is in tests/e2e."""

from __future__ import annotations

import itertools
import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.archives import write_archive
from tests.policy_flips import flip
from tests.torchserve_process import LOOPBACK, TorchServeProcess, wait_until

# The body says what a version is to do: {"2.0": "raise"}; every other version answers with its name.
HANDLER = """
import json, os, time
from ts.handler_utils.utils import send_intermediate_predict_response
from ts.utils.util import PredictionException

def handle(data, context):
    if data is None:
        return None
    version = context.manifest["model"]["modelVersion"]
    body = data[0].get("body") or data[0].get("data") or b"{}"
    if isinstance(body, (bytes, bytearray)):
        body = json.loads(body.decode() or "{}")
    wish = body.get(version, "")
    if wish == "raise":
        raise ValueError("no")
    if wish == "exit":
        os._exit(3)
    if wish == "out of memory":
        raise MemoryError("no more")
    if wish == "refuse":
        raise PredictionException("too long", 422)
    if wish.startswith("status "):
        context.set_response_status(int(wish.split()[1]), "Mine", 0)
    if wish.startswith("sleep"):
        time.sleep(float(wish.split()[1]))
    if wish == "large error":
        context.set_response_status(422, "Large", 0)
        return ["y" * 6_000_000]
    if wish == "bad header":
        context.set_response_header(0, "x-bad", "a\\r\\nb: c")
    if wish.startswith("stream"):
        ids = context.request_ids
        for part in ("a", "b"):
            send_intermediate_predict_response([part + version + " "], ids, "ok", 200, context)
        if wish == "stream and status 500":
            context.set_response_status(500, "Mine", 0)
        if wish == "stream and exit":
            time.sleep(0.3)
            os._exit(3)
    if wish.startswith("say "):
        return [wish[4:] for _ in data]
    if wish == "headers":
        header = context.get_request_header
        return [json.dumps({name: header(0, name) for name in ("url_path", "explain", "x-mine", "x-rollout-mirror")})]
    return ["answer of " + version for _ in data]
"""

STATEFUL_HANDLER = """
import json

def handle(data, context):
    if data is None:
        return None
    version = context.manifest["model"]["modelVersion"]
    ids = [context.get_sequence_id(index) for index in range(len(data))]
    return [json.dumps({"version": version, "sequence": each}) for each in ids]
"""

EVERYTHING_TO_CANDIDATE: dict[str, str | float] = {"stable": "1.0", "weights": "2.0:100", "lease_s": 600}


class Traffic:
    """One model of the server with versions 1.0 (default) and 2.0, and the policies it gets.

    Counts are those since this object was made, for the tests share a model and its workers.
    """

    def __init__(self, server: TorchServeProcess, model: str, epoch: int = 0) -> None:
        self.server = server
        self.model = model
        self.epoch = epoch
        self._before = Counter(self._samples())
        self._newest_pair = server.management("GET", f"/mirror/{model}").json()["newest"]

    def policy(self, **parameters: str | float) -> dict[str, object]:
        """Put a new policy in force."""
        self.epoch += 1
        return self.renew(**parameters)

    def renew(self, **parameters: str | float) -> dict[str, object]:
        """Put the present one in force again."""
        answer = self.server.management("PUT", f"/traffic/{self.model}", epoch=self.epoch, **parameters)
        assert answer.status_code == 200, answer.text
        described: dict[str, object] = answer.json()
        return described

    def ask(self, wish: str = "", version: str = "2.0", **headers: str) -> requests.Response:
        """Send a request that tells `version` what to do."""
        return self.server.predict(self.model, json.dumps({version: wish}), headers=headers)

    def in_flight(self, version: str) -> float:
        """Attempts not yet answered."""
        return self.server.metric("ts_rollout_in_flight", model=self.model, version=version)

    def counted(self, name: str, **labels: str) -> int:
        """What was added to the samples of `name` whose labels include `labels`."""
        added = Counter(self._samples()) - self._before
        return int(sum(count for (each, has), count in added.items() if each == name and labels.items() <= set(has)))

    def outcomes(self, version: str, role: str) -> dict[str, int]:
        """Attempts by outcome."""
        names = "ok client_error model_error timeout worker_died out_of_memory no_capacity bad_input client_gone"
        counts = {
            name: self.counted("ts_rollout_attempts_total", version=version, role=role, outcome=name)
            for name in [*names.split(), "stream_broken"]
        }
        return {name: count for name, count in counts.items() if count}

    def pairs(self) -> list[dict[str, Any]]:
        """Mirrored pairs, oldest first."""
        answer = self.server.management("GET", f"/mirror/{self.model}", after=self._newest_pair)
        pairs: list[dict[str, Any]] = answer.json()["pairs"]
        return pairs

    def end(self) -> None:
        """Leave both versions idle, loaded and without a policy."""
        answer = self.server.management("DELETE", f"/traffic/{self.model}", epoch=self.epoch)
        assert answer.status_code in (200, 404), answer.text
        for version in ("1.0", "2.0"):
            self.server.wait_for_ready_workers(self.model, version)
            self.server.predict(self.model, "{}", version=version)

    def _samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.server.metrics())
            for sample in family.samples
            if self.model in (sample.labels.get("model"), sample.labels.get("model_name"))
        }


@pytest.fixture(scope="module")
def server(plugins_path: Path) -> Iterator[TorchServeProcess]:
    leak_detection = "-Xmx768m -Dio.netty.leakDetection.level=paranoid"
    with TorchServeProcess(plugins_path=plugins_path, vmargs=leak_detection) as running:
        yield running
        assert "LEAK:" not in running.log()


@pytest.fixture(scope="module")
def epochs() -> Iterator[int]:
    """Where each test's epochs begin; a gateway refuses those of the tests before."""
    return itertools.count(1000, 1000)


@pytest.fixture(scope="module")
def model(server: TorchServeProcess) -> str:
    """A model with two versions that do as the request says."""
    for version in ("1.0", "2.0"):
        server.register(write_archive(server.model_store, "obedient", version, HANDLER))
    return "obedient"


@pytest.fixture
def traffic(server: TorchServeProcess, model: str, epochs: Iterator[int]) -> Iterator[Traffic]:
    made = Traffic(server, model, next(epochs))
    yield made
    made.end()


def test_traffic_is_split_by_weight_and_every_answer_says_its_version(traffic: Traffic) -> None:
    traffic.policy(stable="1.0", weights="2.0:30", lease_s=600)
    answers = [traffic.ask() for _ in range(300)]
    assert {answer.status_code for answer in answers} == {200}
    served = Counter(answer.headers["x-model-version"] for answer in answers)
    assert 50 <= served["2.0"] <= 135  # 90 expected, five standard deviations
    assert all(answer.text == "answer of " + answer.headers["x-model-version"] for answer in answers)
    assert traffic.outcomes("2.0", "candidate") == {"ok": served["2.0"]}
    assert traffic.outcomes("1.0", "stable") == {"ok": served["1.0"]}
    assert traffic.counted("ts_inference_requests_total", model_version="2.0") == served["2.0"]


def test_without_a_policy_the_default_version_answers(traffic: Traffic) -> None:
    assert traffic.ask().headers["x-model-version"] == "1.0"
    traffic.server.management("PUT", f"/models/{traffic.model}/2.0/set-default")
    assert traffic.ask().headers["x-model-version"] == "2.0"
    assert traffic.outcomes("2.0", "default") == {"ok": 1}
    traffic.server.management("PUT", f"/models/{traffic.model}/1.0/set-default")


def test_stable_that_hangs_gives_504_with_a_reason(traffic: Traffic) -> None:
    traffic.policy(stable="1.0", stable_deadline_s=0.3)
    answer = traffic.ask("sleep 1", version="1.0")
    assert answer.status_code == 504
    assert answer.json()["type"] == "GatewayTimeoutException"
    assert "within 0.300 s" in answer.json()["message"]
    assert answer.headers["x-model-version"] == "1.0"


def test_input_that_fails_everywhere_is_charged_to_nobody(traffic: Traffic) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    for _ in range(8):
        answer = traffic.server.predict(traffic.model, json.dumps({"1.0": "raise", "2.0": "raise"}))
        assert answer.status_code == 503
        assert answer.json()["message"] == "Prediction failed"
    assert traffic.outcomes("2.0", "candidate") == {"bad_input": 8}
    assert traffic.outcomes("1.0", "failover") == {"bad_input": 8}
    assert traffic.ask().headers["x-model-version"] == "2.0"


def test_what_the_caller_did_wrong_is_told_and_not_replayed(traffic: Traffic) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    answer = traffic.ask("refuse")
    assert (answer.status_code, answer.json()["message"]) == (422, "too long")
    assert traffic.outcomes("2.0", "candidate") == {"client_error": 1}


def test_when_the_lease_runs_out_traffic_returns_to_stable_until_it_is_renewed(traffic: Traffic) -> None:
    traffic.policy(stable="1.0", weights="2.0:100", lease_s=0.5)
    assert traffic.ask().text == "answer of 2.0"
    wait_until(lambda: traffic.ask().text == "answer of 1.0", 5, "the lease to run out")
    assert traffic.server.metric("ts_rollout_lease_valid", model=traffic.model) == 0
    renewed = traffic.renew(stable="1.0", weights="2.0:100", lease_s=600)
    assert renewed["lease_valid"] is True
    assert traffic.ask().text == "answer of 2.0"


def test_a_named_version_is_honoured_and_never_failed_over(traffic: Traffic) -> None:
    traffic.policy(stable="1.0", weights="2.0:0", lease_s=600)
    assert traffic.server.predict(traffic.model, "{}", version="2.0").text == "answer of 2.0"
    assert traffic.ask(**{"x-model-version": "2.0"}).text == "answer of 2.0"
    kserve = traffic.server.url(traffic.server.ports.gateway, f"/v2/models/{traffic.model}/versions/2.0/infer")
    assert requests.post(kserve, b"{}", headers=traffic.server.inference_headers(), timeout=10).text == "answer of 2.0"
    failed = traffic.ask("raise", **{"x-model-version": "2.0"})
    assert failed.status_code == 503
    assert "x-rollout-failover" not in failed.headers
    assert traffic.outcomes("2.0", "explicit") == {"ok": 3, "model_error": 1}
    assert traffic.ask(**{"x-model-version": "9"}).status_code == 404
    assert traffic.ask(**{"x-model-version": ""}).text == "answer of 1.0", "an empty header names none"
    traffic.server.register(write_archive(traffic.server.model_store, traffic.model, "cold", HANDLER), workers=0)
    cold = traffic.server.predict(traffic.model, version="cold")
    assert (cold.status_code, cold.json()["type"]) == (503, "ServiceUnavailableException")


def test_a_versions_series_are_removed_once_it_is_unregistered_and_no_policy_names_it(
    server: TorchServeProcess,
) -> None:
    traffic = Traffic(server, "passing")
    for version in ("1.0", "2.0"):
        server.register(write_archive(server.model_store, "passing", version, HANDLER), workers=0)
    traffic.policy(stable="1.0", weights="2.0:100", lease_s=600)
    assert traffic.ask().status_code == 503
    series = 'model="passing",version="2.0",role'
    assert series in server.metrics()
    server.management("DELETE", "/models/passing/2.0")
    traffic.policy(stable="1.0")
    wait_until(lambda: series not in server.metrics(), 20, "the unregistered version's series to be removed")
    assert 'model="passing",version="1.0",role' in server.metrics()


def test_a_sticky_key_stays_on_its_version(traffic: Traffic) -> None:
    traffic.policy(stable="1.0", weights="2.0:50", lease_s=600, sticky="header:x-session-id")
    first = {user: traffic.ask(**{"x-session-id": user}).text for user in map(str, range(20))}
    assert len(set(first.values())) == 2
    assert {user: traffic.ask(**{"x-session-id": user}).text for user in first} == first
    traffic.policy(stable="1.0", weights="2.0:50", lease_s=600, sticky="cookie:session")
    assert {user: traffic.ask(Cookie=f"a=b; session={user}").text for user in first} == first


def test_testers_get_the_candidate_until_it_had_its_last_request(traffic: Traffic) -> None:
    traffic.policy(stable="1.0", weights="2.0:0", lease_s=600, cohort="header:x-user-group=internal", max_requests=3)
    assert traffic.ask().text == "answer of 1.0"
    assert traffic.ask(**{"x-user-group": "external"}).text == "answer of 1.0"
    answers = [traffic.ask(**{"X-User-Group": "internal"}).text for _ in range(5)]
    assert answers == ["answer of 2.0"] * 3 + ["answer of 1.0"] * 2
    shown = traffic.server.management("GET", f"/traffic/{traffic.model}").json()
    assert shown["exposed"] == {"2.0": 3}
    assert (shown["cohort"], shown["max_requests"]) == ("header:x-user-group=internal", 3)


def test_a_spent_replay_budget_takes_the_candidate_out_and_costs_no_request(traffic: Traffic) -> None:
    policy = EVERYTHING_TO_CANDIDATE | {"breaker_consecutive": 0, "breaker_window_failures": 0}
    traffic.policy(**policy, replay_budget=10, replay_budget_min=4)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: traffic.ask("raise"), range(40)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "answer of 1.0")}
    shown = traffic.server.management("GET", f"/traffic/{traffic.model}").json()
    assert shown["breakers_open"]["2.0"]["reason"].startswith("replay budget spent: 5 of ")
    assert 5 <= sum(answer.headers.get("x-rollout-failover") == "1" for answer in answers) < 15


def test_a_shadow_gets_copies_and_nobody_waits_for_it(traffic: Traffic) -> None:
    traffic.policy(stable="1.0", lease_s=600, mirror="2.0:100")
    for wish in ("", "raise", "exit", "stream"):
        answer = traffic.ask(wish)
        assert (answer.status_code, answer.text) == (200, "answer of 1.0"), wish
        wait_until(lambda: traffic.in_flight("2.0") == 0, 10, "the shadow to have answered")
        traffic.server.wait_for_ready_workers(traffic.model, "2.0")
    # Slow shadows: more copies than there may be are dropped, and users do not feel it.
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: traffic.ask("sleep 0.5"), range(24)))
    assert {answer.text for answer in answers} == {"answer of 1.0"}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 0.4
    assert traffic.counted("ts_rollout_mirror_dropped_total", version="2.0", reason="copies") == 8
    told = [(pair["primary"]["status"], pair["shadow"]["status"], pair["shadow"]["body"]) for pair in traffic.pairs()]
    assert told[0] == (200, 200, "answer of 2.0")
    assert [status for _, status, _ in told[1:3]] == [503, 500]
    assert told[3] == (200, 200, "a2.0 b2.0 answer of 2.0")
    assert traffic.counted("ts_rollout_answers_total", version="2.0") == 0
    assert traffic.outcomes("2.0", "mirror").keys() >= {"ok", "model_error", "worker_died"}


def test_a_shadow_is_told_that_it_is_one(traffic: Traffic) -> None:
    traffic.policy(stable="1.0", lease_s=600, mirror="2.0:100")
    wishes = json.dumps({"1.0": "headers", "2.0": "headers"})
    answer = traffic.server.predict(traffic.model, wishes)
    assert answer.json()["x-rollout-mirror"] is None
    path = f"/mirror/{traffic.model}"
    pairs = wait_until(traffic.pairs, 10, "the pair")
    assert json.loads(pairs[0]["shadow"]["body"])["x-rollout-mirror"] == "1"
    for query in ({"after": -1}, {"limit": 0}, {"after": "x"}):
        assert traffic.server.management("GET", path, **query).status_code == 400
    assert traffic.server.management("DELETE", path).status_code == 405


def test_a_sequence_stays_on_the_version_where_it_began_until_it_ends_or_that_has_no_workers(
    server: TorchServeProcess,
) -> None:
    config = "sequenceBatching: true\nbatchSize: 16\nmaxNumSequence: 16\nsequenceMaxIdleMSec: 20000\n"
    for version in ("1.0", "2.0"):
        server.register(write_archive(server.model_store, "stateful", version, STATEFUL_HANDLER, config))
    traffic = Traffic(server, "stateful")
    traffic.policy(stable="1.0", weights="2.0:50", lease_s=600)
    began = [traffic.ask().json() for _ in range(16)]
    assert {each["version"] for each in began} == {"1.0", "2.0"}
    # Whatever becomes of the weights: stopped, promoted, and with no policy at all.
    for weights in ({"stable": "1.0", "weights": "2.0:0"}, {"stable": "2.0"}, {"stable": "1.0", "weights": "2.0:100"}):
        traffic.policy(**weights, lease_s=600)
        for each in began:
            assert traffic.ask(ts_request_sequence_id=each["sequence"]).json() == each
    server.management("DELETE", "/traffic/stateful", epoch=traffic.epoch)
    for each in began:
        assert traffic.ask(ts_request_sequence_id=each["sequence"]).json() == each
    of_candidate = [each["sequence"] for each in began if each["version"] == "2.0"]
    assert (
        traffic.ask(ts_request_sequence_id=of_candidate[0], ts_request_sequence_end="true").json()["version"] == "2.0"
    )
    assert traffic.ask(ts_request_sequence_id=of_candidate[0]).json()["version"] == "1.0"
    server.management("PUT", "/models/stateful/2.0", min_worker=0, synchronous="true")
    assert {traffic.ask(ts_request_sequence_id=each).json()["version"] for each in of_candidate} == {"1.0"}
    for version in ("2.0", "1.0"):
        server.management("DELETE", f"/models/stateful/{version}")


def test_every_way_in_obeys_the_policy(traffic: Traffic) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    for path in (
        *("/predictions/{m}", "/explanations/{m}", "/{m}/predict", "/invocations?model_name={m}"),
        *("/models/{m}/invoke", "/v1/models/{m}:predict", "/v1/models/{m}:explain"),
        *("/v2/models/{m}/infer", "/v2/models/{m}/explain"),
    ):
        url = traffic.server.url(traffic.server.ports.gateway, path.format(m=traffic.model))
        answer = requests.post(url, data=b"{}", headers=traffic.server.inference_headers(), timeout=10)
        assert (answer.status_code, answer.text) == (200, "answer of 2.0"), path


def test_headers_reach_the_handler_as_from_torchserve(traffic: Traffic) -> None:
    for version, port in (("gateway", traffic.server.ports.gateway), ("own", traffic.server.ports.inference)):
        url = traffic.server.url(port, f"/explanations/{traffic.model}/2.0/some/where")
        headers = traffic.server.inference_headers() | {"x-mine": "1"}
        answer = requests.post(url, data=json.dumps({"2.0": "headers"}), headers=headers, timeout=10)
        assert answer.json() == {
            "url_path": "some/where",
            "explain": "True",
            "x-mine": "1",
            "x-rollout-mirror": None,
        }, version


def test_a_form_is_read_as_by_torchserve(traffic: Traffic) -> None:
    url = traffic.server.url(traffic.server.ports.gateway, f"/predictions/{traffic.model}/2.0")
    answer = requests.post(
        url, files={"data": json.dumps({"2.0": ""})}, headers=traffic.server.inference_headers(), timeout=10
    )
    assert answer.text == "answer of 2.0"


def test_a_stream_passes_through(traffic: Traffic) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    for _ in range(3):
        answer = traffic.ask("stream")
        assert answer.text == "a2.0 b2.0 answer of 2.0"
        assert answer.headers["transfer-encoding"] == "chunked"
    assert traffic.outcomes("2.0", "candidate") == {"ok": 3}


def test_a_stream_that_ends_with_an_errors_status_is_broken_off_so_that_the_caller_sees_it(traffic: Traffic) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        traffic.ask("stream and status 500")
    assert traffic.outcomes("2.0", "candidate") == {"stream_broken": 1}


def raw_request(traffic: Traffic, version: str, wish: str, more_bytes: int = 0) -> bytes:
    """A request as it goes over the wire, its body made longer by `more_bytes` of white space."""
    body = json.dumps({version: wish}) + " " * more_bytes
    return (
        f"POST /predictions/{traffic.model}/{version} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {traffic.server.tokens.inference}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def pipelined(traffic: Traffic, *asked: bytes) -> bytes:
    """What comes back when all is sent at once, up to the answer of a last request, to version 1.0."""
    with socket.create_connection((LOOPBACK, traffic.server.ports.gateway), timeout=20) as connection:
        connection.sendall(b"".join(asked) + raw_request(traffic, "1.0", "say that is all"))
        received = b""
        while not received.endswith(b"that is all"):
            part = connection.recv(65536)
            assert part, f"closed after {received!r}"
            received += part
    return received


def test_pipelined_requests_are_answered_in_order(traffic: Traffic) -> None:
    one = raw_request(traffic, "1.0", "")
    ping = one.replace(b"POST /predictions/" + traffic.model.encode() + b"/1.0", b"GET /ping", 1)
    received = pipelined(traffic, raw_request(traffic, "1.0", "sleep 0.3"), ping, raw_request(traffic, "2.0", ""))
    order = [received.index(text) for text in (b"answer of 1.0", b"Healthy", b"answer of 2.0", b"that is all")]
    assert order == sorted(order)


def test_a_pipelined_request_that_is_too_large_is_refused_when_it_is_its_turn(traffic: Traffic) -> None:
    too_large = raw_request(traffic, "2.0", "", more_bytes=7_000_000)
    received = pipelined(traffic, raw_request(traffic, "1.0", "sleep 0.3"), too_large)
    order = [received.index(text) for text in (b"answer of 1.0", b"RequestTooLargeException", b"that is all")]
    assert order == sorted(order)


def test_a_client_of_http_1_0_gets_a_stream_as_it_is(traffic: Traffic) -> None:
    request = raw_request(traffic, "2.0", "stream").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    with socket.create_connection((LOOPBACK, traffic.server.ports.gateway), timeout=10) as connection:
        connection.sendall(request)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"chunked" not in head
    assert body == b"a2.0 b2.0 answer of 2.0"


def test_a_slow_reader_gets_all_of_an_answer_that_closes_the_connection(traffic: Traffic) -> None:
    with requests.Session() as session:
        url = traffic.server.url(traffic.server.ports.gateway, f"/predictions/{traffic.model}/2.0")
        wish = json.dumps({"2.0": "large error"})
        headers = traffic.server.inference_headers()
        with session.post(url, data=wish, headers=headers, timeout=20, stream=True) as answer:
            # The gateway has written everything once it counts the answer; nothing of it has been read here.
            wait_until(lambda: traffic.outcomes("2.0", "explicit"), 10, "the answer to be written")
            assert (answer.status_code, len(answer.content)) == (422, 6_000_000)


@pytest.mark.parametrize("wish", ["bad header", "status 100", "status 0"])
def test_what_http_forbids_as_an_answer_is_the_versions_fault_and_kills_no_worker(traffic: Traffic, wish: str) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    assert traffic.ask(wish).text == "answer of 1.0"
    assert traffic.outcomes("2.0", "candidate") == {"model_error": 1}
    named = traffic.server.predict(traffic.model, json.dumps({"2.0": wish}), version="2.0")
    assert (named.status_code, named.json()["type"]) == (502, "InvalidResponseException")
    assert traffic.ask().text == "answer of 2.0"


def test_a_caller_who_leaves_is_counted_and_nobody_is_charged(traffic: Traffic) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    with pytest.raises(requests.exceptions.ReadTimeout):
        traffic.server.predict(traffic.model, json.dumps({"2.0": "sleep 1"}), timeout_s=0.2)
    wait_until(lambda: traffic.outcomes("2.0", "candidate"), 5, "the gateway to notice that the caller left")
    assert traffic.outcomes("2.0", "candidate") == {"client_gone": 1}
    assert traffic.ask().text == "answer of 2.0"


def test_policies_change_under_load_without_a_failed_doubled_or_misrouted_request(traffic: Traffic) -> None:
    versions = ("1.0", "2.0", "3.0")
    traffic.server.register(write_archive(traffic.server.model_store, traffic.model, "3.0", HANDLER))
    flips = flip(traffic.server, traffic.model, versions, flips=300, hold_s=0.01, first_epoch=traffic.epoch)
    traffic.epoch += 300
    assert flips.failed == []
    assert flips.misrouted == []
    assert flips.telling > 100, "the requests must be able to tell a mistake"
    assert {each.version for each in flips.asked} == set(versions)
    assert traffic.counted("ts_rollout_attempts_total") == len(flips.asked)
    traffic.server.management("DELETE", f"/models/{traffic.model}/3.0")


def test_torchserves_own_routes_answer_as_before(server: TorchServeProcess) -> None:
    own, gateway = (server.url(port) for port in (server.ports.inference, server.ports.gateway))
    headers = server.inference_headers()
    for method, path in [("GET", "/ping"), ("OPTIONS", "/"), ("GET", "/api-description"), ("GET", "/no/such/path")]:
        expected = requests.request(method, own + path, headers=headers, timeout=10)
        answer = requests.request(method, gateway + path, headers=headers, timeout=10)
        assert (answer.status_code, answer.text) == (expected.status_code, expected.text), path
    for path in ("/ping", "/predictions/m"):
        refused = requests.post(gateway + path, data=b"x", timeout=10)
        assert (refused.status_code, refused.json()["type"]) == (400, "InvalidKeyException")
    too_large = requests.post(gateway + "/predictions/m", data=b"x" * 7_000_000, headers=headers, timeout=10)
    assert too_large.status_code == 413


def test_the_traffic_api_refuses_what_is_wrong_and_changes_nothing(server: TorchServeProcess) -> None:
    traffic = Traffic(server, "refusing")
    for version in ("1.0", "2.0"):
        server.register(write_archive(server.model_store, "refusing", version, HANDLER), workers=0)
    manage, path = traffic.server.management, f"/traffic/{traffic.model}"
    assert manage("GET", path).status_code == 404
    before = traffic.policy(stable="1.0", weights="2.0:5", lease_s=600)
    refused = [
        (manage("PUT", path, stable="1.0", weights="2.0:x", foo=1), 400, "InvalidPolicyException"),
        (manage("PUT", path, epoch=2, stable="9"), 404, "ResourceNotFoundException"),
        (manage("PUT", "/traffic/nobody", epoch=2, stable="1.0"), 404, "ResourceNotFoundException"),
        (manage("PUT", path, epoch=1, stable="1.0"), 409, "ReusedEpochException"),
        (manage("DELETE", path), 400, "InvalidPolicyException"),
        (manage("PUT", "/traffic", epoch=2, stable="1.0"), 405, "MethodNotAllowedException"),
        (manage("POST", path), 405, "MethodNotAllowedException"),
        (manage("GET", path + "/deeper"), 404, "ResourceNotFoundException"),
    ]
    for answer, status, kind in refused:
        assert (answer.status_code, answer.json()["type"]) == (status, kind), answer.text
    now = manage("GET", path).json()
    assert {key: value for key, value in now.items() if "remaining" not in key} == {
        key: value for key, value in before.items() if "remaining" not in key
    }
    assert requests.get(traffic.server.url(traffic.server.ports.management, "/traffic"), timeout=10).status_code == 400
    traffic.policy(stable="1.0")
    assert manage("PUT", path, epoch=1, stable="1.0").json()["type"] == "StaleEpochException"
    assert manage("DELETE", path, epoch=1).status_code == 409
    assert manage("DELETE", path, epoch=2).status_code == 200
    assert manage("DELETE", path, epoch=2).status_code == 404
