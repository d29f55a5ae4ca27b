"""What the platform does beside the test decides too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Project

pytest_plugins = ["pytester"]

FAULT = """
        from airproof.history import Explanation

        def killed(cell, explains):
            return cell.history.fault("killed", "auth-service", explains=explains)
"""


def test_an_unexplained_error_turns_a_green_test_red(project: Project) -> None:
    result = project.test("def test_green(platform): platform.log('error', 'lost the database')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "no declared fault explains that auth-service logged error: *app* lost the database",
            "  faults declared by the test: none",
        ]
    )


def test_warnings_do_not(project: Project) -> None:
    project.test("def test_green(platform): platform.log('warning', 'retrying')").assert_outcomes(passed=1)


def test_a_crash_turns_a_green_test_red(project: Project) -> None:
    result = project.test("def test_green(platform): platform.end(exit_code=-11)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["no declared fault explains that auth-service ended by itself with SIGSEGV"])


def test_declared_faults_explain(project: Project) -> None:
    project.test(
        FAULT
        + """
        def test_green(cell, platform):
            with killed(cell, [Explanation("auth-service", logger="app", exits=True)]) as fault:
                platform.end(requested=True, exit_code=-9)
                fault.evidence("gone")
                platform.log("error", "shutting down")
                fault.healed("back")
        """
    ).assert_outcomes(passed=1)


def test_declared_faults_explain_only_what_they_say(project: Project) -> None:
    result = project.test(
        FAULT
        + """
        def test_green(cell, platform):
            with killed(cell, [Explanation("auth-service", exits=True)]) as fault:
                platform.end(requested=True, exit_code=-9)
                fault.evidence("gone")
                fault.healed("back")
            platform.log("error", "outbox is corrupt")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*outbox is corrupt*", "  faults declared by the test: killed auth-service"])


def test_what_happens_late_is_an_error_of_the_same_test(project: Project) -> None:
    result = project.test(
        """
        import pytest

        @pytest.fixture
        def late(platform):
            yield
            platform.log("error", "too late")

        def test_first(late): pass
        def test_second(platform): pass
        """
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_first*"])


def test_a_red_test_stays_what_it_is_and_shows_the_rest_beside(project: Project) -> None:
    result = project.test("def test_red(platform):\n    platform.end()\n    assert 1 == 2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*assert 1 == 2", "*airproof: also, beside the failure*", "*SIGSEGV*"])


def test_a_test_that_skips_itself_does_not_hide_what_has_happened(project: Project) -> None:
    result = project.test("import pytest\ndef test_a(platform):\n    platform.end()\n    pytest.skip('enough')")
    result.assert_outcomes(skipped=1, errors=1)
    result.stdout.fnmatch_lines(["*SIGSEGV*"])


def test_the_end_of_the_nodes_log_is_shown_with_a_failure(project: Project) -> None:
    body = "def test_red(platform):\n    [platform.log('info', f'line {n}') for n in range(60)]\n    assert 0"
    result = project.test(body)
    result.stdout.fnmatch_lines(["*the nodes' last 40 of 60 lines, all in reports/toy/logs/*.log*", "*app | line 20"])
    result.stdout.no_fnmatch_line("*app | line 19")
    (log,) = (project.report / "logs").iterdir()
    assert len(log.read_text(encoding="utf-8").splitlines()) == 60


def test_a_test_that_takes_too_long_is_ended(project: Project) -> None:
    project.write_environment(timeouts="{test_s: 0.2}")
    body = (
        "from airproof.waiting import wait_until\ndef test_slow(platform): wait_until(bool, timeout_s=60, describe='x')"
    )
    result = project.test(body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the test took longer than 0.2 s (timeouts.test_s)*"])
