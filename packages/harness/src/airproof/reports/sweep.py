"""A last look for secrets over the files that others wrote: pytest's JUnit XML and the results of Allure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from airproof.history import Redactor


def sweep(paths: Iterable[Path], redactor: Redactor) -> list[Path]:
    """Redacts the files that hold a secret, in place, keeping their format; returns those that did."""
    return [path for path in paths if path.is_file() and _sweep_file(path, redactor)]


def _sweep_file(path: Path, redactor: Redactor) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    try:
        clean = _OF_KIND.get(path.suffix, _of_text)(text, redactor)
    except (ElementTree.ParseError, ValueError):
        # Cut off: it is no file of its kind any more.
        clean = _of_text(text, redactor)
    if clean is None:
        return False
    path.write_text(clean, encoding="utf-8")
    return True


def _of_text(text: str, redactor: Redactor) -> str | None:
    """The text without secrets; None if it has none."""
    clean = redactor.text(text)
    return None if clean == text else clean


def _of_json(text: str, redactor: Redactor) -> str | None:
    value = json.loads(text)
    clean = redactor.value(value)
    return None if clean == value else json.dumps(clean, ensure_ascii=False)


def _of_xml(text: str, redactor: Redactor) -> str | None:
    """Each text by itself: in the file a secret may be written with entities."""
    root, found = ElementTree.fromstring(text.encode()), False
    for element in root.iter():
        for name, value in element.attrib.items():
            if clean := _of_text(value, redactor):
                element.set(name, clean)
                found = True
        if element.text and (clean := _of_text(element.text, redactor)):
            element.text, found = clean, True
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) if found else None


_OF_KIND = {".xml": _of_xml, ".json": _of_json}
