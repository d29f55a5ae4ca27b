"""A service made of the standard library: `/health`, and `/ready` when its database answers."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg


def log(level: str, message: str) -> None:
    sys.stdout.write(json.dumps({"level": level, "logger": "toy", "message": message}) + "\n")
    sys.stdout.flush()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 200
        if self.path == "/ready" and "DATABASE_URL" in os.environ:
            try:
                with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=1) as connection:
                    connection.execute("SELECT count(*) FROM things")
            except psycopg.Error:
                status = 503
        body = json.dumps({"pid": os.getpid(), "service": os.environ["SERVICE_NAME"]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        log("info", format % args)


def serve() -> None:
    if os.environ.get("DIES"):
        log("error", "no licence for today")
        sys.exit(3)
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    log("info", "listening")
    server.serve_forever()
