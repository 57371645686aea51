from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from config.clock import DAY, HOUR
from config.errors import RecordingError
from dataflows.cli.main import main
from replay.world.labels import Issue, Labels
from sinks.schema import cases, outputs
from sinks.store import Store
from tests.support.stores import OPENED, drift, filled


@pytest.fixture
def url(empty_url: str) -> str:
    return filled(empty_url)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result


def test_report_as_json_holds_every_count(url: str) -> None:
    document = orjson.loads(run("report", "--store", url, "--json").stdout)
    assert document["outputs"] == {"action": 1, "case": 4, "dead_letter": 4, "decision": 2, "finding": 3, "late": 1}
    assert document["status"] == {"open": 2, "resolved": 1}
    assert document["decisions"] == {"act": 1, "recommend": 1}
    assert document["dead_letters"]["not-json"] == 2
    assert document["complete"] is True
    assert len(document["digest"]) == 64


def test_report_for_people_shows_cases_leads_and_what_was_not_used(url: str) -> None:
    shown = run("report", "--store", url).output
    for text in (
        "order.promise_at_risk",
        "Lead times",
        "aaa2  priority 9.00",
        "About order:2.",
        "not-json",
        "orders/0",
    ):
        assert text in shown
    assert "not complete" not in shown


def test_report_shows_which_numbers_of_a_model_have_drifted(tmp_path: Path) -> None:
    url = filled(f"sqlite:///{tmp_path}/drift.db", more=[drift(OPENED)])
    assert orjson.loads(run("report", "--store", url, "--json").stdout)["drift"][0]["since"] == OPENED
    shown = run("report", "--store", url).output
    for text in ("order_progress.left_days", "0.31", "10% → 40%", "20.5"):
        assert text in shown
    assert "rift" not in run("report", "--store", filled(f"sqlite:///{tmp_path}/none.db")).output


def test_report_says_that_a_run_is_not_complete(tmp_path: Path) -> None:
    url = filled(f"sqlite:///{tmp_path}/cut.db", done=False)
    assert "not complete" in run("report", "--store", url).output


def test_report_on_an_empty_store_says_so(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/empty.db", create=True):
        pass
    assert "Nothing was found" in run("report", "--store", f"sqlite:///{tmp_path}/empty.db").output


def test_report_shows_as_many_open_cases_as_asked(url: str) -> None:
    assert "bbb3" not in run("report", "--store", url, "--top", "1").output


def test_case_shows_evidence_decision_and_reasons(url: str) -> None:
    shown = run("case", "aaa1", "--store", url).output
    for text in (
        "case.opened",
        "orders/0 at 7, 9",
        "telemetry/1",
        "late_hours 4.0",
        "act open_ticket",
        "goodwill",
    ):
        assert text in " ".join(shown.split())
    assert "48.0 h" in shown


def test_text_from_events_has_no_effect_on_the_terminal(url: str) -> None:
    shown = run("case", "aaa1", "--store", url).output
    assert "\x1b" not in shown
    assert "[bold]" in shown


def test_case_as_json_holds_row_and_timeline(url: str) -> None:
    document = orjson.loads(run("case", "aaa1", "--store", url, "--json").stdout)
    assert document["case"]["status"] == "resolved"
    assert len(document["timeline"]) == 5


def test_unknown_case_is_misuse(url: str) -> None:
    assert "no case 'zzz'" in run("case", "zzz", "--store", url, code=2).stderr


@pytest.mark.parametrize("command", [["report"], ["case", "x"], ["dead-letters"], ["store", "rebuild"]])
def test_store_that_is_not_there_is_said_plainly(command: list[str], tmp_path: Path) -> None:
    result = run(*command, "--store", f"sqlite:///{tmp_path}/none.db", code=3)
    assert "There is no store at" in result.stderr
    assert "remedy:" in result.stderr


def test_rebuild_finds_an_untouched_store_equal(url: str) -> None:
    assert "equal: 3 cases" in run("store", "rebuild", "--store", url).output
    assert orjson.loads(run("store", "rebuild", "--store", url, "--json").stdout) == {"equal": True, "cases": 3}


def test_rebuild_repairs_and_exits_with_one(url: str) -> None:
    with Store.open(url) as store, store.begin() as connection:
        connection.execute(cases.update().values(status="open"))
    assert orjson.loads(run("store", "rebuild", "--store", url, "--json", code=1).stdout)["equal"] is False
    run("store", "rebuild", "--store", url)


def test_verify_notices_an_altered_output(url: str) -> None:
    assert orjson.loads(run("store", "verify", "--store", url, "--json").stdout) == {"verified": {"part-000": 15}}
    assert "15" in run("store", "verify", "--store", url).output
    with Store.open(url) as store, store.begin() as connection:
        connection.execute(outputs.update().where(outputs.c.seq == 4).values(body=b"{}"))
    assert "chain breaks at entry 4" in run("store", "verify", "--store", url, code=3).stderr


def test_report_with_labels_tells_what_was_found_in_time_and_what_was_missed(url: str, tmp_path: Path) -> None:
    finding = orjson.loads(run("case", "aaa1", "--store", url, "--json").stdout)["timeline"]
    seen = next(event["data"] for event in finding if event["type"] == "finding")
    labels = tmp_path / "labels.json"

    def issue(entity: str, harm_at: int) -> Issue:
        return Issue(
            issue_id=entity,
            kind="order.promise_at_risk",
            entity=entity,
            agent="fulfilment",
            customers=[],
            onset=seen["at"] - HOUR,
            ends_at=seen["at"] + DAY,
            harm_at=harm_at,
        )

    issues = [issue(seen["entity"], seen["at"] + 2 * HOUR), issue("order:never-found", seen["at"] + HOUR)]
    Labels(seed=1, events=1, days=1, mix="full", issues=issues, malformed=[], decoys=[]).write(labels)
    arguments = ("report", "--store", url, "--labels", str(labels))
    judged = orjson.loads(run(*arguments, "--json").stdout)["labelled"]
    assert (judged["all"]["found_in_time"], judged["all"]["missed"]) == (1, 1)
    assert judged["all"]["median_lead_hours"] == 2.0
    assert judged["missed"] == ["order:never-found"]
    assert "found in time" in run(*arguments).output


def test_labels_that_are_not_there_are_named_once(tmp_path: Path) -> None:
    none = tmp_path / "labels.json"
    with pytest.raises(RecordingError) as raised:
        Labels.read(none)
    assert raised.value.message == f"{none}: cannot be read: No such file or directory."
    assert "labels.json" in raised.value.remedy
