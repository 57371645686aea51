from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import SettingsError
from config.kafka import Kafka, client_config
from config.settings import load


def kafka(tmp_path: Path, text: str) -> Kafka:
    file = tmp_path / "job.toml"
    file.write_text(text, encoding="utf-8")
    return load(file).kafka


def test_client_reaches_the_brokers_in_the_settings(tmp_path: Path) -> None:
    config = client_config(kafka(tmp_path, '[kafka]\nbootstrap_servers = "a:1,b:2"\n'), group_id="g", linger_ms=5)
    assert config["bootstrap.servers"] == "a:1,b:2"
    assert config["security.protocol"] == "PLAINTEXT"
    assert (config["group.id"], config["linger.ms"]) == ("g", 5)
    assert not [name for name in config if name.startswith(("sasl", "ssl"))]


def test_absent_brokers_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.bootstrap_servers is not set"):
        client_config(kafka(tmp_path, ""))


def test_secrets_come_from_files_without_the_newline_at_their_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open sesame\n", encoding="utf-8")
    settings = kafka(
        tmp_path,
        '[kafka]\nbootstrap_servers = "a:1"\n[kafka.security]\nprotocol = "SASL_PLAINTEXT"\n'
        'mechanism = "PLAIN"\nusername = "me"\npassword_file = "password"\n',
    )
    config = client_config(settings)
    assert (config["sasl.mechanism"], config["sasl.username"], config["sasl.password"]) == (
        "PLAIN",
        "me",
        "open sesame",
    )
    assert "open sesame" not in repr(settings)
