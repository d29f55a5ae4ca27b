"""What is committed is the same for everybody: no path of one machine, no address that only somebody reaches."""

from __future__ import annotations

import re
from pathlib import Path

LARGEST_BYTES = 1_000_000
# Written so that these lines do not match themselves.
MACHINE_PATH = re.compile(r"(?<![\w.~-])[/](?:work|farm|root|home/[a-z]+|tmp/(?:dev|plan))/")
REGISTRY = re.compile(
    r"(?:pypi|pythonhosted|repo1?[.]maven|npmjs|debian|crates)[.](?:org|io)|repo[.]maven[.]apache|proxy[.]golang"
)
PUBLIC_INDEX = re.compile(r"pypi[.]org|files[.]pythonhosted[.]org")
MAY_NAME_A_REGISTRY = {
    Path("uv.lock"): "uv writes where each file is",
    Path("packages/harness/src/airproof/providers/native/jars.py"): "the default repository of the jars",
}


def test_no_file_names_a_path_of_one_machine(texts: dict[Path, str]) -> None:
    assert _lines(texts, MACHINE_PATH) == []


def test_no_file_names_a_registry(texts: dict[Path, str]) -> None:
    assert _lines({path: text for path, text in texts.items() if path not in MAY_NAME_A_REGISTRY}, REGISTRY) == []


def test_the_lock_knows_the_public_index_only(root: Path) -> None:
    hosts = re.findall(r'"https?://([^"/]+)', (root / "uv.lock").read_text(encoding="utf-8"))

    assert {name for name in hosts if not PUBLIC_INDEX.fullmatch(name)} == set()


def test_constraints_are_versions_and_nothing_else(root: Path) -> None:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[^\s;]+( ; .+)?", line)] == []
    assert len(lines) > 10


def test_no_file_is_large(root: Path, tracked: list[Path]) -> None:
    sizes = {str(path): (root / path).stat().st_size for path in tracked}

    assert {path: size for path, size in sizes.items() if size > LARGEST_BYTES} == {}


def _lines(texts: dict[Path, str], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
