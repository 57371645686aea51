from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import SettingsError
from config.registry import registry_config
from config.settings import load


def config_of(folder: Path, text: str) -> dict[str, object]:
    file = folder / "job.toml"
    file.write_text(f"[registry]\n{text}\n", encoding="utf-8")
    return registry_config(load(file).registry)


def test_registry_is_reached_as_the_settings_say(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open sesame\n", encoding="utf-8")
    text = 'url = "https://a:1,http://b"\nusername = "me"\npassword_file = "password"\ntimeout = "2s"'
    config = config_of(tmp_path, text)
    assert config == {
        "url": "https://a:1,http://b",
        "basic.auth.user.info": "me:open sesame",
        "timeout": 2.0,
        "max.retries": 0,
    }
    assert "open sesame" not in repr(config)


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["registry.url is not set"]),
        ('url = "registry:8081"', ["'registry:8081' is no http:// or https:// address"]),
        ('url = "http://me:hunter2@a"', ["url holds a name or a password"]),
        ('url = "http://a"\nusername = "me"', ["username and password_file belong together"]),
        ('url = "http://a"\nusername = "m:e"\npassword_file = "gone"', ["holds a colon", "password_file names a file"]),
        (
            'url = "http://a"\nkey_file = "k"\nca_file = "gone"',
            ["ca_file names", "certificate_file and key_file belong"],
        ),
        (
            'url = "http://a"\nkey_file = "k"\ncertificate_file = "c"',
            ["certificate_file names a file", "key_file names a file"],
        ),
    ],
)
def test_all_mistakes_are_told_at_once(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        config_of(tmp_path, text)
    for mistake in mistakes:
        assert mistake in caught.value.message
    assert "hunter2" not in str(caught.value)
