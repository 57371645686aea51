"""Shared by all tests: the recorded topics, Hypothesis profiles, and the closing list of what was not run."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.support.chromium import Chromium
    from tests.support.kafka import Broker
    from tests.support.kafka_cluster import ClusterBroker
    from tests.support.postgres import ExternalServer, Server
    from tests.support.prometheus import Programs
    from tests.support.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
MARKED = {"shared_data", "kafka", "registry", "postgres", "prometheus", "chromium"}
"""Fixtures that are markers too."""
REQUIRE_ALL = os.environ.get("FORESTALL_REQUIRE") == "all"

# Examples are the same on every machine and in every run: a red suite is red for everybody. The `quick` profile,
# that of `make test-fast`, tries fewer of them; `search` looks for new counterexamples:
# HYPOTHESIS_PROFILE=search make test-fast.
settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("repeatable"), max_examples=20)
settings.register_profile("search", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

gc.disable()  # until all tests are imported


def pytest_collection_finish() -> None:
    """Keep what was imported out of each later collection of garbage: it is a tenth of the time of `make test-fast`."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded topics: `$FORESTALL_DATA`, else `../shared/data` beside the project.

    Where it is absent the test is skipped, or fails under `FORESTALL_REQUIRE=all`.
    """
    folder = Path(os.environ.get("FORESTALL_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not folder.is_dir():
        absent(f"no recorded topics at {folder}; get them there or set FORESTALL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Kafka broker of this run: that of `$FORESTALL_TEST_KAFKA`, else one of our own on loopback.

    Where there is none the test is skipped, or fails under `FORESTALL_REQUIRE=all`. Take fresh topics of it; a test
    that kills it must leave it running.
    """
    from tests.support.kafka import Unavailable, broker

    try:
        running = broker(tmp_path_factory.mktemp("kafka"))
    except Unavailable as error:
        absent(str(error))
        raise
    yield running
    running.stop()


@pytest.fixture
def kafka_cluster(tmp_path: Path) -> Iterator[ClusterBroker]:
    """A broker for this test alone, which may be killed: its leaders change then, as in a cluster.

    Where there is none the test is skipped, or fails under `FORESTALL_REQUIRE=all`.
    """
    from tests.support.kafka import Unavailable
    from tests.support.kafka_cluster import ClusterBroker

    try:
        running = ClusterBroker(tmp_path, {}, {})
    except Unavailable as error:
        absent(str(error))
        raise
    running.start()
    yield running
    running.end()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real schema registry of this run: that of `$FORESTALL_TEST_REGISTRY`, else one of our own on loopback.

    Where there is none the test is skipped, or fails under `FORESTALL_REQUIRE=all`.
    """
    from tests.support.kafka import Unavailable
    from tests.support.registry import registry as started

    try:
        running = started(tmp_path_factory.mktemp("registry"))
    except Unavailable as error:
        absent(str(error))
        raise
    yield running
    running.kill()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server | ExternalServer]:
    """A real PostgreSQL server of this run: that of `$FORESTALL_TEST_POSTGRES`, else one of our own.

    Where there is none the test is skipped, or fails under `FORESTALL_REQUIRE=all`.
    """
    from tests.support.postgres import EXTERNAL, ExternalServer, Server, Unavailable

    try:
        external = os.environ.get(EXTERNAL)
        running = ExternalServer(external) if external else Server()
    except Unavailable as error:
        absent(str(error))
        raise
    yield running
    running.remove()


@pytest.fixture
def postgres(postgres_server: Server | ExternalServer) -> Iterator[str]:
    """The URL of an empty database."""
    url = postgres_server.database()
    yield url
    postgres_server.give_back(url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> str:
    """Each kind of database that a store can be in, one after the other."""
    return str(request.param)


@pytest.fixture
def empty_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a store that is still to be made, in each kind of database."""
    return f"sqlite:///{tmp_path}/store.db" if backend == "sqlite" else str(request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def prometheus() -> Programs:
    """Prometheus and promtool.

    Where they are absent the test is skipped, or fails under `FORESTALL_REQUIRE=all`.
    """
    from tests.support.prometheus import Programs, Unavailable

    try:
        return Programs.found()
    except Unavailable as error:
        absent(str(error))
        raise


@pytest.fixture(scope="session")
def chromium() -> Chromium:
    """A browser.

    Where there is none the test is skipped, or fails under `FORESTALL_REQUIRE=all`.
    """
    from tests.support.chromium import Chromium, Unavailable

    try:
        return Chromium.found()
    except Unavailable as error:
        absent(str(error))
        raise


def absent(reason: str) -> None:
    """Skip the test at hand for something this machine lacks, or fail it under `FORESTALL_REQUIRE=all`.

    Args:
        reason: What is absent and how to get it; the closing list of the run shows it.
    """
    if REQUIRE_ALL:
        pytest.fail(f"{reason} (FORESTALL_REQUIRE=all)", pytrace=False)
    pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they need, so that the marker cannot be forgotten."""
    for item in items:
        for name in MARKED.intersection(name.removesuffix("_server") for name in getattr(item, "fixturenames", ())):
            item.add_marker(name)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Close, after all that others have to say, with what was not run and how to get it run."""
    yield
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    deselected = len(terminalreporter.stats.get("deselected", []))
    if not skipped and not deselected:
        return
    terminalreporter.section("not run")
    if deselected:
        terminalreporter.write_line(f"{deselected} left out by the choice of markers or names; `make test` runs all")
    for reason, count in sorted(skipped.items()):
        terminalreporter.write_line(f"{count} skipped: {reason}")


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
