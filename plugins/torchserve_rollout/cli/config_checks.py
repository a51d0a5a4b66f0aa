"""What must stand in ``config.properties`` for a rollout to work, checked key by key; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from torchserve_rollout.cli.findings import Finding, bad, ok, warning
from torchserve_rollout.model import Word

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# What the shipped signals are read from (docs/reference/metrics.md).
HANDLER_SERIES = (
    "ts_rollout_llm_requests_total",
    "ts_rollout_llm_failures_total",
    "ts_rollout_llm_latency_seconds",
    "ts_rollout_llm_empty_answers_total",
    "ts_rollout_llm_repeated_answers_total",
)
HANDLER_LABELS = ["ModelVersion", "ModelName", "Level"]
# Addresses nobody would allow on purpose: a pattern that takes these takes anything.
FOREIGN_URLS = ("http://example.invalid/any.mar", "https://example.invalid/any.mar", "file:///etc/any.mar")


class Supervision(Word):
    """Values of ``rollout_controller``."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"
    OFF = "off"


def check_config(values: Mapping[str, str], home: Path) -> Iterator[Finding]:
    """Findings for each key that matters. ``home`` is the directory TorchServe is started in."""
    yield _gateway_address(values)
    yield _inference_address(values)
    yield _grpc_addresses(values)
    yield from (
        _loopback(values, key) for key in ("management_address", "metrics_address", "rollout_controller_address")
    )
    yield _is_set_to(values, "metrics_mode", "prometheus", "the controller sees no measurements")
    yield _metrics_config(values, home)
    yield _is_set_to(values, "enable_model_api", "true", "TorchServe refuses to register a candidate")
    yield _allowed_urls(values)
    yield _workflow_store(values)
    yield _tokens_on(values)
    yield _supervision(values)


def _gateway_address(values: Mapping[str, str]) -> Finding:
    name = "rollout_gateway_address"
    gateway = values.get(name, "http://127.0.0.1:8080")
    if _authority(gateway) == _authority(values.get("inference_address", "http://127.0.0.1:8080")):
        todo = "set inference_address=http://127.0.0.1:8085 and keep rollout_gateway_address for the clients"
        return bad(
            name, f"{gateway} is TorchServe's own inference_address too: only one of both can listen there", todo
        )
    return ok(name, gateway)


def _inference_address(values: Mapping[str, str]) -> Finding:
    name = "inference_address"
    address = values.get(name, "http://127.0.0.1:8080")
    if urlsplit(address).hostname not in LOOPBACK:
        return bad(
            name,
            f"{address}: clients can go round the gateway, past the traffic policy",
            "set inference_address=http://127.0.0.1:8085",
        )
    return ok(name, f"{address}, behind the gateway")


def _grpc_addresses(values: Mapping[str, str]) -> Finding:
    name = "rollout_grpc_gateway_address"
    gateway = values.get(name, "127.0.0.1:7070")
    port = gateway.rpartition(":")[2]
    if port == values.get("grpc_inference_port", "7070"):
        todo = f"set grpc_inference_port=7075 and keep {name} for the clients"
        return bad(name, f"port {port} is TorchServe's own grpc_inference_port too: only one can listen there", todo)
    own = values.get("grpc_inference_address", "127.0.0.1")
    if own not in LOOPBACK:
        todo = "set grpc_inference_address=127.0.0.1"
        return bad("grpc_inference_address", f"{own}: clients can go round the gateway, past the traffic policy", todo)
    return ok(name, gateway)


def _loopback(values: Mapping[str, str], name: str) -> Finding:
    address = values.get(name, "http://127.0.0.1")
    if urlsplit(address).hostname not in LOOPBACK:
        todo = f"bind {name} to 127.0.0.1, or make sure a firewall stands in front of it"
        return warning(name, f"{address} can be reached from other machines", todo)
    return ok(name, f"{address}, loopback")


def _is_set_to(values: Mapping[str, str], key: str, wanted: str, otherwise: str) -> Finding:
    if values.get(key, "").lower() == wanted:
        return ok(key, wanted)
    return bad(key, f"{values.get(key) or 'not set'}: {otherwise}", f"set {key}={wanted}")


def _metrics_config(values: Mapping[str, str], home: Path) -> Finding:
    name = "metrics_config"
    todo = "set metrics_config=config/metrics.yaml, the one of this bundle (ts-rollout init lays it out)"
    if name not in values:
        return bad(name, "not set: TorchServe drops the handler's series", todo)
    path = home / values[name]
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        declared = {each["name"]: each["dimensions"] for group in content["model_metrics"].values() for each in group}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        return bad(name, f"{path}: cannot be read: {error}", todo)
    missing = [series for series in HANDLER_SERIES if series not in declared]
    if missing:
        return bad(name, f"{path} does not declare {', '.join(missing)}", todo)
    wrong = [series for series in HANDLER_SERIES if declared[series] != HANDLER_LABELS]
    if wrong:
        order = ", ".join(HANDLER_LABELS)
        return bad(name, f"{path}: {', '.join(wrong)} must have the labels {order} in this order", todo)
    return ok(name, str(path))


def _allowed_urls(values: Mapping[str, str]) -> Finding:
    name = "allowed_urls"
    todo = "set allowed_urls=(?!) so that TorchServe loads nothing but archives of the model store"
    if name not in values:
        return bad(name, "not set: TorchServe loads archives, which are code, from any address", todo)
    for pattern in values[name].split(","):
        try:
            taken = [url for url in FOREIGN_URLS if re.fullmatch(pattern, url, re.IGNORECASE)]
        except re.error as error:
            return bad(name, f"{pattern!r} is not a regular expression: {error}", todo)
        if taken:
            return bad(name, f"{pattern!r} lets TorchServe load code from {taken[0]}", todo)
    return ok(name, values[name])


def _workflow_store(values: Mapping[str, str]) -> Finding:
    name = "workflow_store"
    if name not in values:
        todo = "set workflow_store=/dev/null"
        return warning(name, "not set: POST /workflows downloads files even where enable_model_api is off", todo)
    return ok(name, values[name])


def _tokens_on(values: Mapping[str, str]) -> Finding:
    name = "disable_token_authorization"
    if values.get(name, "false").lower() == "true":
        todo = "set disable_token_authorization=false"
        return warning(name, "true: whoever reaches the management port can run code", todo)
    return ok(name, "tokens are asked for")


def _supervision(values: Mapping[str, str]) -> Finding:
    name = "rollout_controller"
    value = values.get(name, Supervision.EMBEDDED.value)
    if value not in {each.value for each in Supervision}:
        return bad(name, f"{value!r} is none of embedded, external, off", "set rollout_controller=embedded")
    if value == Supervision.OFF:
        return warning(name, "off: nobody watches a rollout", "set rollout_controller=embedded")
    return ok(name, value)


def _authority(address: str) -> tuple[str | None, int | None]:
    parts = urlsplit(address)
    return parts.hostname, parts.port
