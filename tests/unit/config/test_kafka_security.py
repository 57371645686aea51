from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from config.credentials import SECRET_BYTES_MAX
from config.errors import SettingsError
from config.kafka import client_config
from config.settings import load

PASSWORD = "open sesame"


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a password, a certificate with its key, plain and encrypted, and what is none of these."""
    folder = tmp_path_factory.mktemp("security")
    for name in ("own", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", 2,
                "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")  # fmt: skip
    openssl("rsa", "-in", folder / "own.key", "-aes256", "-passout", f"pass:{PASSWORD}", "-out", folder / "locked.key")
    (folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    (folder / "wrong").write_text("close sesame\n", encoding="utf-8")
    (folder / "empty").write_text("\n", encoding="utf-8")
    (folder / "lines").write_text(f"user\n{PASSWORD}\n", encoding="utf-8")
    (folder / "binary").write_bytes(b"\xff\xfe\xfd")
    (folder / "large").write_bytes(b"x" * (SECRET_BYTES_MAX + 1))
    (folder / "text").write_text("no certificate\n", encoding="utf-8")
    return folder


def config_of(folder: Path, **settings: str) -> dict[str, object]:
    lines = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
    file = folder / "job.toml"
    file.write_text(f'[kafka]\nbootstrap_servers = "a:1"\n[kafka.security]\n{lines}', encoding="utf-8")
    return client_config(load(file).kafka)


SASL = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "username": "me", "password_file": "password"}
MUTUAL = {"protocol": "SSL", "ca_file": "own.pem", "certificate_file": "own.pem", "key_file": "own.key"}


def test_everything_in_order_is_handed_to_the_client(files: Path) -> None:
    config = config_of(files, **MUTUAL | SASL | {"key_file": "locked.key", "key_password_file": "password"})
    assert {name: value for name, value in config.items() if name.startswith(("sasl", "ssl", "security"))} == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": PASSWORD,
        "ssl.ca.location": str(files / "own.pem"),
        "ssl.certificate.location": str(files / "own.pem"),
        "ssl.key.location": str(files / "locked.key"),
        "ssl.key.password": PASSWORD,
    }


def test_secrets_are_not_shown_with_the_configuration(files: Path) -> None:
    assert PASSWORD not in repr(config_of(files, **SASL))


@pytest.mark.parametrize(
    ("settings", "mistakes"),
    [
        ({"protocol": "TLS"}, ["protocol = 'TLS' is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"]),
        ({"protocol": "SASL_SSL"}, ["mechanism is not set", "username is not set", "password_file is not set"]),
        (SASL | {"mechanism": "SCRAM"}, ["mechanism = 'SCRAM' is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"]),
        (SASL | {"protocol": "SSL"}, ["mechanism is set, but", "username is set, but", "password_file is set, but"]),
        (MUTUAL | {"protocol": "PLAINTEXT"}, ["ca_file is set, but", "certificate_file is set", "key_file is set"]),
        (SASL | {"password_file": "empty"}, ["password_file names an empty file"]),
        (SASL | {"password_file": "lines"}, ["password_file names a file of several lines"]),
        (SASL | {"password_file": "binary"}, ["password_file names a file that is not UTF-8 text"]),
        (SASL | {"password_file": "large"}, ["password_file names a file of 4097 bytes"]),
        (SASL | {"ca_file": "text"}, ["ca_file = ", "text' holds no certificate in PEM"]),
        (SASL | {"ca_file": "absent"}, ["ca_file names a file in ", "that cannot be read: No such file"]),
        (SASL | {"ca_file": "."}, ["ca_file names a file", "Is a directory"]),
        (MUTUAL | {"key_file": ""}, ["certificate_file is set, but key_file is not"]),
        (MUTUAL | {"certificate_file": ""}, ["key_file is set, but certificate_file is not"]),
        ({"protocol": "SSL", "key_password_file": "password"}, ["key_password_file is set, but key_file is not"]),
        (MUTUAL | {"key_file": "other.key"}, ["other.key' is not the key of the certificate in certificate_file"]),
        (MUTUAL | {"key_file": "own.pem"}, ["own.pem' holds no private key in PEM"]),
        (MUTUAL | {"certificate_file": "own.key"}, ["own.key' holds no certificate in PEM"]),
        (MUTUAL | {"certificate_file": "absent", "key_file": "gone"}, ["certificate_file names", "key_file names"]),
        (MUTUAL | {"key_file": "locked.key"}, ["locked.key' is encrypted, but key_password_file is not set"]),
        (
            MUTUAL | {"key_file": "locked.key", "key_password_file": "wrong"},
            ["key_password_file does not open key_file"],
        ),
        (
            {"protocol": "SASL_SSL", "mechanism": "GSSAPI", "password_file": "empty", "ca_file": "text"},
            ["username is not set", "mechanism = 'GSSAPI'", "password_file names an empty file", "ca_file = "],
        ),
    ],
)
def test_each_mistake_is_told_in_one_message(files: Path, settings: dict[str, str], mistakes: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        config_of(files, **settings)
    for mistake in mistakes:
        assert mistake in caught.value.message
    assert "\n" not in caught.value.message
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("written", ["hunter2", "cGFzcw/d29yZA=="])
def test_password_written_where_the_name_of_its_file_belongs_is_not_shown(files: Path, written: str) -> None:
    with pytest.raises(SettingsError) as caught:
        config_of(files, **SASL | {"password_file": written})
    assert "password_file names a file" in caught.value.message
    assert written not in str(caught.value)


@pytest.mark.parametrize("how", ["file", "environment"])
def test_password_as_a_setting_of_its_own_is_refused_without_being_shown(tmp_path: Path, how: str) -> None:
    file = tmp_path / "job.toml"
    file.write_text('[kafka.security]\npassword = "hunter2"\n' if how == "file" else "", encoding="utf-8")
    variables = {"FORESTALL_KAFKA_SECURITY_PASSWORD": "hunter2"} if how == "environment" else {}
    with pytest.raises(SettingsError) as caught:
        load(file, variables)
    assert "hunter2" not in str(caught.value)
    assert "assword_file".lower() in str(caught.value).lower()


@pytest.mark.parametrize(
    ("servers", "mistake"),
    [
        ("a", "'a' is not host:port"),
        ("a:1,b", "'b' is not host:port"),
        ("a:0", "'a:0' is not host:port"),
        ("PLAINTEXT://a:1", "is not host:port"),
        ("me:hunter2@a:1", "names and passwords do not belong there"),
    ],
)
def test_mistakes_in_the_brokers_are_told_with_those_in_security(tmp_path: Path, servers: str, mistake: str) -> None:
    file = tmp_path / "job.toml"
    file.write_text(
        f'[kafka]\nbootstrap_servers = "{servers}"\n[kafka.security]\nprotocol = "SASL_SSL"\n', encoding="utf-8"
    )
    with pytest.raises(SettingsError) as caught:
        client_config(load(file).kafka)
    assert mistake in caught.value.message
    assert "kafka.security.username is not set" in caught.value.message
    assert "hunter2" not in str(caught.value)
