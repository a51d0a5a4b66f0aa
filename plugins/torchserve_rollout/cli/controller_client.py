"""The controller's HTTP API as the CLI calls it. Answers are views, errors are the product's own."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from pydantic import TypeAdapter, ValidationError

from torchserve_rollout import errors
from torchserve_rollout.controller.views import (
    EventView,
    ExplanationView,
    NodeView,
    PairsView,
    ReplayView,
    RolloutView,
    VersionView,
)
from torchserve_rollout.errors import (
    NotFoundError,
    Problem,
    RefusedError,
    RolloutError,
    ServerError,
    ServerUnreachable,
    SpecError,
    UsageError,
)
from torchserve_rollout.settings import Settings
from torchserve_rollout.torchserve.tokens import KeyKind, Tokens

T = TypeVar("T")
CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 30.0

_ROLLOUT = TypeAdapter(RolloutView)
_ROLLOUTS = TypeAdapter(list[RolloutView])
_EVENTS = TypeAdapter(list[EventView])
_EXPLANATION = TypeAdapter(ExplanationView)
_PAIRS = TypeAdapter(PairsView)
_REPLAY = TypeAdapter(ReplayView)
_VERSIONS = TypeAdapter(list[VersionView])
_NODES = TypeAdapter(list[NodeView])


class ControllerClient:
    """Calls ``base_url``. ``tokens`` is None where TorchServe asks for no token.

    Raises, from every method:
        ServerUnreachable: nothing answers there, or TorchServe's token cannot be read.
        RolloutError: whichever the controller answered with.
    """

    def __init__(self, base_url: str, tokens: Tokens | None) -> None:
        self.base_url = base_url.rstrip("/")
        self._tokens = tokens
        self._session = requests.Session()
        # The controller is on loopback or on a private address; a proxy of the environment has no part in it.
        self._session.trust_env = False

    @classmethod
    def of(cls, settings: Settings) -> ControllerClient:
        """The controller that ``settings`` name."""
        tokens = Tokens(settings.key_file, settings.management_url) if settings.is_token_required else None
        return cls(settings.controller_url, tokens)

    def start(self, model: str, version: str, spec: str | None, actor: str) -> RolloutView:
        """Start a rollout; ``spec`` is YAML text or a file name the controller knows."""
        body: dict[str, Any] = {"model": model, "version": version, "actor": actor}
        if spec is not None:
            body["spec"] = spec
        return self._call(_ROLLOUT, "POST", "rollouts", body=body)

    def command(self, ref: str, kind: str, actor: str, reason: str) -> RolloutView:
        """Give a command."""
        return self._call(_ROLLOUT, "POST", "rollouts", ref, kind, body={"actor": actor, "reason": reason})

    def rollouts(self, model: str | None = None, limit: int = 100) -> list[RolloutView]:
        """Newest first."""
        params: dict[str, str | int] = {"limit": limit}
        if model is not None:
            params["model"] = model
        return self._call(_ROLLOUTS, "GET", "rollouts", params=params)

    def rollout(self, ref: str) -> RolloutView:
        """One rollout as it stands."""
        return self._call(_ROLLOUT, "GET", "rollouts", ref)

    def events(self, ref: str, after_seq: int = 0) -> list[EventView]:
        """Its journal after ``after_seq``, oldest first."""
        return self._call(_EVENTS, "GET", "rollouts", ref, "events", params={"after": after_seq})

    def explain(self, ref: str) -> ExplanationView:
        """Why it stands where it stands."""
        return self._call(_EXPLANATION, "GET", "rollouts", ref, "explain")

    def pairs(self, ref: str) -> PairsView:
        """Its mirrored requests."""
        return self._call(_PAIRS, "GET", "rollouts", ref, "pairs")

    def replay(self, ref: str, spec: str | None) -> ReplayView:
        """Judge it again from its journal; ``spec`` is YAML text or a file name the controller knows."""
        return self._call(_REPLAY, "POST", "rollouts", ref, "replay", body={} if spec is None else {"spec": spec})

    def models(self) -> list[VersionView]:
        """Every packaged or registered version."""
        return self._call(_VERSIONS, "GET", "models")

    def nodes(self) -> list[NodeView]:
        """Every TorchServe the controller looks after."""
        return self._call(_NODES, "GET", "nodes")

    def health(self) -> dict[str, Any]:
        """That it is up, its version and its clock."""
        return self._call(TypeAdapter(dict[str, Any]), "GET", "health")

    def latest_ref(self) -> str:
        """Id of the newest rollout.

        Raises:
            NotFoundError: there has been none yet.
        """
        newest = self.rollouts(limit=1)
        if not newest:
            raise NotFoundError("there has been no rollout yet", hint="ts-rollout start MODEL VERSION")
        return newest[0].id

    def _call(
        self,
        answer: TypeAdapter[T],
        method: str,
        *path: str,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> T:
        url = "/".join([self.base_url, "api", "v1", *(quote(part, safe="") for part in path)])
        bearer = self._tokens.bearer(KeyKind.MANAGEMENT) if self._tokens else ""
        response = self._send(method, url, bearer, params, body)
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._tokens:
            # Somebody renewed the key between our reading it and the controller's looking.
            bearer = self._tokens.after_refusal(KeyKind.MANAGEMENT, bearer)
            response = self._send(method, url, bearer, params, body)
        if not response.ok:
            raise _failure(response)
        try:
            return answer.validate_json(response.content)
        except ValidationError as error:
            raise ServerError(
                f"{url} answered something else than the controller's API",
                status=response.status_code,
                hint="does rollout_controller_address point at the controller, and are both of the same version?",
            ) from error

    def _send(
        self, method: str, url: str, bearer: str, params: Mapping[str, str | int] | None, body: Mapping[str, Any] | None
    ) -> requests.Response:
        headers = {"Authorization": bearer} if bearer else {}
        timeouts_s = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        try:
            return self._session.request(method, url, params=params, json=body, headers=headers, timeout=timeouts_s)
        except (requests.RequestException, ValueError) as error:
            raise ServerUnreachable(
                f"the controller does not answer at {self.base_url} ({type(error).__name__})",
                hint="is TorchServe running? ask ts-rollout doctor; see docs/runbooks/controller-away.md",
            ) from error


def _failure(response: requests.Response) -> RolloutError:
    """The error of the product that an error answer stands for."""
    try:
        body = response.json()
        message, hint, kind = str(body["message"]), str(body.get("hint", "")), str(body.get("type", ""))
        problems = [Problem(p["path"], p["message"], p.get("hint", "")) for p in body.get("problems") or ()]
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f"{response.url} answered {response.status_code} without saying why"
        return ServerError(message, status=response.status_code, hint="is this the controller's address?")
    if problems:
        return SpecError(message.rpartition(":")[0] or message, problems)
    if response.status_code == 401:
        return RefusedError(message, hint="run the command where TorchServe was started: key_file.json lies there")
    named = getattr(errors, kind, None)
    if isinstance(named, type) and issubclass(named, RolloutError) and named not in _NOT_FROM_TEXT:
        return named(message, hint=hint)
    if response.status_code in (400, 422):
        return UsageError(message, hint=hint)
    if response.status_code in (403, 409, 421):
        return RefusedError(message, hint=hint)
    return ServerError(message, status=response.status_code, hint=hint)


# These take more than a message and a hint.
_NOT_FROM_TEXT = (SpecError, ServerError, errors.MissingExtra)
