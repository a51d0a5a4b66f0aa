"""The controller's HTTP API under ``/api/v1``: every route is a line or two over the service."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel

import torchserve_rollout
from torchserve_rollout.api import faults
from torchserve_rollout.api.alerts import AlertsBody, AlertsTaken, sorted_out
from torchserve_rollout.api.faults import ErrorBody
from torchserve_rollout.api.guard import Guard, ValidTokens
from torchserve_rollout.api.requests import CommandBody, ReplayBody, StartBody
from torchserve_rollout.api.service import RolloutService
from torchserve_rollout.api.specs import SpecShelf
from torchserve_rollout.clock import Clock, SystemClock
from torchserve_rollout.controller.views import (
    EventView,
    ExplanationView,
    NodeView,
    PairsView,
    ReplayView,
    RolloutView,
    VersionView,
)
from torchserve_rollout.machine.state import CommandKind

PREFIX = "/api/v1"


class Health(BaseModel):
    """The controller is up. ``now`` is its clock, UTC."""

    status: str
    version: str
    now: datetime


def create_app(
    service: RolloutService,
    *,
    specs_dir: Path,
    valid_tokens: ValidTokens | None,
    allowed_hosts: Iterable[str] = (),
    alert_tokens: ValidTokens | None = None,
    clock: Clock | None = None,
) -> FastAPI:
    """The API over ``service``.

    Args:
        service: the controller's rollouts.
        specs_dir: where specs named in a start request lie.
        valid_tokens: gives the bearer tokens that are valid now; None where TorchServe asks for no token.
        alert_tokens: gives the tokens that Alertmanager may bring to ``/alerts`` instead; None where it has none.
        allowed_hosts: names clients may call us by, beside those of loopback.
        clock: what ``/health`` tells the time from.
    """
    app = FastAPI(
        title="torchserve-rollout",
        version=torchserve_rollout.__version__,
        summary="Rollouts with automatic rollback on TorchServe.",
        openapi_url=f"{PREFIX}/openapi.json",
        # The interactive pages load scripts from elsewhere; this API is for machines on loopback.
        docs_url=None,
        redoc_url=None,
    )
    faults.install(app)
    app.add_middleware(
        Guard,
        allowed_hosts=tuple(allowed_hosts),
        valid_tokens=valid_tokens,
        path_tokens={f"{PREFIX}/alerts": alert_tokens} if alert_tokens else {},
    )
    errors: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorBody, "description": "What went wrong."}}
    for router in (
        _health(clock or SystemClock()),
        _rollouts(service, SpecShelf(specs_dir)),
        _fleet(service),
        _alerts(service),
    ):
        app.include_router(router, prefix=PREFIX, responses=errors)
    return app


def _health(clock: Clock) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    def health() -> Health:
        """Whether the controller is up; needs no token."""
        return Health(status="ok", version=torchserve_rollout.__version__, now=clock.now())

    return router


def _rollouts(service: RolloutService, specs: SpecShelf) -> APIRouter:
    router = APIRouter(prefix="/rollouts")

    @router.get("")
    def list_rollouts(model: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[RolloutView]:
        """Rollouts, newest first."""
        return list(service.list(model, limit))

    @router.post("", status_code=201)
    def start_rollout(body: StartBody) -> RolloutView:
        """Start a rollout; 409 while the model has one that has not ended."""
        spec = None if body.spec is None else specs.resolve(body.spec)
        return service.start(body.model, body.version, spec, body.actor)

    @router.get("/{ref}")
    def get_rollout(ref: str) -> RolloutView:
        """One rollout by id, or the latest of a model by its name."""
        return service.get(ref)

    @router.get("/{ref}/events")
    def list_events(ref: str, after: Annotated[int, Query(ge=0)] = 0) -> list[EventView]:
        """Its journal, oldest first, beginning after the event numbered ``after``."""
        return list(service.events(ref, after))

    @router.get("/{ref}/explain")
    def explain_rollout(ref: str) -> ExplanationView:
        """Why it stands where it stands: the sentence, the deciding alarm, the timeline."""
        return service.explain(ref)

    @router.get("/{ref}/pairs")
    def list_pairs(ref: str) -> PairsView:
        """Its mirrored requests: how many there were, and of the latest what both versions answered."""
        return service.pairs(ref)

    @router.post("/{ref}/replay")
    def replay_rollout(ref: str, body: ReplayBody | None = None) -> ReplayView:
        """Judge it again from its journal, by its own alarms or those of another spec; nothing moves."""
        given = body.spec if body else None
        return service.replay(ref, None if given is None else specs.resolve(given))

    @router.post("/{ref}/{action}")
    def command_rollout(ref: str, action: CommandKind, body: CommandBody | None = None) -> RolloutView:
        """Ask for something; the next tick obeys. 409 when the phase does not allow it."""
        given = body or CommandBody()
        return service.command(ref, action, given.actor, given.reason or "")

    return router


def _alerts(service: RolloutService) -> APIRouter:
    router = APIRouter()

    @router.post("/alerts")
    def take_alerts(body: AlertsBody) -> AlertsTaken:
        """Alertmanager's webhook: alerts with the labels model and version are alarms of a rollout."""
        alerts, ignored = sorted_out(body.alerts)
        service.take_alerts(alerts)
        return AlertsTaken(taken=len(alerts), ignored=ignored)

    return router


def _fleet(service: RolloutService) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    def list_models() -> list[VersionView]:
        """Every packaged or registered version."""
        return list(service.models())

    @router.get("/nodes")
    def list_nodes() -> list[NodeView]:
        """Every TorchServe the controller looks after."""
        return list(service.nodes())

    return router
