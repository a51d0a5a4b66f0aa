"""Streaming: an answer's pieces as JSON lines while it is generated."""

from __future__ import annotations

import json
from typing import Any

from ts.handler_utils.utils import send_intermediate_predict_response

CONTENT_TYPE = "application/x-ndjson"


class AnswerChunks:
    """Sends the pieces of one answer of a batch; ``count`` is how many went out."""

    def __init__(self, context: Any, index: int) -> None:
        self._context = context
        self._index = index
        self.count = 0

    def send(self, text: str) -> None:
        """One line: ``{"text": "…"}``. After the first one the status can no longer change."""
        if not self.count:
            self._context.set_response_content_type(self._index, CONTENT_TYPE)
        self.count += 1
        line = json.dumps({"text": text}, ensure_ascii=False) + "\n"
        # Maps with one key address one request of the batch; TorchServe goes by the ids it is given.
        ids = {self._index: self._context.get_request_id(self._index)}
        send_intermediate_predict_response({self._index: line}, ids, "Intermediate", 200, self._context)
