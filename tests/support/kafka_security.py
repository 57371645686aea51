"""A Kafka broker that clients must prove themselves to: TLS and SASL, with certificates made for a run."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from tests.support.kafka import Broker, free_port, local_broker

USER = "forestall"
GUEST = "guest"
"""One who may log in, and nothing else."""
PASSWORD = "open sesame"
DAYS = 2
PROTOCOLS = {"TLS": "SSL", "MUTUAL": "SSL", "SASL": "SASL_PLAINTEXT", "SASLTLS": "SASL_SSL"}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_JAAS = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureBroker:
    """A broker with guarded listeners.

    Attributes:
        broker: Reached in the clear too, for what tests prepare.
        folder: With `ca.pem`; `client.pem` and `client.key`, that the broker trusts; `stranger.pem`, `stranger.key`
            and `stranger-ca.pem`, of another authority; the file `password`.
        ports: By name of the listener: TLS, MUTUAL (needs a client's certificate), SASL and SASLTLS.
    """

    broker: Broker
    folder: Path
    ports: dict[str, int]

    def settings(self, listener: str, **changes: str) -> str:
        """Return a settings file for a client of `listener`; a change to "" leaves a setting out."""
        values = {"protocol": PROTOCOLS[listener]}
        if listener != "SASL":
            values["ca_file"] = str(self.folder / "ca.pem")
        if listener == "MUTUAL":
            values |= {"certificate_file": str(self.folder / "client.pem"), "key_file": str(self.folder / "client.key")}
        if listener.startswith("SASL"):
            values |= {"mechanism": "PLAIN", "username": USER, "password_file": str(self.folder / "password")}
        lines = "".join(f'{name} = "{value}"\n' for name, value in (values | changes).items())
        server = f"127.0.0.1:{self.ports[listener]}"
        return f'[kafka]\nbootstrap_servers = "{server}"\n[kafka.security]\n{lines}'


def secure_broker(folder: Path) -> SecureBroker:
    """Start a broker with guarded listeners.

    Raises:
        Unavailable: This machine has no broker.
    """
    make_certificates(folder)
    (folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    ports = {name: free_port() for name in PROTOCOLS}
    settings = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker-store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:CN=client;User:{USER}",
    }
    for listener in ("sasl", "sasltls"):
        settings[f"listener.name.{listener}.sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
        settings[f"listener.name.{listener}.plain.sasl.jaas.config"] = (
            f'{_JAAS}.plain.PlainLoginModule required user_{USER}="{PASSWORD}" user_{GUEST}="{PASSWORD}";'
        )
        for mechanism in MECHANISMS[1:]:
            settings[f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config"] = (
                f"{_JAAS}.scram.ScramLoginModule required;"
            )
    broker = local_broker(folder, settings, {name: (ports[name], protocol) for name, protocol in PROTOCOLS.items()})
    broker.start()
    _add_users(broker)
    return SecureBroker(broker, folder, ports)


def make_certificates(folder: Path) -> None:
    """Write an authority, what it signed for a broker on loopback and a client, and a stranger of another one."""
    _authority(folder, "ca")
    _authority(folder, "stranger-ca")
    _signed(folder, "broker", "ca", "subjectAltName=IP:127.0.0.1\n")
    _signed(folder, "client", "ca", "extendedKeyUsage=clientAuth\n")
    _signed(folder, "stranger", "stranger-ca", "extendedKeyUsage=clientAuth\n")
    store = (folder / "broker.key").read_text() + (folder / "broker.pem").read_text() + (folder / "ca.pem").read_text()
    (folder / "broker-store.pem").write_text(store)


def _add_users(broker: Broker) -> None:
    admin = broker.admin()
    kinds = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
    wanted = [
        UserScramCredentialUpsertion(USER, ScramCredentialInfo(kind, 4096), PASSWORD.encode(), None) for kind in kinds
    ]
    for one in wanted:
        for done in admin.alter_user_scram_credentials([one]).values():
            done.result(20)


def _authority(folder: Path, name: str) -> None:
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", DAYS,
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")  # fmt: skip


def _signed(folder: Path, name: str, authority: str, extension: str) -> None:
    (folder / f"{name}.ext").write_text(extension)
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")  # fmt: skip
    _openssl("x509", "-req", "-in", folder / f"{name}.csr", "-days", DAYS, "-CAcreateserial",
             "-CA", folder / f"{authority}.pem", "-CAkey", folder / f"{authority}.key",
             "-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.pem")  # fmt: skip


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
