"""The one shape of errors: `{"error": {"code", "message", "correlation_id"}}`."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from pyairtable_reference.kit import logs
from pyairtable_reference.kit.database import is_transient

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: the HTTP status.
        code: short and stable, for programs.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error in its one shape; one that passes says when to try again."""
    body = {"error": {"code": code, "message": message, "correlation_id": logs.current_correlation()}}
    again = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return JSONResponse(body, status_code=status, headers={**again, **(headers or {})})


async def _api_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ApiError):
        raise error
    return error_response(error.status, error.code, str(error))


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return error_response(error.status_code, code, str(error.detail), error.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
    return error_response(422, "invalid-request", problems.encode("utf-8", "replace").decode())


async def _database_error(_: Request, error: Exception) -> JSONResponse:
    if not is_transient(error):
        return await _unexpected(_, error)
    log.warning("database not available: %s", error)
    return error_response(503, "database-unavailable", "try again")


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    log.error("request failed", exc_info=error)
    return error_response(500, "internal-error", "the request could not be processed")


def install(app: FastAPI) -> None:
    """Gives an app the error shape."""
    handlers: dict[Any, Any] = {
        ApiError: _api_error,
        HTTPException: _http_error,
        RequestValidationError: _invalid,
        DBAPIError: _database_error,
        PoolTimeout: _database_error,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
