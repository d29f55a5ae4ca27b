"""The report in a real browser, where there is one: what its scripts make of a history with all that it may hold."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from airproof.history import AppliedAction, History, HistoryFile, Redactor, WireEvent
from airproof.reports import html, ledger
from airproof.reports.html import RunFacts
from airproof.reports.results import Outcome, TestResult

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BEGAN = 1000.0

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

PROBE = """
<script>
const tell = (result) => fetch("/result", { method: "POST", body: JSON.stringify(result) });
addEventListener("error", (event) => tell({ broken: event.message }));
addEventListener("unhandledrejection", (event) => tell({ broken: `${event.reason}` }));
(async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const found = async (what) => {
    while (!document.querySelector(what)) await frame();
    return document.querySelector(what);
  };
  const canvas = await found(".tl canvas");
  (await found(".tl-as-list summary")).click();
  await found(".tl-list tbody tr");
  const listed = document.querySelector(".tl-list").textContent;
  for (const key of ["f", "n", "m", "-", "ArrowRight"]) {
    document.querySelector(".tl-box").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    await frame();
    await frame();
  }
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let at = 0; at < pixels.length; at += 4) colours.add(pixels.slice(at, at + 3).join());
  tell({ listed, chosen: document.querySelector(".tl-panel").textContent, colours: colours.size });
})();
</script>
</body>
"""


class Site(ThreadingHTTPServer):
    """Serves one page and takes what its probe tells."""

    def __init__(self, page: bytes) -> None:
        self.page = page
        self.told: Queue[dict[str, Any]] = Queue()
        super().__init__(("127.0.0.1", 0), Answers)


class Answers(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.answer(self.server.page)

    def do_POST(self) -> None:
        self.server.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(b"")

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def served(page: str) -> Iterator[Site]:
    with Site(page.encode()) as site:
        thread = Thread(target=site.serve_forever)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


@contextmanager
def browser(url: str, profile: Path) -> Iterator[None]:
    assert CHROMIUM is not None
    quiet = ["--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    mode = ["--headless", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    with subprocess.Popen([CHROMIUM, *mode, *quiet, url], stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def write_history(path: Path) -> None:
    ticks = iter(BEGAN + number for number in range(100))
    file = HistoryFile(path, header={}, redactor=Redactor())
    history = History(file=lambda _: file, clock=lambda: next(ticks))
    event = WireEvent(BEGAN + 1.5, None, "billing-service", "postgres", "postgres", "commit", {"sql": "COMMIT"})
    with history.operation("charge invoice", client="client-1", args={"invoice": "inv-20260101"}) as operation:
        history.crossed([event, WireEvent(BEGAN + 1.2, BEGAN + 1.8, "client-1", "billing-service", "http", "request")])
        operation.info("no answer")
    with history.fault("lost reply", "billing-service → postgres") as fault:
        fault.applied([AppliedAction(BEGAN + 1.6, "r1", "after", "lost reply", event)])
        fault.healed("the rule is gone")
    with history.fault("partition", "network") as fault:
        fault.evidence("no packet came through")
        fault.healed("packets come through")
    history.note("read-out", rows=3)
    history.close()


def test_a_browser_draws_the_timeline_and_lists_it(tmp_path: Path) -> None:
    path = tmp_path / "histories" / "one.jsonl"
    write_history(path)
    test = TestResult("t.py::test_one", Outcome.PASSED, properties={"history": ["histories/one.jsonl"]})
    report = tmp_path / "report.html"
    html.write(
        report, RunFacts("local", "fake", "native", 7, "now", 1, 1), [test], ledger.build([test]), redactor=Redactor()
    )
    page = report.read_text(encoding="utf-8").replace("</body>", PROBE)
    with served(page) as site, browser(f"http://127.0.0.1:{site.server_port}/#t1", tmp_path / "profile"):
        told = site.told.get(timeout=60)
    assert "broken" not in told
    assert told["colours"] > 50
    assert told["chosen"].startswith("client-1: charge invoice")
    for text in (
        "charge invoice",
        "fault: lost reply",
        "evidence: lost reply after commit",
        "fault: partition",
        "read-out",
    ):
        assert text in told["listed"]
