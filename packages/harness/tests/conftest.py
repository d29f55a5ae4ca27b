"""For all tests of the harness."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from airproof.environment.topology import Endpoint

# An example may take long, because the machine may be busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 1 MB; needs root. pytest's tmp_path is too long for sockets."""
    mounted = Path(tempfile.mkdtemp(prefix="airproof-test-"))
    options = "size=1m,mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mounted)], capture_output=True, check=False
    )
    try:
        if done.returncode != 0:
            pytest.skip("only root can mount")
        yield mounted
        if subprocess.run(["umount", str(mounted)], check=False).returncode != 0:
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)
            pytest.fail(f"a file of {mounted} is still open")
    finally:
        mounted.rmdir()


@pytest.fixture
def listening() -> Callable[[bytes], AbstractContextManager[Endpoint]]:
    """Makes a server on loopback that gives every connection the same answer."""

    @contextmanager
    def listening(answer: bytes) -> Iterator[Endpoint]:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve() -> None:
                while True:
                    try:
                        connection, _ = server.accept()
                    except OSError:
                        return
                    with connection:
                        connection.recv(1000)
                        connection.sendall(answer)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield Endpoint("127.0.0.1", server.getsockname()[1])
            server.shutdown(socket.SHUT_RDWR)
            thread.join()

    return listening
