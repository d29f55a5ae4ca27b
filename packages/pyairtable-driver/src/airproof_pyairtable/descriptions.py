"""What services say of themselves, for machines: OpenAPI documents, whose schemas are JSON Schema 2020-12."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from airproof.platform.manifest import Route
from airproof.platform.requests import Answer
from airproof_pyairtable.http import Http
from airproof_pyairtable.manifest import MANIFEST

JSON = "application/json"


class Descriptions:
    """The documents of a cell's services."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def operations(self, service: str) -> Collection[str]:
        """What there is to be asked for: `GET /cars/{id}`."""
        paths = self._document(service).get("paths", {})
        return {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}

    def differs(self, route: Route, answer: Answer) -> str:
        """What of the answer is not as its service describes it; empty if all is."""
        document, wanted = self._document(route.service), _shape(route.path.partition("?")[0])
        paths: dict[str, Any] = document.get("paths", {})
        described: dict[str, Any] = next((found for path, found in paths.items() if _shape(path) == wanted), {})
        answers = described.get(route.method.lower(), {}).get("responses", {})
        if str(answer.status) not in answers:
            return f"an answer with status {answer.status}; described are {', '.join(answers) or 'none'}"
        schema = answers[str(answer.status)].get("content", {}).get(JSON, {}).get("schema")
        if schema is None:
            return ""
        validator = Draft202012Validator(
            {**schema, "components": document.get("components", {})}, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        wrong: Any = best_match(validator.iter_errors(json.loads(answer.text)))
        return f"{wrong.json_path}: {wrong.message}" if wrong else ""

    def _document(self, service: str) -> dict[str, Any]:
        answer = self._http.ask("GET", service, MANIFEST.service(service).description_path)
        return dict(answer.json()) if answer.status_code == 200 else {}


def _shape(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)
