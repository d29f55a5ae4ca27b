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
    if redactor.text(text) == text:
        return False
    if path.suffix == ".xml":
        _sweep_xml(path, redactor)
    elif path.suffix == ".json":
        path.write_text(json.dumps(redactor.value(json.loads(text)), ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text(redactor.text(text), encoding="utf-8")
    return True


def _sweep_xml(path: Path, redactor: Redactor) -> None:
    tree = ElementTree.parse(path)
    for element in tree.iter():
        element.text = redactor.text(element.text) if element.text else element.text
        for name, value in element.attrib.items():
            element.set(name, redactor.text(value))
    tree.write(path, encoding="utf-8", xml_declaration=True)
