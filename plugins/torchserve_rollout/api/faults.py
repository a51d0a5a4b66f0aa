"""One JSON shape for every error the API answers: ``{code, type, message, hint, problems?}``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from torchserve_rollout.errors import (
    IntegrityError,
    MissingExtra,
    NotFoundError,
    Problem,
    RefusedError,
    RolloutError,
    ServerError,
    ServerUnreachable,
    SpecError,
    UsageError,
)

log = logging.getLogger(__name__)

# First match wins, so a subclass stands before its parent.
_STATUS_OF: tuple[tuple[type[RolloutError], HTTPStatus], ...] = (
    (UsageError, HTTPStatus.BAD_REQUEST),
    (RefusedError, HTTPStatus.CONFLICT),
    (IntegrityError, HTTPStatus.CONFLICT),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ServerUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ServerError, HTTPStatus.BAD_GATEWAY),
    (MissingExtra, HTTPStatus.NOT_IMPLEMENTED),
)


class ProblemBody(BaseModel):
    """One thing wrong in an input; ``path`` is dotted, with indexes."""

    path: str
    message: str
    hint: str = ""


class ErrorBody(BaseModel):
    """What went wrong. ``code`` repeats the HTTP status, ``type`` is the error's class, ``hint`` says what to do."""

    code: int
    type: str
    message: str
    hint: str = ""
    problems: list[ProblemBody] | None = None


def error_response(
    status: int,
    kind: str,
    message: str,
    hint: str = "",
    *,
    problems: Sequence[Problem] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """The answer to a request that failed."""
    listed = None if problems is None else [ProblemBody(path=p.path, message=p.message, hint=p.hint) for p in problems]
    body = ErrorBody(code=status, type=kind, message=message, hint=hint, problems=listed)
    return JSONResponse(body.model_dump(exclude_none=True), status_code=status, headers=headers)


def status_of(error: RolloutError) -> HTTPStatus:
    """The HTTP status an error of the product is answered with."""
    for kind, status in _STATUS_OF:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _on_rollout_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RolloutError):
        raise error
    problems = error.problems if isinstance(error, SpecError) else None
    # A SpecError's text repeats its problems; the answer carries them as data.
    message = error.message.partition("\n")[0] if problems is not None else error.message
    return error_response(status_of(error), type(error).__name__, message, error.hint, problems=problems)


def _on_bad_request(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [
        Problem(".".join(str(part) for part in entry["loc"][1:]) or str(entry["loc"][0]), str(entry["msg"]))
        for entry in error.errors()
    ]
    count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    hint = "the parameters are described in /api/v1/openapi.json"
    return error_response(
        HTTPStatus.UNPROCESSABLE_ENTITY, "InvalidRequest", f"request: {count}", hint, problems=problems
    )


def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    kind = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
    message = f"{request.method} {request.url.path}: {str(error.detail).lower()}"
    hint = "the routes are listed in /api/v1/openapi.json"
    return error_response(error.status_code, kind, message, hint, headers=dict(error.headers or {}))


def _on_anything_else(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "InternalError",
        f"the controller failed on {request.method} {request.url.path}",
        "the traceback is in the controller's log",
    )


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error in the one shape."""
    app.add_exception_handler(RolloutError, _on_rollout_error)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_anything_else)
