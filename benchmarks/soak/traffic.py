"""What users of the soak do: each asks in its own way, at random intervals, and knows what a right answer is."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import requests
from tests.grpc_client import GrpcInference, prediction_request
from tests.torchserve_process import LOOPBACK, TorchServeProcess

from benchmarks.soak.handler import PARTS

MODEL = "soak"
CANDIDATE = "2.0"
TIMEOUT_S = 30.0
PADDINGS = (0, 0, 0, 1_000, 20_000, 300_000)
# In 1,000 requests. An exit costs the candidate a restart, some seconds in which it answers nothing.
FAULTS = {"raise": 30, "slow": 5, "exit": 1}


class WrongAnswer(Exception):
    """What came is not what was asked for."""


def expect(is_right: bool, said: object) -> None:
    """Raise WrongAnswer with what was said unless it is right."""
    if not is_right:
        raise WrongAnswer(str(said))


@dataclass(slots=True)
class Counts:
    """Requests by kind, and what went wrong; shared by all users."""

    asked: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    failovers: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, problem: str | None, is_failover: bool) -> None:
        """One request is over; `problem` is None if its answer was right."""
        with self.lock:
            self.asked[kind] += 1
            self.failovers += is_failover
            if problem is not None:
                self.failed.append(f"{time.strftime('%H:%M:%S')} {kind}: {problem}"[:300])

    def total(self) -> int:
        """Requests so far."""
        with self.lock:
            return sum(self.asked.values())


class User:
    """One thread that asks about `per_s` times a second until stopped."""

    def __init__(self, server: TorchServeProcess, counts: Counts, seed: int, per_s: float) -> None:
        self._server = server
        self._counts = counts
        self._random = random.Random(seed)
        self._per_s = per_s
        self._stop = threading.Event()
        self._session = requests.Session()
        self._grpc = GrpcInference(f"{LOOPBACK}:{server.ports.grpc_gateway}", server.inference_headers())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._kinds: dict[str, tuple[int, Callable[[], bool]]] = {
            "predictions": (40, self._predict),
            "kserve": (5, self._kserve),
            "sticky": (10, self._sticky),
            "named version": (5, self._named),
            "stream": (10, self._stream),
            "grpc": (10, self._grpc_predict),
            "grpc stream": (5, self._grpc_stream),
            "openai": (10, self._openai),
            "left before the answer": (5, self._leave),
        }

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; returns when the last answer is there."""
        self._stop.set()
        self._thread.join(2 * TIMEOUT_S)
        self._session.close()
        self._grpc.__exit__(None, None, None)

    def _run(self) -> None:
        weights = [weight for weight, _ in self._kinds.values()]
        while not self._stop.wait(self._random.expovariate(self._per_s)):
            kind = self._random.choices(list(self._kinds), weights)[0]
            try:
                is_failover = self._kinds[kind][1]()
            except (requests.RequestException, grpc.RpcError, OSError, WrongAnswer) as error:
                self._counts.note(kind, f"{type(error).__name__}: {error}", False)
            else:
                self._counts.note(kind, None, is_failover)

    def _body(self, **more: object) -> bytes:
        """A body of any size; some make the candidate fail."""
        body: dict[str, object] = {"padding": "x" * self._random.choice(PADDINGS), **more}
        point = self._random.random() * 1000
        for fault, share in FAULTS.items():
            point -= share
            if point < 0:
                body[CANDIDATE] = fault
                break
        return json.dumps(body).encode()

    def _post(self, path: str, body: bytes, **headers: str) -> requests.Response:
        return self._session.post(
            self._server.url(self._server.ports.gateway, path),
            data=body,
            headers=self._server.inference_headers() | {"Content-Type": "application/json"} | headers,
            timeout=TIMEOUT_S,
        )

    @staticmethod
    def _check(answer: requests.Response) -> bool:
        expect(answer.status_code == 200, f"{answer.status_code} {answer.text}")
        expect(answer.json()["version"] == answer.headers["x-model-version"], answer.text)
        return "x-rollout-failover" in answer.headers

    def _predict(self) -> bool:
        return self._check(self._post(f"/predictions/{MODEL}", self._body()))

    def _kserve(self) -> bool:
        return self._check(self._post(f"/v2/models/{MODEL}/infer", self._body()))

    def _sticky(self) -> bool:
        user = str(self._random.randrange(1000))
        return self._check(self._post(f"/predictions/{MODEL}", self._body(), **{"x-user-id": user}))

    def _named(self) -> bool:
        # Well on every version: a request that names one is never failed over.
        return self._check(self._post(f"/predictions/{MODEL}/1.0", b"{}"))

    def _stream(self) -> bool:
        answer = self._post(f"/predictions/{MODEL}", self._body(stream=True))
        expect(answer.status_code == 200, f"{answer.status_code} {answer.text}")
        version = answer.headers["x-model-version"]
        expect(answer.text == "".join(f"{part} of {version}\n" for part in range(1, PARTS + 1)), answer.text)
        return "x-rollout-failover" in answer.headers

    def _openai(self) -> bool:
        chat = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
        return self._check(self._post("/v1/chat/completions", self._body(**chat)))

    def _grpc_predict(self) -> bool:
        answer, headers = self._grpc.predict(prediction_request(MODEL, self._body()), TIMEOUT_S)
        expect(json.loads(answer)["version"] == headers["x-model-version"], answer)
        return "x-rollout-failover" in headers

    def _grpc_stream(self) -> bool:
        parts = list(self._grpc.stream(prediction_request(MODEL, self._body(stream=True)), TIMEOUT_S))
        expect(len(parts) == PARTS, parts)
        return False

    def _leave(self) -> bool:
        body = self._body(stream=True)
        head = f"POST /predictions/{MODEL} HTTP/1.1\r\nHost: soak\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self._server.inference_headers().items())
        with socket.create_connection((LOOPBACK, self._server.ports.gateway), timeout=TIMEOUT_S) as connection:
            connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        return False
