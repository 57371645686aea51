from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from config.agents.load import load_manifests
from config.clock import from_text
from config.errors import PolicyError
from config.policies.bundle import Bundle
from config.policies.load import DEFAULT_FOLDER, load_bundle, load_default

BUNDLE = """\
name: small
owner: team-a
escalation: duty-manager
version: 1.0.0
effective_from: 2026-01-01T00:00:00Z
facts:
  kind: {type: string, description: what}
  confidence: {type: number, description: how sure}
  expected_at: {type: instant, nullable: true, feature: eta, description: when}
remedies:
  notify: {system: crm, description: write, valid_for: 4h, contacts_customer: true}
tables: [rules.yaml]
default: {outcome: observe, reason: "Nothing for {kind}."}
"""

RULES = """\
# The rules.
table: orders
owner: team-b
kinds: ["order.*"]
rules:
  - id: sure
    description: sure enough
    when: confidence > 0.5 && kind == 'order.late'
    outcome: act
    remedy: notify
    parameters: {when: "{expected_at}"}
    reason: Confidence {confidence}.

  - id: rest
    description: everything else
    when: >-
      confidence > 0.1
    outcome: observe
    reason: Low.
"""

Load = Callable[..., Bundle]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def make(bundle: str = BUNDLE, rules: str = RULES) -> Bundle:
        (tmp_path / "bundle.yaml").write_text(bundle)
        (tmp_path / "rules.yaml").write_text(rules)
        return load_bundle(tmp_path)

    return make


def test_bundle_is_loaded(load: Load) -> None:
    bundle = load()
    assert (bundle.name, bundle.owner, bundle.escalation, bundle.version) == (
        "small",
        "team-a",
        "duty-manager",
        "1.0.0",
    )
    assert [rule.id for rule in bundle.rules] == ["orders/sure", "orders/rest"]
    assert [part.source for part in bundle.rules[0].conjuncts] == ["confidence > 0.5", "kind == 'order.late'"]
    assert bundle.features == {"eta"}
    assert bundle.remedies["notify"].valid_for.total_seconds() == 4 * 3600
    assert bundle.default.outcome == "observe"


def test_plan_holds_only_rules_that_can_fire_for_the_kind(load: Load) -> None:
    bundle = load()
    assert [rule.id for rule in bundle.plan("order.late").rules] == ["orders/sure", "orders/rest"]
    assert [rule.id for rule in bundle.plan("order.stuck").rules] == ["orders/rest"]
    assert bundle.plan("service.degraded").rules == ()
    assert [name for name, _, _ in bundle.plan("order.late").facts] == ["confidence", "expected_at", "kind"]


def test_plans_are_kept_for_a_bounded_number_of_kinds(load: Load) -> None:
    bundle = load()
    for number in range(1_100):
        bundle.plan(f"order.k{number}")
    assert len(bundle._by_kind) == 1_000


@pytest.mark.parametrize(
    ("old", "new", "message", "remedy"),
    [
        (
            "confidence > 0.5 &&",
            "confidense > 0.5 &&",
            "rules.yaml:6: rule 'sure': unknown fact 'confidense'",
            "'confidence'",
        ),
        ("{confidence}.", "{confidance}.", "rules.yaml:6: rule 'sure': unknown fact 'confidance'", "'confidence'"),
        ('"{expected_at}"', '"at {expected}"', "unknown fact 'expected'", "'expected_at'"),
        (
            "confidence > 0.5 &&",
            "velocity_xyz > 0.5 &&",
            "unknown fact 'velocity_xyz'",
            "Did you mean 'confidence'? Known: kind",
        ),
        ("remedy: notify", "remedy: notfy", "rules.yaml:6: rule 'sure': unknown remedy 'notfy'", "'notify'"),
        ("    remedy: notify\n", "", "rule 'sure': outcome 'act' without a remedy", "what shall be done"),
        (
            "confidence > 0.1",
            "confidence > > 0.1",
            "rules.yaml:14: rule 'rest': broken expression: line 1, column 14",
            "",
        ),
        ("confidence > 0.1", "today() > 0.1", "rule 'rest': broken expression: unknown function 'today'", "Known"),
        ("confidence > 0.1", "confidence", "rule 'rest': expression does not fit", "Compare it: confidence > 0.5."),
        ("confidence > 0.1", "confidence > 'x'", "rule 'rest': expression does not fit", "types of facts are declared"),
        ("kind == 'order.late'", "kind > 3", "rules.yaml:6: rule 'sure': expression does not fit", "Write '3', or"),
        (
            "kind == 'order.late'",
            "3 == kind",
            "rules.yaml:6: rule 'sure': expression does not fit the types of its facts: fact 'kind' is a string, "
            "but 3 is a number, so '3 == kind' is never true",
            "Write '3', or compare what is a number. The types of facts are declared in bundle.yaml.",
        ),
        ("kind == 'order.late'", "(confidence < 0.0 || kind in ['a', 3])", "so \"kind in ['a', 3]\" looks in vain", ""),
        (
            "confidence > 0.1",
            "confidence > 0.1 || confidence == '1'",
            "fact 'confidence' is a number",
            "without quotes",
        ),
        ("confidence > 0.1", "min(confidence, 1.0) > 0.5", "unknown function 'min'", "Known functions: contains"),
        ("id: rest", "id: sure", "rules.yaml:14: rule 'sure': this id is taken", "its own id"),
        (
            "outcome: observe",
            "outcome: allow",
            "rules.yaml:18: Invalid enum value 'allow' - at `$.rules[1].outcome`",
            "Did you mean 'approve'? Known: act, approve, observe, recommend. See docs/decisions.md",
        ),
        ("outcome: observe", "outcom: observe", "rules.yaml:14: Object contains unknown field `outcom`", "'outcome'"),
        ("owner: team-b\n", "", "rules.yaml:1: Object missing required field `owner`", "docs"),
        ("owner: team-b", "owner: ' '", "rules.yaml:3: owner is empty", "Fill in owner"),
        (
            "    reason: Low.",
            "    reason: Low.\n    reason: High.",
            "rules.yaml:14: not YAML: key 'reason' stands twice",
            "Correct the syntax",
        ),
        ("kinds: [", "kinds: {[", "while parsing a flow mapping from line 4", "Correct the syntax"),
    ],
)
def test_mistake_in_a_table_is_named_with_its_place(load: Load, old: str, new: str, message: str, remedy: str) -> None:
    assert RULES.count(old) >= 1
    with pytest.raises(PolicyError) as raised:
        load(rules=new.join(RULES.rsplit(old, 1)))
    assert message in raised.value.message
    assert remedy in raised.value.remedy
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owner: team-a\n", "", "bundle.yaml:1: Object missing required field `owner`"),
        ("owner: team-a", "owner: ''", "bundle.yaml:2: owner is empty"),
        ("escalation: duty-manager\n", "", "missing required field `escalation`"),
        ("type: number", "type: decimal", "bundle.yaml:8: Invalid enum value 'decimal' - at `$.facts[...].type`"),
        ("description: how sure", "description: ''", "bundle.yaml:8: facts.confidence.description is empty"),
        ("00:00:00Z", "00:00:00", "bundle.yaml:5: effective_from has no offset from UTC"),
        ("valid_for: 4h", "valid_for: soon", "bundle.yaml:11: remedy 'notify': valid_for: 'soon'"),
        ("for {kind}", "for {knd}", "bundle.yaml:13: default reason: unknown fact 'knd'"),
        ("outcome: observe", "outcome: act", "Invalid enum value 'act' - at `$.default.outcome`"),
        ("outcome: observe,", "outcome: observe, remedy: pay,", "bundle.yaml:13: default: unknown remedy 'pay'"),
        ("[rules.yaml]", "[]", "bundle.yaml:12: tables do not list rules.yaml"),
        ("[rules.yaml]", "[rules.yaml, more.yaml]", "more.yaml: cannot be read: No such file or directory"),
    ],
)
def test_mistake_in_the_bundle_is_named(load: Load, old: str, new: str, message: str) -> None:
    assert old in BUNDLE
    with pytest.raises(PolicyError) as raised:
        load(bundle=BUNDLE.replace(old, new))
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("fact", "message", "remedy"),
    [
        (
            "confidence: {type: string, description: d}",
            "fact 'confidence' is not what",
            "type: number, nullable: false",
        ),
        ("lead_hours: {type: number, description: d}", "fact 'lead_hours' is not what", "nullable: true"),
        ("flags: {type: number, description: d}", "unknown fact 'flags'", ""),
        ("x: {type: number, feature: x, description: d}", "fact 'x': a feature may be absent", "nullable: true"),
        ("x: {type: number, hours_until: x, description: d}", "fact 'x': a feature may be absent", "nullable: true"),
        ("x: {type: instant, hours_until: x, nullable: true, description: d}", "hours are a number", "type: number"),
        (
            "x: {type: number, hours_until: x, feature: x, nullable: true, description: d}",
            "of one feature",
            "no feature",
        ),
        ("mode: {type: string, feature: m, nullable: true, description: d}", "fact 'mode' is provided", "another name"),
    ],
)
def test_fact_that_nobody_provides_is_refused(load: Load, fact: str, message: str, remedy: str) -> None:
    replaced = "confidence: {type: number, description: how sure}"
    keep = "" if fact.startswith("confidence") else f"  {replaced}\n"
    with pytest.raises(PolicyError) as raised:
        load(bundle=BUNDLE.replace(f"  {replaced}\n", f"{keep}  {fact}\n"))
    assert message in raised.value.message
    assert remedy in raised.value.remedy


@pytest.mark.parametrize(
    ("when", "accepted"),
    [
        ("expected_at > 3", False),
        ("kind == 'x' && expected_at > 3", False),
        ("kind == 'x' && expected_at != null && expected_at > 3", True),
        ("expected_at > 3 && expected_at != null", True),
        ("expected_at == null || expected_at > 3", True),
    ],
)
def test_condition_that_fails_on_null_is_refused(load: Load, when: str, accepted: bool) -> None:
    rules = RULES.replace("confidence > 0.5 && kind == 'order.late'", when)
    if accepted:
        load(rules=rules)
    else:
        with pytest.raises(PolicyError, match="'expected_at' may be null"):
            load(rules=rules)


def test_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"bundle\.yaml: cannot be read"):
        load_bundle(tmp_path)


def test_file_that_is_not_utf8_is_refused(load: Load, tmp_path: Path) -> None:
    load()
    (tmp_path / "rules.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match=r"rules\.yaml: is no text: byte 0"):
        load_bundle(tmp_path)
    (tmp_path / "rules.yaml").write_text("# To be written.\n")
    with pytest.raises(PolicyError, match=r"rules\.yaml: is empty"):
        load_bundle(tmp_path)


def test_hash_is_of_the_content_not_of_the_layout(load: Load) -> None:
    first = load().hash
    assert (
        load(rules=RULES.replace("# The rules.", "# Other words.").replace("when: >-\n      conf", "when: conf")).hash
        == first
    )
    assert load(bundle=BUNDLE.replace("1.0.0", "1.0.1")).hash != first
    assert load(rules=RULES.replace("> 0.1", "> 0.2")).hash != first
    assert load(rules=RULES.replace("team-b", "team-c")).hash != first


def test_hash_covers_the_manifests_of_the_agents(tmp_path: Path) -> None:
    manifests = load_manifests()
    bundle = load_bundle(DEFAULT_FOLDER, manifests)
    assert bundle.hash == load_default().hash
    changed = manifests | {"fraud": msgspec.structs.replace(manifests["fraud"], lifecycle="shadow")}
    assert load_bundle(DEFAULT_FOLDER, changed).hash != bundle.hash


def test_rules_and_remedies_have_owners(load: Load) -> None:
    rules = RULES.replace("outcome: act", "outcome: act\n    owner: team-c").replace(
        "owner: team-b", "owner: team-b\nescalation: rota-b"
    )
    sure, rest = load(rules=rules).rules
    assert [(rule.owner, rule.escalation) for rule in (sure, rest)] == [("team-c", "rota-b"), ("team-b", "rota-b")]
    bundle = load()
    assert [(rule.owner, rule.escalation) for rule in bundle.rules] == [("team-b", "duty-manager")] * 2
    assert (bundle.default.owner, bundle.remedies["notify"].owner) == ("team-a", "team-a")


THRESHOLDS = "thresholds:\n  sure: {value: 0.9, description: d}\n  low: {value: -1, description: d}\ntables"


def test_threshold_is_a_number_with_a_name(load: Load) -> None:
    rules = (
        RULES.replace("confidence > 0.5", "confidence > sure && confidence > low && kind != 'sure'")
        .replace('"{expected_at}"', '"{expected_at}", from: "{sure}", text: "from {sure}"')
        .replace("Confidence {confidence}", "Confidence {confidence}, above {sure}")
    )
    bundle = load(bundle=BUNDLE.replace("tables", THRESHOLDS), rules=rules)
    rule = bundle.rules[0]
    assert rule.when.source == "confidence > 0.9 && confidence > (-1.0) && kind != 'sure' && kind == 'order.late'"
    assert rule.parameters == {"when": "{expected_at}", "from": 0.9, "text": "from 0.9"}
    assert rule.reason == "Confidence {confidence}, above 0.9."
    assert rule.names == {"confidence", "kind", "expected_at"}
    loosened = load(bundle=BUNDLE.replace("tables", THRESHOLDS.replace("0.9", "0.8")), rules=rules)
    assert loosened.hash != bundle.hash


def test_flag_is_on_until_it_expires(load: Load) -> None:
    flags = "flags:\n  trial: {value: true, description: d, expires: 2026-06-01T00:00:00Z}\ntables"
    bundle = load(
        bundle=BUNDLE.replace("tables", flags), rules=RULES.replace("confidence > 0.5", "trial && confidence > 0.5")
    )
    expires = from_text("2026-06-01T00:00:00Z")
    assert [bundle.flags_at(at) for at in (expires - 1, expires)] == [{"trial": True}, {"trial": False}]
    assert ("trial", "bool", False) in bundle.plan("order.late").facts
    off = load(bundle=BUNDLE.replace("tables", flags.replace("value: true", "value: false")))
    assert off.flags_at(0) == {"trial": False}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("thresholds: {kind: {value: 1, description: d}}", "bundle.yaml:12: 'kind' is a fact too"),
        ("thresholds: {mode: {value: 1, description: d}}", "bundle.yaml:12: 'mode' is a fact too"),
        ("thresholds: {sure: {value: many, description: d}}", "bundle.yaml:12: Expected `float`"),
        ("thresholds: {sure: {value: 1, description: ''}}", "bundle.yaml:12: thresholds.sure.description is empty"),
        (
            "flags: {kind: {value: true, description: d, expires: 2026-06-01T00:00:00Z}}",
            "bundle.yaml:12: 'kind' is a fact too",
        ),
        ("flags: {on: {value: true, description: d}}", "bundle.yaml:12: Expected `str`, got `bool` - at `key`"),
        ("flags: {trial: {value: true, description: d}}", "bundle.yaml:12: Object missing required field `expires`"),
        (
            "flags: {trial: {value: true, description: d, expires: 2026-06-01T00:00:00}}",
            "bundle.yaml:12: expires has no offset",
        ),
    ],
)
def test_threshold_or_flag_that_cannot_be_is_refused(load: Load, section: str, message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        load(bundle=BUNDLE.replace("tables", f"{section}\ntables"))
    assert message in raised.value.message


def test_unknown_fact_is_answered_with_the_nearest_threshold_too(load: Load) -> None:
    with pytest.raises(PolicyError) as raised:
        load(bundle=BUNDLE.replace("tables", THRESHOLDS), rules=RULES.replace("> 0.5", "> shure"))
    assert "Did you mean 'sure'?" in raised.value.remedy


def test_table_of_one_name_in_two_files_is_refused(load: Load, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(RULES)
    with pytest.raises(PolicyError, match=r"more\.yaml:2: table 'orders' stands in another file too"):
        load(bundle=BUNDLE.replace("[rules.yaml]", "[rules.yaml, more.yaml]"))


def test_default_bundle_loads() -> None:
    bundle = load_default()
    assert bundle.hash == load_default().hash
    assert len(bundle.rules) > 10
