"""Runs in TorchServe's workers: answers with its version, in parts if asked, and fails where the body says so.

A body is JSON: {"2.0": "raise" | "exit" | "slow", "stream": true, "padding": "…"}; versions not named are well.
"""

import json
import os
import time
from typing import Any

from ts.handler_utils.utils import send_intermediate_predict_response

SLOW_S = 2.0
PARTS = 5


def handle(data: Any, context: Any) -> Any:
    """One answer for the one request of the batch."""
    if data is None:
        return None
    body = data[0].get("body") or data[0].get("data") or b"{}"
    asked = body if isinstance(body, dict) else json.loads(bytes(body))
    version = context.manifest["model"]["modelVersion"]
    fault = asked.get(version)
    if fault == "raise":
        raise ValueError("told to raise")
    if fault == "exit":
        os._exit(3)
    if fault == "slow":
        time.sleep(SLOW_S)
    if asked.get("stream"):
        for part in range(1, PARTS):
            send_intermediate_predict_response([f"{part} of {version}\n"], context.request_ids, "ok", 200, context)
        return [f"{PARTS} of {version}\n"]
    return [json.dumps({"version": version, "bytes": len(asked.get("padding", ""))})]
