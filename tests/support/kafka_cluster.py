"""A broker whose controller lives on when it is killed, as in a cluster.

A single node that comes back before its old session has ended takes up its transactions twice; between the two it has
no leaders, holds their partitions for deleted, and forgets to tell them how a transaction ended. That is no fault of a
job, and a campaign that kills its broker must not meet it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.kafka import SESSION_S, Broker, check_local, format_storage, start_node

NOTICED_S = SESSION_S + 1.0


class ClusterBroker(Broker):
    """See `Broker`, whose arguments these are."""

    def __init__(self, folder: Path, settings: Mapping[str, str], listeners: Mapping[str, tuple[int, str]]) -> None:
        check_local()
        self._controller: subprocess.Popen[bytes] | None = None
        self._died_at = time.monotonic() - NOTICED_S
        super().__init__(folder, settings, listeners)

    def _format(self, cluster: str) -> None:
        """Tell the controller's settings from the broker's, and make the storage of both."""
        every = dict(line.split("=", 1) for line in self._properties.read_text().splitlines())
        addresses = dict(each.split("://") for each in every["listeners"].split(","))
        ours = {name: f"{name}://{address}" for name, address in addresses.items() if name != "CONTROLLER"}
        broker = {"process.roles": "broker", "listeners": ",".join(ours.values())}
        controller = {
            "process.roles": "controller",
            "node.id": "2",
            "listeners": f"CONTROLLER://{addresses['CONTROLLER']}",
            "log.dirs": f"{every['log.dirs']}-controller",
        }
        _write(self._properties, every | broker)
        own = {name: value for name, value in every.items() if not name.startswith("inter.broker")}
        self._controller_properties = self._properties.with_name("controller.properties")
        _write(self._controller_properties, own | controller)
        format_storage(self._controller_properties, cluster, "--standalone")
        format_storage(self._properties, cluster, "--no-initial-controllers")

    def start(self) -> None:
        """Start it once its death was noticed, and wait until it answers."""
        if self._controller is None:
            self._controller = start_node(self._controller_properties, self.log.with_name("controller.log"))
        time.sleep(max(self._died_at + NOTICED_S - time.monotonic(), 0.0))
        super().start()

    def kill(self) -> None:
        """Kill it as a loss of power would; the controller lives on."""
        super().kill()
        self._died_at = time.monotonic()

    def end(self) -> None:
        """Kill all."""
        self.kill()
        if self._controller is not None:
            self._controller.kill()
            self._controller.wait()


def _write(properties: Path, values: Mapping[str, str]) -> None:
    properties.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
