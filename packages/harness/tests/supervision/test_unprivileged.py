from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import airproof
from airproof.supervision import ProcessSpec, Supervisor
from airproof.supervision.kernel import NOBODY, has_name, user_namespaces_work

TIMEOUT_S = 20.0
STRANGER = 54321
SOURCES = str(Path(next(iter(airproof.__path__))).parent)

WHO = "id -u; echo written > file; stat -c %u file"

LIFE = f"""
import os, sys
sys.path.append({SOURCES!r})
from airproof.supervision import ForkSpec, ProcessSpec, Supervisor
with Supervisor.start(label="life") as supervisor:
    directory = str(supervisor.make_directory("cell", "data"))
    spec = ProcessSpec("cell/node", "cell", ("sh", "-c", {WHO!r}), dict(os.environ), directory, unprivileged=True)
    supervisor.spawn(spec)
    supervisor.wait_exit("cell/node", {TIMEOUT_S})
    supervisor.spawn_zygote("cell/zygote", "cell", ["json"], dict(os.environ))
    supervisor.fork(ForkSpec("cell/fork", "cell", "cell/zygote", "os:getuid", dict(os.environ)))
    supervisor.wait_exit("cell/fork", {TIMEOUT_S})
    supervisor.take_ports("cell", 2)
    print(supervisor.log_path("cell/node").read_text().split(), supervisor.run_directory)
"""

# A user namespace that holds all users, and in which no further one may be made.
WITHOUT_NAMESPACES = f"""
import ctypes, os, sys
from pathlib import Path
mapped, unshared = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(unshared[1], b".")
    os.read(mapped[0], 1)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    os.execv(sys.executable, [sys.executable, "-c", {LIFE!r}])
os.read(unshared[0], 1)
for file in ("uid_map", "gid_map"):
    Path(f"/proc/{{child}}/{{file}}").write_text("0 0 65536")
os.write(mapped[1], b".")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give up root")


@needs_root
@pytest.mark.skipif(not user_namespaces_work(), reason="this machine forbids user namespaces")
def test_an_unprivileged_program_is_not_root_but_its_files_are(
    supervisor: Supervisor, make_spec: Callable[..., ProcessSpec]
) -> None:
    directory = supervisor.make_directory("cell", "data")
    supervisor.spawn(make_spec("cell/node", "sh", "-c", WHO, directory=str(directory), unprivileged=True))

    assert supervisor.wait_exit("cell/node", TIMEOUT_S).exit_code == 0
    assert supervisor.log_path("cell/node").read_text().split() == ["1000", "1000"]
    assert (directory / "file").stat().st_uid == 0


@needs_root
def test_where_user_namespaces_are_forbidden_it_becomes_nobody(runtime: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_NAMESPACES], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"['{NOBODY}', '{NOBODY}']")


def test_an_ordinary_user_can_do_everything(runtime: Path) -> None:
    uid = NOBODY if os.getuid() == 0 else os.getuid()
    assert _live(runtime, uid).startswith(f"['{uid}', '{uid}']")
    assert list((runtime / "runs").iterdir()) == []


@needs_root
@pytest.mark.skipif(not user_namespaces_work(), reason="this machine forbids user namespaces")
def test_a_user_without_a_name_has_one_in_a_namespace(runtime: Path) -> None:
    assert not has_name(STRANGER)
    assert _live(runtime, STRANGER).startswith(("['1000', '1000']", f"['{NOBODY}', '{NOBODY}']"))
    assert list((runtime / "runs").iterdir()) == []


def _live(runtime: Path, uid: int) -> str:
    """What the program says, run by that user."""
    become = {"user": uid, "group": uid, "extra_groups": []} if os.getuid() == 0 else {}
    if become:
        os.chown(runtime, uid, uid)
    done = subprocess.run(
        [_python_of_everybody(), "-c", LIFE],
        cwd="/",
        env={"PATH": os.environ["PATH"], "AIRPROOF_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        check=False,
        **become,  # type: ignore[call-overload]
    )
    os.chown(runtime, os.getuid(), os.getgid())
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def _python_of_everybody() -> str:
    """This interpreter may lie in root's home; the standard library of another one will do."""
    if os.getuid():
        return sys.executable
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            version = subprocess.run(
                [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], user=NOBODY, cwd="/", check=False
            )
        except PermissionError:
            continue
        if version.returncode == 0:
            return python
    pytest.skip("no Python 3.11 or later that another user may run")
