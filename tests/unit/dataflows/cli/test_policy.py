from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner, Result

from config.clock import DAY, from_text
from config.policies.load import DEFAULT_FOLDER, load_default
from config.policies.versions import load_policy
from dataflows.cli.main import main
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from sinks.queries import top_open_cases
from sinks.store import Store
from tests.support.findings import finding, process
from tests.support.policies import rule, write_bundle, write_cases
from tests.support.stores import filled


def run(*arguments: Any, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["policy", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_check_shows_versions_owners_and_what_is_in_force(tmp_path: Path) -> None:
    for name, date in (("a", "2026-01-01T00:00:00Z"), ("b", "2026-03-01T00:00:00Z")):
        main_file = copytree(DEFAULT_FOLDER, tmp_path / name) / "bundle.yaml"
        text = main_file.read_text().replace("version: 1.0.0", f"version: {name}")
        main_file.write_text(text.replace("1970-01-01T00:00:00Z", date))
    document = orjson.loads(run("check", tmp_path, "--at", "2026-02-28", "--json").stdout)
    first, second = document["versions"]
    assert (first["version"], first["in_force"], second["version"], second["in_force"]) == ("a", True, "b", False)
    assert (first["until"], second["until"]) == ("2026-03-01T00:00:00Z", "+∞")
    assert {"owner": "payment-risk", "rules": 2, "remedies": 0, "guardrails": 0} in first["owners"]
    assert "payment-risk" in run("check", tmp_path).output


def test_check_of_the_default_policy_goes_well() -> None:
    assert load_default().hash in run("check").output


def test_check_refuses_what_is_not_granted_and_names_expired_flags(tmp_path: Path) -> None:
    charge = {"system": "billing", "description": "d", "valid_for": "1h", "side_effect": "charge-customer"}
    flags = {"trial": {"value": True, "description": "d", "expires": "2026-01-01T00:00:00Z"}}
    folder = write_bundle(tmp_path, rule("a", "linked", "act", "charge"), remedies={"charge": charge}, flags=flags)
    result = run("check", folder, "--at", "2026-01-01", "--json", code=1)
    (version,) = orjson.loads(result.stdout)["versions"]
    assert {"agent": "fulfilment", "kind": "order.stuck", "rule": "t/a", "side_effect": "charge-customer"} in version[
        "ungranted"
    ]
    assert version["expired_flags"] == ["trial"]
    assert "side_effects in its manifest" in result.stderr


def test_check_of_a_broken_bundle_names_file_line_and_nearest_name(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, rule("a", "confidnce > 0.5"))
    said = run("check", folder, code=3).stderr
    assert "rules.yaml:5: rule 'a': unknown fact 'confidnce'" in said
    assert "Did you mean 'confidence'?" in said


def test_test_fails_on_a_case_that_does_not_hold_and_on_a_rule_without_one(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, rule("a", "linked", "act", "ticket"), rule("b", "true"))
    right = {"name": "right", "facts": {"linked": True}, "expect": {"outcome": "act", "rule": "t/a"}}
    rest = {"name": "rest", "expect": {"outcome": "observe"}}
    other = {"name": "other", "facts": {"kind": "x"}, "expect": {"outcome": "recommend"}}
    write_cases(folder, right, rest)
    result = run("test", folder, "--json", code=1)
    assert "1 rule is reached by no case" in result.stderr
    (version,) = orjson.loads(result.stdout)["versions"]
    assert (version["rules"], version["covered"], version["uncovered"]) == (3, 2, ["default"])
    write_cases(folder, right, rest | {"expect": {"outcome": "act"}}, other)
    result = run("test", folder, code=1)
    assert "1 case is decided otherwise than said" in result.stderr
    assert "outcome: 'act' expected, 'observe' decided" in result.stdout
    write_cases(folder, right, rest, other)
    assert "3 of 3 rules reached (100%)" in run("test", folder).output


def test_test_of_the_default_policy_goes_well() -> None:
    assert "28 of 28 rules reached (100%)" in run("test").output


DATE_AHEAD = "(expected_at != null && expected_in_hours != null && expected_in_hours > 0.0)"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with one case: at risk, then later surely late."""
    findings = [
        finding(at=DAY, confidence=0.75, severity="high", features={"expected_at": "1970-01-09T00:00:00Z"}),
        finding(at=2 * DAY, confidence=0.95, severity="high", occurrence="two"),
    ]
    logic = CaseLogic(Decider(load_policy()), CaseSettings())
    out = process(logic, [each.event("c1") for each in findings], until=3 * DAY)
    return filled(f"sqlite:///{tmp_path}/store.db", given=[event for _, event in out])


def case_of(url: str) -> str:
    with Store.open(url) as store:
        (case,) = top_open_cases(store)
    return str(case["case_id"][:8])


def test_explain_tells_rule_near_misses_and_flips_of_each_decision(url: str) -> None:
    first, last = orjson.loads(run("explain", case_of(url), "--store", url, "--json").stdout)["decisions"]
    assert (first["rule"], last["rule"]) == ("fulfilment/recommend-new-date", "fulfilment/recommend-chase")
    assert first["derived_again"] is True
    assert first["bundle"] == load_default().hash
    assert [(each["rule"], each["outcome"], each["lacks"]) for each in last["nearly"]] == [
        ("fulfilment/recommend-new-date", "recommend", [DATE_AHEAD]),
        ("fulfilment/chase", "act", ["mode == 'act'"]),
    ]
    assert {each["fact"] for each in first["flips"]} >= {"kind_confidence", "expected_at", "contacts_30d"}
    assert first["shown"]["expected_at"] == "1970-01-09T00:00:00Z"
    assert first["facts"]["expected_at"] == from_text("1970-01-09T00:00:00Z")


def test_explain_shows_the_last_decision_and_all_if_asked(url: str) -> None:
    shown = run("explain", case_of(url), "--store", url).output
    assert "derived again from the facts: the same" in shown
    assert shown.count("What one other fact would have changed") == 1
    assert run("explain", case_of(url), "--store", url, "--all").output.count("What one other fact") == 2


def test_explain_tells_what_was_decided_in_shadow_though_there_is_no_case_to_see(tmp_path: Path) -> None:
    modes = "modes: [{mode: shadow, agent: fulfilment, reason: Its first month.}]\ntables:"
    main_file = copytree(DEFAULT_FOLDER, tmp_path / "bundle") / "bundle.yaml"
    main_file.write_text(main_file.read_text().replace("tables:", modes, 1))
    policy = load_policy(main_file.parent)
    logic = CaseLogic(Decider(policy, "act"), CaseSettings())
    found = finding(at=DAY, confidence=0.95, severity="high", features={"expected_at": "1970-01-09T00:00:00Z"})
    out = process(logic, [found.event("c1")], until=2 * DAY)
    url = filled(f"sqlite:///{tmp_path}/store.db", given=[event for _, event in out])
    case_id = next(event.data["case_id"] for _, event in out if event.type == "shadow")
    arguments = ("explain", case_id[:8], "--store", url, "--policy", main_file.parent)
    document = orjson.loads(run(*arguments, "--json").stdout)
    assert document["case"] == case_id
    (decision,) = document["decisions"]
    assert (decision["shadow"], decision["outcome"], decision["derived_again"]) == (True, "act", True)
    assert "contacts_30d" in {each["fact"] for each in decision["flips"]}
    assert "in shadow: act notify_new_date" in run(*arguments).output
    assert "Its first month." in run("check", main_file.parent).output
    report = CliRunner().invoke(main, ["report", "--store", url, "--json"])
    assert orjson.loads(report.stdout)["shadows"] == {"act": 1}


def test_explain_without_the_bundle_says_which_it_wants(url: str, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", rule("a", "true"))
    arguments = ("explain", case_of(url), "--store", url, "--policy", other)
    shown = run(*arguments).output
    assert load_default().hash in shown
    assert "--policy DIR" in shown
    decision = orjson.loads(run(*arguments, "--json").stdout)["decisions"][0]
    assert (decision["version"], decision["derived_again"], decision["flips"]) == (None, None, [])


def changed(tmp_path: Path, old: str, new: str, file: str = "bundle.yaml") -> Path:
    """The default policy with another text in one place."""
    folder = copytree(DEFAULT_FOLDER, tmp_path / "changed")
    text = (folder / file).read_text()
    assert text.count(old) == 1
    (folder / file).write_text(text.replace(old, new))
    return folder


def test_diff_tells_what_past_cases_would_have_met_and_where_it_is_looser(url: str, tmp_path: Path) -> None:
    looser = changed(tmp_path, "sure: {value: 0.9", "sure: {value: 0.7")
    arguments = ("diff", DEFAULT_FOLDER, looser, "--store", url, "--mode", "act")
    document = orjson.loads(run(*arguments, "--json").stdout)
    assert (document["change"], document["old"]["hash"]) == ("loosening", load_default().hash)
    assert document["looser"][0]["facts"]["kind"] == document["looser"][0]["kind"]
    recorded = document["recorded"]
    assert (recorded["decisions"], recorded["different"], recorded["cases"], recorded["customers"]) == (2, 1, 1, 1)
    assert recorded["newly_acted"] == {"cases": 1, "money_at_risk": 0.0}
    assert recorded["money_newly_moved"]["cases"] == 0
    (segment,) = recorded["segments"]
    assert (segment["is"], segment["would_be"]) == ("recommend notify_new_date", "act notify_new_date")
    assert segment["rules"] == [
        {"is": "fulfilment/recommend-new-date", "would_be": "fulfilment/tell-new-date", "decisions": 1}
    ]
    shown = run(*arguments).output
    assert "Of 2 decisions 1 would have been others: on 1 cases, of 1 customers." in shown
    assert "today:    shown to a person: notify_new_date (Tell the customer honestly" in shown
    assert "would be: done without asking: notify_new_date (" in shown
    assert "rules:    fulfilment/recommend-new-date → fulfilment/tell-new-date (1)" in shown
    assert "The new policy is looser in places." in shown
    assert "more: --top" in run(*arguments, "--top", 1).output


def test_diff_fails_if_it_is_asked_to_and_the_new_policy_is_looser(tmp_path: Path) -> None:
    tighter = changed(tmp_path, "doubtful: {value: 0.5", "doubtful: {value: 0.6")
    assert "tightening" in run("diff", DEFAULT_FOLDER, tighter, "--fail-if-looser").output
    said = run("diff", tighter, DEFAULT_FOLDER, "--fail-if-looser", code=1).stderr
    assert "is looser in places" in said
    assert "two people" in said
    assert "equivalent" in run("diff", tighter, tighter, "--fail-if-looser").output


def test_diff_names_facts_that_were_not_recorded(url: str, tmp_path: Path) -> None:
    wants = changed(
        tmp_path,
        "  tickets_open:\n",
        "  more: {type: bool, nullable: true, feature: more, description: d}\n  tickets_open:\n",
    )
    guards = wants / "guards.yaml"
    guards.write_text(guards.read_text().replace("when: open_remedy != ''", "when: more != null && more"))
    assert (
        "2 decisions cannot be judged: they do not hold the fact more"
        in run("diff", DEFAULT_FOLDER, wants, "--store", url).output
    )


def test_diff_takes_decisions_from_one_place(url: str, tmp_path: Path) -> None:
    said = run("diff", DEFAULT_FOLDER, DEFAULT_FOLDER, "--store", url, "--recording", tmp_path, code=2).stderr
    assert "either --store URL or --recording DIR" in said


@pytest.fixture
def signers(tmp_path: Path) -> Any:
    """The key file of three people, and their private keys, by name; kim's is for something else."""
    entries = []
    for name in ("ben", "maria", "kim"):
        role = "policy-author" if name != "kim" else "customer-operations"
        made = CliRunner().invoke(
            main,
            [
                "keys",
                "make",
                f"{tmp_path}/{name}.key",
                "--person",
                name,
                "--roles",
                role,
                "--valid-from",
                "2020-01-01",
                "--json",
            ],
        )
        entries.append(orjson.loads(made.stdout))
    file = tmp_path / "keys.yaml"
    file.write_text(yaml.safe_dump({"owner": "security", "keys": entries}))
    return lambda name: ("--key", tmp_path / f"{name}.key", "--keys", file)


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """A policy of two versions, the second of them looser."""
    folder = tmp_path / "policy"
    for name, date, sure in (("1.0.0", "1970-01-01T00:00:00Z", "0.9"), ("1.1.0", "2026-01-01T00:00:00Z", "0.8")):
        main_file = copytree(DEFAULT_FOLDER, folder / name) / "bundle.yaml"
        text = main_file.read_text().replace("version: 1.0.0", f"version: {name}")
        main_file.write_text(
            text.replace("1970-01-01T00:00:00Z", date).replace("sure: {value: 0.9", f"sure: {{value: {sure}")
        )
    return folder


@pytest.mark.slow
def test_version_decides_once_the_people_it_takes_have_signed_it(versions: Path, signers: Any) -> None:
    keys = signers("ben")[2:]
    assert "2 versions may shadow only" in run("check", versions, "--enforce", *keys, code=1).stderr
    first = orjson.loads(run("sign", versions, *signers("ben"), "--version", "1.0.0", "--json").stdout)
    assert (first["change"], first["signed_by"], first["needed"], first["may_decide"]) == ("first", ["ben"], 2, False)
    assert "maria may sign it; security may give that role" in first["refusal"]
    assert (
        "It may decide: 2 of 2 signatures, by ben, maria."
        in run("sign", versions, *signers("maria"), "--version", "1.0.0").output
    )
    second = orjson.loads(run("sign", versions, *signers("ben"), "--json").stdout)
    assert (second["version"], second["change"], second["may_decide"]) == ("1.1.0", "loosening", False)
    document = orjson.loads(run("check", versions, "--enforce", *keys, "--json", code=1).stdout)
    assert [version["in_force"] for version in document["versions"]] == [True, False]
    assert [row["signed_by"] for row in document["signatures"]] == [["ben", "maria"], ["ben"]]
    run("sign", versions, *signers("maria"))
    document = orjson.loads(run("check", versions, "--enforce", *keys, "--json").stdout)
    assert [version["in_force"] for version in document["versions"]] == [False, True]
    guards = versions / "1.1.0" / "guards.yaml"
    guards.write_text(guards.read_text().replace("doubtful", "likely"))
    assert "has been changed since" in run("check", versions, "--enforce", *keys, code=1).output


def test_only_whose_key_is_for_policies_can_sign(versions: Path, signers: Any, tmp_path: Path) -> None:
    said = run("sign", versions, *signers("kim"), code=2).stderr
    assert "kim has no key for the role policy-author" in said
    assert "security may give that role" in said
    CliRunner().invoke(main, ["keys", "make", f"{tmp_path}/eve.key", "--person", "eve", "--roles", "policy-author"])
    said = run("sign", versions, *signers("eve"), code=2).stderr
    assert "nobody's that is known" in said
    assert "security may add its public half" in said
    assert "has no version '9'" in run("sign", versions, *signers("ben"), "--version", "9", code=2).stderr
    assert not list(versions.glob("*/signatures.json"))


def test_check_refuses_what_is_asked_for_in_vain_and_names_the_nearest(tmp_path: Path) -> None:
    rules = [
        rule("a", "kind == 'order.promise_at_rsk'"),
        rule("b", "kind in ['order.stuck', 'order.stck'] && agent != 'fulfillment'"),
        rule("c", "open_remedy == 'notfy'"),
        rule("d", "kind == 'order.promise_passed' || open_remedy == '' || agent == 'cause'"),
    ]
    modes = [{"mode": "shadow", "kind": "oder.*", "reason": "r"}]
    result = run("check", write_bundle(tmp_path, *rules, modes=modes), "--json", code=1)
    assert "5 values are asked for in vain" in result.stderr
    (version,) = orjson.loads(result.stdout)["versions"]
    found = {each["where"] + ": " + each["value"]: each["hint"].partition("?")[0] for each in version["vain"]}
    assert found == {
        "rule t/a: order.promise_at_rsk": "Did you mean 'order.promise_at_risk'",
        "rule t/b: fulfillment": "Did you mean 'fulfilment'",
        "rule t/b: order.stck": "Did you mean 'order.stuck'",
        "rule t/c: notfy": "Did you mean 'notify'",
        "mode shadow: oder.*": "Did you mean 'order.stuck'",
    }


@pytest.mark.parametrize(
    ("when", "nearest"),
    [
        ("severity == 'hihg'", "severity is never 'hihg'. Did you mean 'high'? Known: low, medium, high, critical."),
        ("linked || !('actt' == mode)", "mode is never 'actt'. Did you mean 'act'?"),
        ("severity in ['high', 'urgent']", "severity is never 'urgent'"),
    ],
)
def test_a_value_that_a_fact_never_has_is_refused(when: str, nearest: str, tmp_path: Path) -> None:
    result = run("check", write_bundle(tmp_path, rule("a", when)), code=3)
    assert nearest in " ".join(result.stderr.split()).replace(" remedy:", ".")
    assert "rules.yaml:5: rule 'a'" in result.stderr


@pytest.mark.parametrize("command", [("check",), ("test",)])
def test_a_folder_without_a_policy_is_named_with_what_it_has_to_hold(command: tuple[str, ...], tmp_path: Path) -> None:
    for folder, why in ((tmp_path / "none", "there is no such folder"), (tmp_path, "there is no policy in it")):
        said = run(*command, folder, code=3).stderr
        assert f"{folder}: {why}" in said
        assert "holds bundle.yaml" in said


def test_where_no_key_is_known_it_is_told_how_to_name_the_key_file(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, rule("a", "linked"))
    said = run("check", folder, "--enforce", code=1).stderr
    assert "1 version may shadow only" in said
    assert "--keys FILE" in said.replace("\n", " ")
    keys = tmp_path / "keys.yml"
    keys.write_text("owner: security\nkeys: []\n")
    assert "--keys" not in run("check", folder, "--enforce", "--keys", keys, code=1).stderr
