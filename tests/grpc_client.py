"""TorchServe's gRPC inference service for tests, without generated code: its messages are described here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "org.pytorch.serve.grpc.inference"
SERVICE = f"/{PACKAGE}.InferenceAPIsService"
_TEXT, _BYTES, _MESSAGE, _NUMBER = 9, 12, 11, 5


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="inference.proto", package=PACKAGE, syntax="proto3")
    request = file.message_type.add(name="PredictionsRequest")
    request.field.add(name="model_name", number=1, type=_TEXT, label=1)
    request.field.add(name="model_version", number=2, type=_TEXT, label=1)
    request.field.add(
        name="input", number=3, type=_MESSAGE, label=3, type_name=f".{PACKAGE}.PredictionsRequest.InputEntry"
    )
    request.field.add(name="sequence_id", number=4, type=_TEXT, label=1)
    entry = request.nested_type.add(name="InputEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_TEXT, label=1)
    entry.field.add(name="value", number=2, type=_BYTES, label=1)
    status = file.message_type.add(name="Status")  # the first two fields of google.rpc.Status
    status.field.add(name="code", number=1, type=_NUMBER, label=1)
    status.field.add(name="message", number=2, type=_TEXT, label=1)
    response = file.message_type.add(name="PredictionResponse")
    response.field.add(name="prediction", number=1, type=_BYTES, label=1)
    response.field.add(name="sequence_id", number=2, type=_TEXT, label=1)
    response.field.add(name="status", number=3, type=_MESSAGE, label=1, type_name=f".{PACKAGE}.Status")
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_describe())
_MESSAGES = {
    name: message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
    for name in ("PredictionsRequest", "PredictionResponse")
}


def prediction_request(model: str, data: bytes, version: str = "", sequence_id: str = "", **more: bytes) -> Any:
    """A PredictionsRequest with `data` as its only input, besides what `more` adds."""
    return _MESSAGES["PredictionsRequest"](
        model_name=model, model_version=version, sequence_id=sequence_id, input={"data": data, **more}
    )


class GrpcInference:
    """A client of one listener. Failed calls raise grpc.RpcError."""

    def __init__(self, address: str, headers: dict[str, str], certificate: bytes | None = None) -> None:
        if certificate is None:
            self._channel = grpc.insecure_channel(address)
        else:
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(certificate))
        self._headers = tuple((name.lower(), value) for name, value in headers.items())

    def predict(self, request: Any, timeout_s: float = 20.0, **headers: str) -> tuple[bytes, dict[str, str]]:
        """Predictions: the answer, and the headers it came with."""
        response, call = self._method("unary_unary", "Predictions").with_call(
            request, timeout=timeout_s, metadata=self._metadata(headers)
        )
        return response.prediction, dict(call.initial_metadata())

    def stream(self, request: Any, timeout_s: float = 20.0) -> Iterator[bytes]:
        """StreamPredictions: the parts as they come."""
        for response in self._method("unary_stream", "StreamPredictions")(
            request, timeout=timeout_s, metadata=self._headers
        ):
            yield response.prediction

    def converse(self, requests: Iterable[Any], timeout_s: float = 20.0) -> Iterator[Any]:
        """StreamPredictions2: all responses."""
        yield from self._method("stream_stream", "StreamPredictions2")(
            iter(requests), timeout=timeout_s, metadata=self._headers
        )

    def _metadata(self, more: dict[str, str]) -> tuple[tuple[str, str], ...]:
        return (*self._headers, *((name.replace("_", "-"), value) for name, value in more.items()))

    def _method(self, kind: str, name: str) -> Any:
        return getattr(self._channel, kind)(
            f"{SERVICE}/{name}",
            request_serializer=_MESSAGES["PredictionsRequest"].SerializeToString,
            response_deserializer=_MESSAGES["PredictionResponse"].FromString,
        )

    def __enter__(self) -> GrpcInference:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
