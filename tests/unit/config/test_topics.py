"""The topics that outputs go to."""

from __future__ import annotations

import pytest

from config.errors import SettingsError
from config.settings import load
from config.topics import Topics


def topics(**named: str) -> Topics:
    return load(None, {f"FORESTALL_TOPICS_{name.upper()}": value for name, value in named.items()}).topics


def test_nothing_goes_to_a_topic_unless_asked_for() -> None:
    assert topics().by_kind() == {}


def test_kinds_may_share_a_topic() -> None:
    chosen = topics(findings="out", decisions="out", dead_letters="dlq").by_kind()
    assert chosen == {"finding": "out", "decision": "out", "dead_letter": "dlq"}


def test_progress_goes_by_the_name_of_the_job_unless_it_has_its_own() -> None:
    assert topics().progress_topic == "forestall.progress"
    assert topics(transactional_id_prefix="a").progress_topic == "a.progress"
    assert topics(progress="p").progress_topic == "p"


def test_all_names_that_kafka_does_not_take_are_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"topics\.findings = 'a b'.*topics\.transactional_id_prefix = 'x/y'"):
        topics(findings="a b", transactional_id_prefix="x/y").by_kind()


def test_outputs_do_not_go_where_progress_is_kept() -> None:
    with pytest.raises(SettingsError, match=r"'forestall\.progress' is a topic of outputs too"):
        topics(findings="forestall.progress").by_kind()


def test_the_topic_of_outcomes_is_nobody_elses() -> None:
    assert topics(outcomes="told").by_kind() == {}
    assert topics(transactional_id_prefix="a").outcomes_progress == "a.remediation.progress"
    with pytest.raises(SettingsError, match=r"topics\.outcomes = 'acts' is a topic that detection writes"):
        topics(outcomes="acts", actions="acts").by_kind()
    with pytest.raises(SettingsError, match=r"topics\.outcomes = 'a b' has characters"):
        topics(outcomes="a b").by_kind()
