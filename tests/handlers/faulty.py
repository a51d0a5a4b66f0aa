"""A handler for tests that answers at once, and goes bad while it is live.

Its behaviour is read anew for every request from a small JSON file named in model-config.yaml
(``handler: {fault_file: /path/fault.json}``), so a test rewrites the file and the next request meets the fault:

    {"mode": "ok"}                    answer {"version": …, "text": …}; also what a missing or unreadable file means
    {"mode": "raise"}                 raise in the handler: TorchServe answers 503
    {"mode": "exit", "code": 1}       end the process at once, as a crash would
    {"mode": "memory_error"}          run out of memory: TorchServe answers 507
    {"mode": "hang"}                  do not answer as long as the file says so
    {"mode": "slow", "seconds": 2.5}  answer late
    {"mode": "status", "code": 500}   answer with that status
    {"mode": "refuse", "code": 500}   raise TorchServe's PredictionException with that status
    {"mode": "poison"}                raise if the request's body is b"poison", and with it fail the whole batch
    {"mode": "stream", "then": "exit"}  begin a streaming answer, then raise, exit, hang, or end it with a "status"
    {"mode": "empty"}                 answer with an empty text
    {"mode": "text", "text": "…"}     answer with that text

With every mode may go ``"share": 0.3`` (of the requests, evenly spread; default all) and ``"spare_probes": true``
(requests with a ``seed``, which probes send and users do not, stay well). At load the key ``"load"`` may say ``raise``,
``runtime_error``, ``memory_error``, ``exit`` or ``hang``. Write the file with an atomic rename; a half-written one
means ok.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ts.handler_utils.utils import send_intermediate_predict_response
from ts.utils.util import PredictionException

LOOK_AGAIN_S = 0.02


class FaultyHandler:
    """Answers JSON with the version that served; turns bad on command."""

    def initialize(self, context: Any) -> None:
        """Remember who we are; fail if the file says so under ``load``."""
        config = (context.model_yaml_config or {}).get("handler") or {}
        self.fault_file = Path(config["fault_file"]) if config.get("fault_file") else None
        self.text = str(config.get("text", "all is well"))
        self.version = str(context.manifest["model"]["modelVersion"])
        self.requests = 0
        self._misbehave(self._fault(), "load")

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[str]:
        """One answer for each request of the batch."""
        return [self._answer(item, index, context) for index, item in enumerate(data)]

    def _answer(self, item: dict[str, Any], index: int, context: Any) -> str:
        fault = self._fault()
        text = self.text
        if self._is_due(fault, item):
            if fault.get("mode") == "stream":
                part = json.dumps({"version": self.version}) + "\n"
                send_intermediate_predict_response([part], context.request_ids, "ok", 200, context)
                self._misbehave(fault, "then")
            self._misbehave(fault)
            text = {"empty": "", "text": str(fault.get("text", ""))}.get(str(fault.get("mode")), text)
            if "status" in (fault.get("mode"), fault.get("then")):
                context.set_response_status(int(fault.get("code", 500)), "Fault", index)
        context.set_response_content_type(index, "application/json")
        return json.dumps({"version": self.version, "text": text, "model_version": self.version})

    def _fault(self) -> dict[str, Any]:
        try:
            fault = json.loads(self.fault_file.read_text("utf-8")) if self.fault_file else {}
        except (OSError, ValueError):
            return {}
        return fault if isinstance(fault, dict) else {}

    def _is_due(self, fault: dict[str, Any], item: dict[str, Any]) -> bool:
        if fault.get("spare_probes") and _has_seed(item):
            return False
        if fault.get("mode") == "poison":
            return bool(_body(item) == b"poison")
        share = float(fault.get("share", 1.0))
        self.requests += 1
        return int(self.requests * share) > int((self.requests - 1) * share)

    def _misbehave(self, fault: dict[str, Any], key: str = "mode") -> None:
        mode = fault.get(key)
        if mode in ("raise", "poison"):
            raise ValueError("told to raise")
        if mode == "runtime_error":
            raise RuntimeError("told to raise a RuntimeError, which TorchServe treats apart while loading")
        if mode == "memory_error":
            raise MemoryError("told to run out of memory")
        if mode == "refuse":
            raise PredictionException("told to refuse", int(fault.get("code", 500)))
        if mode == "exit":
            os._exit(int(fault.get("code", 1)))
        if mode == "slow":
            time.sleep(float(fault.get("seconds", 1.0)))
        while mode == "hang" and self._fault().get(key) == "hang":
            time.sleep(LOOK_AGAIN_S)


def _body(item: dict[str, Any]) -> Any:
    return item.get("body", item.get("data", item))


def _has_seed(item: dict[str, Any]) -> bool:
    body = _body(item)
    if isinstance(body, bytes | bytearray | str):
        try:
            body = json.loads(body)
        except ValueError:
            return False
    return isinstance(body, dict) and "seed" in body
