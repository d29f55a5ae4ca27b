"""The pytest plugin: hooks only. What they do is in `airproof.fixtures` and `airproof.reports`.

Without `--airproof-env` it registers its markers and fixtures and does nothing else; nothing heavy is imported then.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airproof.errors import AirproofError, PlatformError, UsageError, WaitTimeout
from airproof.fixtures import catalogue
from airproof.fixtures.keys import CASE, REPORTER, RUN, SETTINGS
from airproof.fixtures.seeds import seeds_text

if TYPE_CHECKING:
    from airproof.fixtures.reporter import Reporter
    from airproof.fixtures.run import Run
    from airproof.fixtures.settings import Settings
    from airproof.platform.manifest import Manifest

_MARKERS = (
    "covers(*rows): the rows of the feature ledger that the test proves",
    "promise(text, family=None): what the test proves, where its docstring does not say; the report groups by family",
    "destructive: breaks the environment, which must say `disposable: true`",
    "private_broker: needs a Kafka of its own, because it breaks it",
    "doubled: needs two instances of every service in its cell",
    "wired: needs wires on the links of its cell; a test with the fixture `wire` has them",
    "smoke: belongs to the quick check of a pull request",
)
_KAFKA_PYTHON = "(read|open)_text is deprecated"
"""kafka-python 3 reads its schemas so on Python 3.11 and 3.12, in the background of whatever pytest does then."""


def manifest(config: pytest.Config) -> Manifest | None:
    """What the platform of this run declares, for suites that generate scenarios; None without an environment."""
    run = config.stash.get(RUN, None)
    return run.driver.manifest if run else None


@contextmanager
def told_if_stuck(test: pytest.Function, category: str) -> Iterator[None]:
    """Has a test that waits in vain, or is answered with an error, fail with its promise, under that category."""
    from airproof.checkers.verdict import stuck

    try:
        yield
    except (PlatformError, WaitTimeout) as error:
        promise = (inspect.getdoc(test.function) or "").partition("\n")[0]
        pytest.fail(str(stuck(category, promise, error)), pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("airproof", "the environment to test in")
    group.addoption("--airproof-env", metavar="NAME|FILE", help="environment, by name or file")
    group.addoption("--airproof-set", metavar="KEY=VALUE", action="append", default=[], help="override a field of it")
    group.addoption("--airproof-platform-path", metavar="DIR", help="put first on the platform's import path")
    group.addoption("--airproof-report", metavar="DIR", help="where to report (default: reports/NAME)")
    group.addoption("--airproof-seed", metavar="N", type=int, help="seed of the run, to have the same run again")
    group.addoption("--airproof-schedule", metavar="FILE", help="faults of tests with `nemesis`, instead of by seed")
    group.addoption("--airproof-nemesis", metavar="SEEDS", type=seeds_text, help="schedules to run, such as 7 or 1-50")
    group.addoption("--airproof-keep", action="store_true", help="leave the environment up")
    parser.addini("airproof_env", "environment, by name or file", default="")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Makes `-n auto` mean: as many as the environment has workers."""
    settings = _settings(config)
    if settings is None:
        return None
    with _usage_errors():
        return settings.environment().workers


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Begins to bring the environment up, so that it does so while pytest collects."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(catalogue, "airproof_fixtures")
    settings = _settings(config)
    if settings is None:
        return
    warnings.filterwarnings("ignore", _KAFKA_PYTHON, DeprecationWarning)
    config.addinivalue_line("filterwarnings", f"ignore:{_KAFKA_PYTHON}:DeprecationWarning")
    from airproof.fixtures.run import Run

    given = getattr(config, "workerinput", {}).get("airproof")
    with _usage_errors():
        run = Run.join(settings, given) if given else Run.open(settings, workers=_workers(config))
    config.stash[RUN] = run
    if given:
        config.pluginmanager.register(WorkerHooks(run))
    else:
        config.stash[REPORTER] = _report(config, run)
    if not config.option.collectonly:
        run.start(config.stash[REPORTER].progress if not given else None)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Says where the tests run."""
    reporter = config.stash.get(REPORTER, None)
    return reporter.header() if reporter else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker of pytest-xdist how to join."""
    if reporter := node.config.stash.get(REPORTER, None):
        reporter.nodes.append(node)
        node.workerinput["airproof"] = reporter.run.for_worker(node.workerinput["workerid"])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuses to break what is not disposable, and puts tests that need the same kind of cell together."""
    run = config.stash.get(RUN, None)
    if run is None:
        return
    from airproof.fixtures.selection import order, refusal

    if why := refusal(items, run.environment):
        if not run.worker:
            raise pytest.UsageError(why)
        items.clear()
        run.say("refusal", why)
    order(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Waits for the environment when tests run in this process, and shows what it waits for."""
    reporter = session.config.stash.get(REPORTER, None)
    if reporter and session.items and reporter.run.tests_here:
        reporter.wait()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    """Waits for the environment before the first test is handed to a worker."""
    if reporter := node.config.stash.get(REPORTER, None):
        for why in reporter.run.heard("refusal").values():
            reporter.dismiss_workers()
            raise pytest.UsageError(why)
        reporter.wait()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Gives the test its seed, and its report the promise it tests; begins none when the run's time is over."""
    if run := item.config.stash.get(RUN, None):
        from airproof.fixtures.case import Case
        from airproof.fixtures.selection import properties

        item.stash[CASE] = Case(run, item)
        item.user_properties[:] = properties(item, item.stash[CASE])
        if why := run.overdue():
            item.session.shouldfail = why
            pytest.fail(why, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Limits the test's time, and turns a green one red when the platform did what no declared fault explains."""
    case = item.stash.get(CASE, None)
    if case is None:
        return (yield)
    with case.limited():
        result = yield
    if surprises := case.judge():
        pytest.fail(surprises, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds seed, command and logs to a failure, and takes secrets out of it."""
    report = yield
    if case := item.stash.get(CASE, None):
        case.complete(report)
    return report


class ReporterHooks:
    """Hooks of the process that the user started."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the report for the pages that are written in the end."""
        self.reporter.results.add(report)

    def pytest_keyboard_interrupt(self) -> None:
        """Lets the workers go at once instead of waiting for them to notice."""
        self.reporter.dismiss_workers()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Ends the environment and writes the reports."""
        self.reporter.finish(session)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says where things came from and where the report is."""
        if self.reporter.summary:
            terminalreporter.section("airproof")
            for line, colours in self.reporter.summary:
                terminalreporter.write_line(line, **colours)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Looks for secrets in what others wrote, and lets the next run begin."""
        self.reporter.end()


class WorkerHooks:
    """Hooks of a worker of pytest-xdist."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def pytest_sessionfinish(self) -> None:
        """Gives the worker's cells back."""
        self.run.close_cells()


def _settings(config: pytest.Config) -> Settings | None:
    """The settings, read once; None without an environment."""
    if SETTINGS not in config.stash:
        from airproof.fixtures.settings import Settings

        config.stash[SETTINGS] = Settings.read(config)
    return config.stash[SETTINGS]


def _report(config: pytest.Config, run: Run) -> Reporter:
    from airproof.fixtures.reporter import Reporter, make_progress

    reporter = Reporter(run, config, make_progress())
    config.pluginmanager.register(ReporterHooks(reporter))
    if getattr(config.option, "xmlpath", "") is None:
        config.option.xmlpath = str(run.directory.junit)
    return reporter


def _workers(config: pytest.Config) -> int:
    """How many workers pytest-xdist runs the tests in; 0 without it."""
    return 0 if getattr(config.option, "dist", "no") == "no" else len(getattr(config.option, "tx", None) or [])


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Makes an error of usage one line of pytest's, with exit status 4; any other ends pytest with its own status."""
    try:
        yield
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    except AirproofError as error:
        pytest.exit(str(error), returncode=int(error.exit_status))
