"""Defects and patches change a copy of the platform, and say plainly when they cannot."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from airproof.errors import DefectError
from airproof_defects.defect import Edit
from airproof_defects.overlay import PACKAGE, apply_patch, installed_package, make_overlay

MODULE = "main.py"


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    root = tmp_path / "overlay"
    make_overlay(root)
    return root


def make_patch(tmp_path: Path, prefix: str, *modules: str) -> Path:
    patch = tmp_path / "a.diff"
    with patch.open("w") as file:
        for name in (f"{PACKAGE}/{module}" for module in modules or (MODULE,)):
            lines = (installed_package().parent / name).read_text().splitlines(keepends=True)
            changed = ["# changed by a patch\n", *lines]
            file.writelines(difflib.unified_diff(lines, changed, f"a/{prefix}{name}", f"b/{prefix}{name}"))
    return patch


@pytest.mark.parametrize("prefix", ["", "src/", "packages/reference-platform/src/"])
def test_a_patch_applies_whichever_directory_it_was_made_from(overlay: Path, tmp_path: Path, prefix: str) -> None:
    apply_patch(make_patch(tmp_path, prefix), overlay)
    assert (overlay / PACKAGE / MODULE).read_text().startswith("# changed by a patch\n")
    assert not (installed_package() / MODULE).read_text().startswith("# changed by a patch\n")


def test_a_patch_of_several_files_needs_no_headers_of_git(overlay: Path, tmp_path: Path) -> None:
    modules = (MODULE, "kit/inbox.py", "kit/outbox.py")
    apply_patch(make_patch(tmp_path, "", *modules), overlay)
    assert all((overlay / PACKAGE / module).read_text().startswith("# changed by a patch\n") for module in modules)


def test_a_patch_of_something_else_is_refused(overlay: Path, tmp_path: Path) -> None:
    patch = tmp_path / "other.diff"
    patch.write_text("--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-a\n+b\n")
    with pytest.raises(
        DefectError, match=r"other\.diff changes 'a/README\.md', which is not part of the reference platform"
    ):
        apply_patch(patch, overlay)


def test_a_patch_that_does_not_fit_says_so(overlay: Path, tmp_path: Path) -> None:
    patch = tmp_path / "stale.diff"
    patch.write_text(f"--- a/{PACKAGE}/{MODULE}\n+++ b/{PACKAGE}/{MODULE}\n@@ -1 +1 @@\n-no such line\n+b\n")
    with pytest.raises(DefectError, match=r"stale\.diff does not apply"):
        apply_patch(patch, overlay)


def test_a_file_without_a_diff_is_refused(overlay: Path, tmp_path: Path) -> None:
    patch = tmp_path / "empty.diff"
    patch.write_text("nothing here\n")
    with pytest.raises(DefectError, match="holds no unified diff"):
        apply_patch(patch, overlay)


def test_an_edit_whose_text_is_gone_names_the_file(overlay: Path) -> None:
    with pytest.raises(DefectError, match=r"main\.py: the text to replace, beginning 'gone', stands there 0 times"):
        Edit(MODULE, "gone", "x").apply(overlay / PACKAGE)
