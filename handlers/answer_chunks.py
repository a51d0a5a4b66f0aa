"""Streaming: an answer's pieces on their way while it is generated."""

from __future__ import annotations

from typing import Any

from ts.handler_utils.utils import send_intermediate_predict_response

from answer_form import AnswerForm


class AnswerChunks:
    """Sends the pieces of one answer of a batch; ``count`` is how many went out."""

    def __init__(self, context: Any, index: int, form: AnswerForm) -> None:
        self._context = context
        self._index = index
        self._form = form
        self.count = 0

    def send(self, text: str) -> None:
        """One piece. After the first one the status can no longer change."""
        if not self.count:
            self._context.set_response_content_type(self._index, self._form.stream_type)
        piece = self._form.part(text, is_first=not self.count)
        self.count += 1
        # Maps with one key address one request of the batch; TorchServe goes by the ids it is given.
        ids = {self._index: self._context.get_request_id(self._index)}
        send_intermediate_predict_response({self._index: piece}, ids, "Intermediate", 200, self._context)
