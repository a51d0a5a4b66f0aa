"""TorchServe's management API, and predictions to one explicit version.

Makes up for what TorchServe 0.12 does not do: registrations are serialised (parallel ones lose versions), arguments
travel in the query (a JSON body breaks batching), a failed registration is deleted and verified gone, readiness is
checked before a version becomes the default.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from torchserve_rollout.errors import NotFoundError, RefusedError, RolloutError, ServerError
from torchserve_rollout.model import ModelName, VersionName, VersionStatus, WorkerProcess
from torchserve_rollout.torchserve.listener import READ_TIMEOUT_S, AnswerTimeout, Listener, raise_for

PROBE_HEADER = {"x-rollout-probe": "1"}
REGISTER_TIMEOUT_S = 600.0
# TorchServe waits 120 s for the worker processes to end.
UNREGISTER_TIMEOUT_S = 130.0
_MODEL_PAGE = 100


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer of a version. ``status`` is 0 when none came in time."""

    status: int
    text: str
    content_type: str
    latency_s: float

    @property
    def is_answered(self) -> bool:
        """The version answered and is not to blame for an error."""
        return 0 < self.status < 500


class ModelClient:
    """Versions of models on one TorchServe. Thread-safe.

    Args:
        management: its management listener.
        inference: its own inference listener, behind the gateway.
    """

    def __init__(self, management: Listener, inference: Listener) -> None:
        self._management = management
        self._inference = inference
        self._registering = threading.Lock()

    def models(self) -> list[ModelName]:
        """Every model with at least one version."""
        names: list[ModelName] = []
        page: str | None = "0"
        while page is not None:
            answer = self._management.get("/models", {"limit": _MODEL_PAGE, "next_page_token": page})
            raise_for(answer, "listing models")
            content = answer.json()
            names += [ModelName(each["modelName"]) for each in content["models"]]
            page = content.get("nextPageToken") if content["models"] else None
        return names

    def versions(self, model: ModelName) -> dict[VersionName, VersionStatus]:
        """All registered versions of ``model``; empty when there is none."""
        answer = self._management.get(f"/models/{model}/all")
        if answer.status_code == 404:
            return {}
        raise_for(answer, f"listing the versions of {model}")
        statuses = [_status(each) for each in answer.json()]
        return {status.version: status for status in statuses}

    def default_version(self, model: ModelName) -> VersionName | None:
        """The version that requests without a version meet; None when the model is not registered."""
        answer = self._management.get(f"/models/{model}")
        if answer.status_code == 404:
            return None
        raise_for(answer, f"asking for the default version of {model}")
        rows = answer.json()
        return VersionName(rows[0]["modelVersion"]) if rows else None

    def register(self, model: ModelName, version: VersionName, url: str) -> None:
        """Register ``version`` from ``url`` without workers; nothing happens when it is there already.

        Whatever fails, the version is not left behind half registered.

        Raises:
            ServerError: TorchServe refused, or the archive holds another version. NotFoundError: no such archive.
        """
        with self._registering:
            before = self.versions(model)
            if version in before:
                return
            try:
                answer = self._management.send(
                    "POST",
                    "/models",
                    {"url": url, "model_name": model, "initial_workers": 0, "synchronous": "false"},
                    timeout_s=REGISTER_TIMEOUT_S,
                )
                raise_for(answer, f"registering {model} {version} from {url}")
                added = self.versions(model).keys() - before.keys()
                if version not in added:
                    found = ", ".join(sorted(added)) or "no version"
                    raise ServerError(
                        f"{url} was registered as {found} of {model}, not as {version}",
                        status=409,
                        hint="the archive's manifest names another version; package it again",
                    )
            except RolloutError:
                self._remove_added(model, before)
                raise

    def _remove_added(self, model: ModelName, before: dict[VersionName, VersionStatus]) -> None:
        for left_over in self.versions(model).keys() - before.keys():
            self.unregister(model, left_over)

    def scale(self, model: ModelName, version: VersionName, workers: int) -> None:
        """Ask for ``workers`` workers; returns before they are there.

        Raises:
            NotFoundError: the version is not registered.
        """
        answer = self._management.send(
            "PUT",
            f"/models/{model}/{version}",
            {"min_worker": workers, "max_worker": workers, "synchronous": "false"},
        )
        raise_for(answer, f"scaling {model} {version} to {workers}")

    def set_default(self, model: ModelName, version: VersionName) -> None:
        """Make ``version`` the default; TorchServe would take one without workers, we do not.

        Raises:
            RefusedError: the version is not ready. NotFoundError: it is not registered.
        """
        status = self.versions(model).get(version)
        if status is None:
            raise NotFoundError(f"{model} {version} is not registered, it cannot become the default")
        if not status.is_ready:
            raise RefusedError(
                f"{model} {version} has {status.ready_workers} ready workers of {max(1, status.min_workers)}: "
                "as the default it would fail every request",
                hint="wait until it is READY, or scale it up",
            )
        answer = self._management.send("PUT", f"/models/{model}/{version}/set-default")
        raise_for(answer, f"making {model} {version} the default")

    def unregister(self, model: ModelName, version: VersionName) -> None:
        """Remove ``version`` and verify it is gone. TorchServe drops what is in flight: drain first.

        Raises:
            RefusedError: it is the default while others are registered. ServerError: it is still there afterwards.
        """
        answer = self._management.send("DELETE", f"/models/{model}/{version}", timeout_s=UNREGISTER_TIMEOUT_S)
        if answer.status_code == 403:
            raise RefusedError(f"{model} {version} is the default version, it cannot be unregistered")
        if answer.status_code != 404:
            raise_for(answer, f"unregistering {model} {version}")
        if version in self.versions(model):
            raise ServerError(f"{model} {version} is still registered after it was unregistered", status=500)

    def predict(self, model: ModelName, version: VersionName, body: dict[str, Any], timeout_s: float) -> Prediction:
        """Send one JSON request to this very version, marked as a probe.

        No answer in time is the version's fault and is a ``Prediction`` with status 0.

        Raises:
            ServerUnreachable: TorchServe itself cannot be reached.
        """
        begun = time.monotonic()
        try:
            answer = self._inference.send(
                "POST", f"/predictions/{model}/{version}", json=body, headers=PROBE_HEADER, timeout_s=timeout_s
            )
        except AnswerTimeout:
            return Prediction(0, "", "", time.monotonic() - begun)
        return Prediction(
            answer.status_code, answer.text, answer.headers.get("content-type", ""), time.monotonic() - begun
        )

    def is_alive(self, timeout_s: float = READ_TIMEOUT_S) -> bool:
        """Whether the management API answers.

        Raises:
            ServerUnreachable: it does not.
        """
        return self._management.get("/models", {"limit": 1}, timeout_s=timeout_s).ok


def _status(row: dict[str, Any]) -> VersionStatus:
    workers = row.get("workers") or []
    return VersionStatus(
        version=VersionName(row["modelVersion"]),
        workers=len(workers),
        ready_workers=sum(worker.get("status") == "READY" for worker in workers),
        min_workers=int(row.get("minWorkers", 0)),
        archive=str(row.get("modelUrl", "")),
        processes=tuple(
            WorkerProcess(str(worker.get("id", "")), int(worker["pid"]), int(worker.get("memoryUsage") or 0))
            for worker in workers
            if int(worker.get("pid") or -1) > 0  # -1 while the process is not up
        ),
    )
