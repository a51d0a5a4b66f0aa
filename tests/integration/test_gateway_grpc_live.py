"""gRPC through the gateway in a real TorchServe: the same policy, the same promises as over HTTP."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.archives import write_archive
from tests.grpc_client import GrpcInference, prediction_request
from tests.integration.test_gateway_live import HANDLER, Traffic
from tests.torchserve_process import LOOPBACK, TorchServeProcess, wait_until

EVERYTHING_TO_CANDIDATE: dict[str, str | float] = {"stable": "1.0", "weights": "2.0:100", "lease_s": 600}


@pytest.fixture(scope="module")
def server(plugins_path: Path) -> Iterator[TorchServeProcess]:
    with TorchServeProcess(plugins_path=plugins_path) as running:
        yield running


@pytest.fixture
def traffic(server: TorchServeProcess, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    model = re.sub(r"\W+", "_", request.node.name.removeprefix("test_"))
    for version in ("1.0", "2.0"):
        server.register(write_archive(server.model_store, model, version, HANDLER))
    yield Traffic(server, model)
    for version in ("2.0", "1.0"):
        server.management("DELETE", f"/models/{model}/{version}")


@pytest.fixture
def client(server: TorchServeProcess) -> Iterator[GrpcInference]:
    with GrpcInference(f"{LOOPBACK}:{server.ports.grpc_gateway}", server.inference_headers()) as client:
        yield client


def wish(model: str, version: str = "", sequence_id: str = "", **wishes: str) -> object:
    """A request that tells versions what to do: `v2="raise"`."""
    body = {f"{name.removeprefix('v')}.0": what for name, what in wishes.items()}
    return prediction_request(model, json.dumps(body).encode(), version, sequence_id)


def test_calls_are_split_by_weight_and_say_their_version(traffic: Traffic, client: GrpcInference) -> None:
    traffic.policy(stable="1.0", weights="2.0:30", lease_s=600)
    answers = [client.predict(wish(traffic.model)) for _ in range(100)]
    served = Counter(headers["x-model-version"] for _, headers in answers)
    assert 10 <= served["2.0"] <= 52
    assert all(answer.decode() == "answer of " + headers["x-model-version"] for answer, headers in answers)
    assert traffic.outcomes("2.0", "candidate") == {"ok": served["2.0"]}


def test_a_failing_candidate_costs_no_call(traffic: Traffic, client: GrpcInference) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE, candidate_deadline_s=0.5)
    for what in ("raise", "exit", "sleep 1"):
        answer, headers = client.predict(wish(traffic.model, v2=what))
        assert (answer, headers["x-rollout-failover"]) == (b"answer of 1.0", "1"), what
        traffic.server.wait_for_ready_workers(traffic.model, "2.0")


def test_a_named_version_is_honoured_and_its_failures_are_told(traffic: Traffic, client: GrpcInference) -> None:
    traffic.policy(stable="1.0")
    assert client.predict(wish(traffic.model, version="2.0"))[0] == b"answer of 2.0"
    assert client.predict(wish(traffic.model), x_model_version="2.0")[0] == b"answer of 2.0"
    with pytest.raises(grpc.RpcError) as failed:
        client.predict(wish(traffic.model, version="2.0", v2="raise"))
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "Prediction failed" in failed.value.details()
    assert dict(failed.value.trailing_metadata())["x-model-version"] == "2.0"
    for version, model in (("9", traffic.model), ("", "nobody")):
        with pytest.raises(grpc.RpcError) as unknown:
            client.predict(wish(model, version=version))
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_call_without_an_answer_ends_at_the_deadline(traffic: Traffic, client: GrpcInference) -> None:
    traffic.policy(stable="1.0", stable_deadline_s=0.3)
    with pytest.raises(grpc.RpcError) as late:
        client.predict(wish(traffic.model, v1="sleep 1"))
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "within 0.300 s" in late.value.details()


def test_a_client_who_leaves_is_counted(traffic: Traffic, client: GrpcInference) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    with pytest.raises(grpc.RpcError):
        client.predict(wish(traffic.model, v2="sleep 1"), timeout_s=0.3)
    wait_until(lambda: traffic.outcomes("2.0", "candidate"), 5, "the gateway to notice that the client left")
    assert traffic.outcomes("2.0", "candidate") == {"client_gone": 1}


def test_a_client_who_leaves_a_conversation_is_counted_with_each_request_under_way(
    traffic: Traffic, client: GrpcInference
) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    requests = [wish(traffic.model, sequence_id=each, v2="sleep 1") for each in ("a", "b", "c")]
    with pytest.raises(grpc.RpcError):
        list(client.converse(requests, timeout_s=0.4))
    wait_until(
        lambda: traffic.outcomes("2.0", "candidate").get("client_gone") == 3,
        5,
        "the gateway to drop all three requests",
    )


def test_a_stream_comes_in_parts_and_breaks_visibly(traffic: Traffic, client: GrpcInference) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    assert list(client.stream(wish(traffic.model, v2="stream"))) == [b"a2.0 ", b"b2.0 ", b"answer of 2.0"]
    assert client.predict(wish(traffic.model, v2="stream"))[0] == b"a2.0 b2.0 answer of 2.0"
    received = []
    with pytest.raises(grpc.RpcError) as broken:
        for part in client.stream(wish(traffic.model, v2="stream and exit")):
            received.append(part)
    assert received == [b"a2.0 ", b"b2.0 "]
    assert "StreamBrokenException" in broken.value.details()


def test_a_conversation_answers_each_request_and_keeps_a_sequence_on_one_version(
    traffic: Traffic, client: GrpcInference
) -> None:
    traffic.policy(stable="1.0", weights="2.0:50", lease_s=600)
    sequences = [f"s{number % 10}" for number in range(40)]
    requests = [wish(traffic.model, sequence_id=each) for each in sequences]
    responses = list(client.converse(requests))
    assert Counter(response.sequence_id for response in responses) == Counter(sequences)
    served = {(response.sequence_id, response.prediction) for response in responses}
    assert len(served) == 10
    assert {prediction for _, prediction in served} == {b"answer of 1.0", b"answer of 2.0"}


def test_an_error_within_a_conversation_is_a_message_and_ends_nothing(traffic: Traffic, client: GrpcInference) -> None:
    traffic.policy(**EVERYTHING_TO_CANDIDATE)
    requests = [
        wish(traffic.model, sequence_id="a", v1="raise", v2="raise"),
        wish(traffic.model),
        wish(traffic.model, sequence_id="b", v2="raise"),
    ]
    by_sequence = {response.sequence_id: response for response in client.converse(requests)}
    assert by_sequence["a"].status.message == "Prediction failed"
    assert by_sequence[""].status.message == "Parameter sequenceId is required."
    assert by_sequence["b"].prediction == b"answer of 1.0"


def test_without_the_token_nobody_gets_in(traffic: Traffic) -> None:
    address = f"{LOOPBACK}:{traffic.server.ports.grpc_gateway}"
    with GrpcInference(address, {}) as stranger, pytest.raises(grpc.RpcError) as refused:
        stranger.predict(wish(traffic.model))
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_torchserves_certificate_settings_hold(plugins_path: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", f"subjectAltName=IP:{LOOPBACK}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    files = {"certificate_file": str(certificate), "private_key_file": str(key)}
    with TorchServeProcess(plugins_path=plugins_path, properties={"enable_grpc_ssl": "true", **files}) as server:
        server.register(write_archive(server.model_store, "safe", "1.0", HANDLER))
        address = f"{LOOPBACK}:{server.ports.grpc_gateway}"
        with GrpcInference(address, server.inference_headers(), certificate.read_bytes()) as client:
            assert client.predict(wish("safe"))[0] == b"answer of 1.0"
        with GrpcInference(address, server.inference_headers()) as plain, pytest.raises(grpc.RpcError):
            plain.predict(wish("safe"))
