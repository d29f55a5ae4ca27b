"""Gives Allure what belongs to a test, where allure-pytest is installed and asked for with `--alluredir`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def directory(config: pytest.Config) -> Path | None:
    """Where Allure's results go; None where nobody wants them."""
    option = config.getoption("allure_report_dir", default=None)
    return Path(option) if option else None


def attach(config: pytest.Config, *, files: Iterable[Path], rows: Iterable[str], promise: str) -> None:
    """Attaches files that exist to the test that is running, tags it with its ledger rows and says its promise."""
    if directory(config) is None:
        return
    allure = import_module("allure")  # an extra, and without types

    for file in files:
        if file.is_file():
            allure.attach.file(str(file), name=file.name, attachment_type=allure.attachment_type.TEXT)
    for row in rows:
        allure.dynamic.tag(row)
    if promise:
        allure.dynamic.description(promise)
