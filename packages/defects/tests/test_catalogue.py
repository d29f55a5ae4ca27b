"""Every defect names a row of the failure modes and still applies, giving Python that compiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from airproof.errors import UsageError
from airproof_defects.catalogue import choose, defects, failure_modes
from airproof_defects.defect import Defect
from airproof_defects.overlay import make_overlay


@pytest.mark.parametrize("defect", defects().values(), ids=lambda defect: defect.id)
def test_a_defect_applies_and_leaves_valid_python(defect: Defect, tmp_path: Path) -> None:
    package = make_overlay(tmp_path)
    defect.apply(package)
    for path in {edit.path for edit in defect.edits}:
        compile((package / path).read_text(), path, "exec")


@pytest.mark.parametrize("defect", defects().values(), ids=lambda defect: defect.id)
def test_a_defect_is_an_instance_of_a_known_failure_mode(defect: Defect) -> None:
    assert failure_modes()[defect.id].category == defect.category


def test_an_unknown_defect_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no defect 'SG1'; did you mean SG"):
        choose(["SG1"])


def test_no_choice_is_all_of_them() -> None:
    assert [defect.id for defect in choose([])] == list(defects())
