"""Which cell a test gets, and that none is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from .conftest import Project

pytest_plugins = ["pytester"]


def leased(project: Project) -> list[str]:
    return [line.split()[1] for line in project.journal if line.startswith("lease")]


def returned(project: Project) -> dict[str, str]:
    return {line.split()[1]: line.split()[2] for line in project.journal if line.startswith("return")}


def test_tests_of_a_worker_share_a_cell_and_have_their_own_history(project: Project) -> None:
    project.test(
        """
        seen = []
        def test_a(cell, history):
            assert cell.history is history
            seen.append((cell, history))
        def test_b(cell, history):
            assert seen[0][0] is cell and seen[0][1] is not history
        """
    ).assert_outcomes(passed=2)
    (name,) = leased(project)
    assert returned(project) == {name: "reusable"}
    assert project.journal[-1] == "close main"


def test_a_cell_that_does_not_become_quiet_is_replaced(project: Project) -> None:
    project.write_environment(timeouts="{barrier_s: 0.01}")
    result = project.test("def test_a(platform): platform.keep_moving()\ndef test_b(platform): pass")
    result.assert_outcomes(passed=2)
    first, second = leased(project)
    assert returned(project) == {first: "spent", second: "reusable"}
    result.stdout.fnmatch_lines([f"cell {first} is replaced: *3 messages in the outbox*, after test_a"])


def test_a_cell_with_a_dead_service_is_replaced(project: Project) -> None:
    project.test("def test_a(platform): platform.stay_down()\ndef test_b(platform): pass").assert_outcomes(passed=2)
    first, second = leased(project)
    assert returned(project) == {first: "spent", second: "reusable"}


def test_a_fault_that_does_not_heal_quarantines_the_cell(project: Project) -> None:
    result = project.test(
        """
        def test_a(cell):
            with cell.history.fault("killed", "auth-service") as fault:
                fault.evidence("gone")
        def test_b(cell): pass
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*FaultNotHealed*", "*is replaced: not healed: killed auth-service, after test_a"])


def test_aggressive_clean_up_replaces_what_was_broken(project: Project) -> None:
    project.write_environment(cleanup="aggressive")
    project.test(
        """
        def test_a(cell):
            with cell.history.fault("killed", "auth-service") as fault:
                fault.evidence("gone")
                fault.healed("back")
        def test_b(cell): pass
        def test_c(cell): pass
        """
    ).assert_outcomes(passed=3)
    assert len(leased(project)) == 2


def test_a_private_broker_is_had_on_demand_and_its_tests_come_last(project: Project) -> None:
    project.test(
        """
        import pytest

        @pytest.mark.private_broker
        def test_a(cell): assert cell.description.private_broker
        def test_b(cell): assert not cell.description.private_broker
        @pytest.mark.private_broker
        def test_c(cell): assert cell.description.private_broker
        def test_d(cell): assert not cell.description.private_broker
        """
    ).assert_outcomes(passed=4)
    assert [name[0] for name in leased(project)] == ["c", "p"]


def test_every_worker_has_its_own_cell(project: Project) -> None:
    body = "import pytest\n@pytest.mark.parametrize('n', range(6))\ndef test_a(cell, n): pass"
    project.test(body, "-n", "2", inside=False).assert_outcomes(passed=6)
    assert len(set(leased(project))) == 2
    assert set(returned(project)) == set(leased(project))
    assert {"close gw0", "close gw1"} < set(project.journal)
    assert project.journal[-1] == "close main"


def test_a_worker_that_crashes_is_replaced_by_one_with_a_new_cell(project: Project) -> None:
    body = (
        "import os, signal\n"
        "def test_a(cell): os.kill(os.getpid(), signal.SIGKILL)\n"
        "def test_b(cell): pass\ndef test_c(cell): pass"
    )
    result = project.test(body, "-n", "1", inside=False)
    result.assert_outcomes(passed=2, failed=1)
    crashed, fresh = leased(project)
    assert set(returned(project)) == {fresh}
    assert crashed != fresh
    assert project.journal[-1] == "close main"


def test_a_kept_environment_is_opened_to_be_kept(project: Project) -> None:
    project.test("def test_a(tenant, seed): assert len(tenant.id) > len(f't-{seed:08x}')", "--airproof-keep")
    assert "open keep=True" in project.journal


def test_clean_up_that_fails_turns_the_run_red(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    result = project.test(
        """
        from airproof.errors import NotReady
        def test_a(cell, provision):
            def fail(*_, **__): raise NotReady("PostgreSQL does not end")
            provision.return_cell = fail
        """
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["not cleaned up: cells of this worker: 1 clean-up*PostgreSQL does not end"])
