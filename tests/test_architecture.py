"""The rules of the tree, each as a test: what may import what, no clock and no chance where results are made, sizes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from config.yaml_text import read_yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("config", "dataflows", "detectors", "operators", "replay", "sinks")
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CLI = Path("dataflows/cli")

MAY_IMPORT = {
    "config": {"config"},
    "detectors": {"config", "detectors"},
    "operators": {"config", "detectors", "operators"},
    "sinks": {"config", "sinks"},
    "dataflows": {"config", "detectors", "operators", "sinks", "dataflows"},
    "replay": {"config", "detectors", "operators", "sinks", "dataflows", "replay"},
}
ONLY_IN = {
    "bytewax": ("operators", "sinks", "dataflows", "replay"),
    "river": ("detectors",),
    "confluent_kafka": ("sinks", "dataflows", "replay/record.py", "replay/broker_log.py", "replay/broker.py"),
    "sqlalchemy": ("sinks", "dataflows", "replay"),
    "alembic": ("sinks",),
    "click": ("dataflows/cli",),
    "rich": ("dataflows/cli",),
    "prometheus_client": ("config/instruments.py", "dataflows"),
}
"""Where a third-party package may be imported; `dataflows/cli`, the edge, is exempt."""

PURE = ("detectors", "operators")
"""No wall clock and no unseeded chance in these."""
IMPURE_CALLS = (
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.",
    "uuid.uuid1",
    "uuid.uuid4",
    "os.urandom",
    "secrets.",
    "random.",
    "numpy.random.",
)
SEEDED = ("random.Random", "numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.Generator")
"""Sources of chance that are fine when they are given an argument: their seed."""

METRICS = ("config.metrics", "config.instruments")
"""What is made must not depend on whether it is counted: who counts, looks on from outside."""

LOSSY = ("bytewax.connectors.", "bytewax.operators.windowing.", "bytewax.operators.inspect.")
"""Parts of Bytewax that lose data when the job is killed, or move time with the wall clock."""

THREADED = ("detectors", "operators", "sinks", "dataflows")
"""Worker threads run code of these."""
BEFORE_THREADS = {"dataflows/job.py": "work", "operators/keyed.py": "body_decoder"}
"""Functions that may make a decoder of a struct, since they are called before there are any threads."""
BUILT_IN = {"Any", "bool", "bytes", "dict", "float", "int", "list", "str", "tuple"}

ORACLES = tuple(Path(f"tests/support/{name}_oracle.py") for name in ("procedure", "remedy"))
"""They reckon up naively what came of the job, and what was allowed: the same code would make the same mistake."""

LINES_MAX = 400


@cache
def parsed(source: str) -> ast.Module:
    """Return the tree of a module, which several rules look at."""
    return ast.parse(source)


def imports(tree: ast.AST, module: Path) -> Iterator[str]:
    """Yield the dotted names that `module` imports, at any depth and however written."""
    package = list(module.parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def foreign_imports(source: str, module: Path) -> list[str]:
    """Return the imports that the rules of the tree forbid `module`."""
    forbidden = []
    for name in imports(parsed(source), module):
        top = name.partition(".")[0]
        upwards = top in MAY_IMPORT and top not in MAY_IMPORT[module.parts[0]]
        misplaced = top in ONLY_IN and not any(module.is_relative_to(place) for place in ONLY_IN[top])
        if upwards or misplaced or name.startswith("dataflows.cli"):
            forbidden.append(name)
    return [] if module.is_relative_to(CLI) else forbidden


def uses(tree: ast.AST) -> Iterator[tuple[str, ast.expr, ast.Call | None]]:
    """Yield (dotted name with aliases of imports resolved, node, the call it is the function of)."""
    meaning: dict[str, str] = {}
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                meaning[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            meaning.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name, rest = dotted(node)
            if name in meaning:
                yield (f"{meaning[name]}.{rest}" if rest else meaning[name]), node, called.get(id(node))


def dotted(node: ast.expr) -> tuple[str, str]:
    """Return the first name of `a.b.c` and the rest; "" where it begins with anything but a name."""
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.insert(0, node.attr)
        node = node.value
    return (node.id, ".".join(rest)) if isinstance(node, ast.Name) else ("", "")


def impure_calls(source: str) -> list[str]:
    """Return what reads a clock or draws unseeded chance, as `line: name`."""
    tree, found = parsed(source), []
    for name, node, call in uses(tree):
        seeded = name in SEEDED and (call is None or call.args or call.keywords)
        impure = any(name.startswith(c) if c.endswith(".") else name == c for c in IMPURE_CALLS)
        if impure and not seeded:
            found.append(f"{node.lineno}: {name}")
    return found


def environment_reads(source: str) -> list[str]:
    """Return what looks at the environment, as `line: name`."""
    tree = parsed(source)
    variables = ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv")
    return [f"{node.lineno}: {name}" for name, node, _ in uses(tree) if name in variables]


def lossy_uses(source: str, module: Path) -> list[str]:
    """Return the parts of Bytewax used that the outbox and the runtime are there to avoid."""
    tree = parsed(source)
    names = [*imports(tree, module), *(name for name, _, _ in uses(tree))]
    found = {name for name in names if f"{name}.".startswith(LOSSY)}
    bases = [base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    parts = {id(node) for base in bases for node in ast.walk(base)}
    inherited = {name for name, node, _ in uses(tree) if id(node) in parts}
    return sorted(found | inherited & {"bytewax.outputs.DynamicSink"})


def late_types(source: str, before_threads: str = "") -> list[str]:
    """Return where functions have msgspec learn what a struct looks like, as `line: name`: see `config.converter`.

    Args:
        source: Of a module.
        before_threads: The function that may.
    """
    tree, found = parsed(source), []
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if getattr(function, "name", "") != before_threads
        for node in ast.walk(function)
    }
    for name, node, call in uses(tree):
        if call is None or id(call) not in inside or not name.startswith("msgspec."):
            continue
        if name.endswith(".Decoder") or name == "msgspec.convert":
            kinds = [*call.args[0 if name.endswith(".Decoder") else 1 :], *(each.value for each in call.keywords)]
        elif name.endswith(".decode"):
            kinds = [each.value for each in call.keywords if each.arg == "type"]
        else:
            continue
        named = {each.id for kind in kinds for each in ast.walk(kind) if isinstance(each, ast.Name)}
        if named - BUILT_IN:
            found.append(f"{node.lineno}: {name}")
    return found


@cache
def text(module: Path) -> str:
    return (ROOT / module).read_text(encoding="utf-8")


def broken(rule: Callable[[Path], list[str]], modules: list[Path] = MODULES) -> dict[str, list[str]]:
    """Return what breaks a rule, by module; one test for all modules takes a tenth of the time of one for each."""
    assert modules
    return {str(module): found for module in modules if (found := rule(module))}


PURE_MODULES = [module for module in MODULES if module.parts[0] in PURE]


def test_modules_import_only_what_their_place_allows() -> None:
    assert broken(lambda module: foreign_imports(text(module), module)) == {}


def test_results_are_made_without_clock_and_chance() -> None:
    assert broken(lambda module: impure_calls(text(module)), PURE_MODULES) == {}


def test_results_are_made_without_metrics() -> None:
    def metrics(module: Path) -> list[str]:
        return [name for name in imports(parsed(text(module)), module) if name.startswith(METRICS)]

    assert broken(metrics, PURE_MODULES) == {}
    assert "dataflows" in {Path(module).parts[0] for module in broken(metrics)}


def test_only_settings_look_at_the_environment() -> None:
    assert set(broken(lambda module: environment_reads(text(module)))) == {"config/settings.py"}


def test_threads_read_no_struct_for_the_first_time() -> None:
    modules = [module for module in MODULES if module.parts[0] in THREADED and not module.is_relative_to(CLI)]
    assert broken(lambda module: late_types(text(module), BEFORE_THREADS.get(str(module), "")), modules) == {}


def test_modules_use_no_part_of_bytewax_that_loses_data() -> None:
    assert broken(lambda module: lossy_uses(text(module), module)) == {}


def reached(module: Path) -> Iterator[str]:
    """Yield the names that a module of the tests imports, and those that the modules of the tests among them do."""
    waiting, done = [module], set()
    while waiting:
        one = waiting.pop()
        if one in done:
            continue
        done.add(one)
        for name in imports(parsed(text(one)), one):
            yield name
            parts = name.split(".")
            files = (Path(f"{'/'.join(path)}.py") for path in (parts, parts[:-1]) if parts[0] == "tests")
            waiting += [file for file in files if (ROOT / file).is_file()]


def test_what_reckons_up_shares_no_code_with_the_job() -> None:
    shared = {
        str(oracle): [name for name in reached(oracle) if name.partition(".")[0] in PACKAGES] for oracle in ORACLES
    }
    assert {oracle: found for oracle, found in shared.items() if found} == {}
    assert "operators.cases.CaseLogic" in set(reached(Path("tests/support/procedure_check.py")))


def test_modules_are_short() -> None:
    assert {str(module): lines for module in MODULES if (lines := len(text(module).splitlines())) >= LINES_MAX} == {}


def test_every_document_has_an_owner() -> None:
    documents = [path for suffix in ("yaml", "yml") for path in (ROOT / "config").rglob(f"*.{suffix}")]
    assert documents
    assert [str(path) for path in documents if not owners(path.read_text(encoding="utf-8"))] == []


def owners(document: str) -> list[str]:
    """Return who owns a YAML document: its `owner`, or the name of its `team` as ODCS v3 writes it."""
    content = read_yaml(document) or {}
    team = content.get("team")
    named = [content.get("owner"), team.get("name") if isinstance(team, dict) else None]
    return [name for name in named if isinstance(name, str) and name.strip()]


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        ("config/a.py", "import operators.frame", ["operators.frame"]),
        ("detectors/a.py", "from operators import frame", ["operators.frame"]),
        ("detectors/a.py", "from bytewax.dataflow import Dataflow", ["bytewax.dataflow.Dataflow"]),
        ("operators/a.py", "def f():\n    import river.anomaly", ["river.anomaly"]),
        ("operators/agents/a.py", "from ...sinks import store", ["sinks.store"]),
        ("operators/agents/a.py", "from ..frame import Frame", []),
        ("sinks/a.py", "from operators.frame import Frame", ["operators.frame.Frame"]),
        ("replay/a.py", "import confluent_kafka", ["confluent_kafka"]),
        ("replay/broker.py", "import confluent_kafka, bytewax, dataflows.detection", []),
        ("replay/a.py", "from dataflows.cli import console", ["dataflows.cli.console"]),
        ("dataflows/a.py", "from dataflows import cli", ["dataflows.cli"]),
        ("dataflows/a.py", "import replay.source", ["replay.source"]),
        ("dataflows/cli/a.py", "import replay.source, dataflows.cli.console, rich", []),
        ("operators/a.py", "import rich.table", ["rich.table"]),
    ],
)
def test_forbidden_imports_are_seen(module: str, source: str, forbidden: list[str]) -> None:
    assert foreign_imports(source, Path(module)) == forbidden


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from datetime import datetime as d\nd.now(UTC)", ["2: datetime.datetime.now"]),
        ("import datetime\nx = datetime.datetime.utcnow", ["2: datetime.datetime.utcnow"]),
        ("from time import monotonic\nmonotonic()", ["2: time.monotonic"]),
        ("import time as t\nt.time()", ["2: time.time"]),
        ("from uuid import uuid4\nf(uuid4)", ["2: uuid.uuid4"]),
        ("import random\nrandom.random()", ["2: random.random"]),
        ("import random\nrandom.Random()", ["2: random.Random"]),
        ("import random\nr: random.Random = random.Random(7)", []),
        ("import numpy as np\nnp.random.default_rng()", ["2: numpy.random.default_rng"]),
        ("import numpy as np\nnp.random.default_rng(seed)", []),
        ("from datetime import datetime, timedelta\ndatetime.fromisoformat(t)", []),
        ("def f(time):\n    return time.time()", []),
    ],
)
def test_clocks_and_chance_are_seen(source: str, found: list[str]) -> None:
    assert impure_calls(source) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from bytewax.connectors.kafka import KafkaSink", ["bytewax.connectors.kafka.KafkaSink"]),
        ("import bytewax.operators as op\nop.inspect('step', s)", ["bytewax.operators.inspect"]),
        ("import bytewax.operators.windowing as w", ["bytewax.operators.windowing"]),
        ("import bytewax.outputs as o\nclass A(o.DynamicSink[int]): pass", ["bytewax.outputs.DynamicSink"]),
        ("from bytewax.outputs import DynamicSink\nassert not isinstance(sink, DynamicSink)", []),
        ("import bytewax.operators as op\nop.map('step', s, f)", []),
    ],
)
def test_lossy_parts_are_seen(source: str, found: list[str]) -> None:
    assert lossy_uses(source, Path("sinks/a.py")) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nos.environ['A']", ["2: os.environ"]),
        ("from os import getenv as g\ng('A')", ["2: os.getenv"]),
        ("import os\nos.path.join('a', 'b')", []),
    ],
)
def test_reads_of_the_environment_are_seen(source: str, found: list[str]) -> None:
    assert environment_reads(source) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import msgspec\ndef f(x): return msgspec.json.decode(x, type=A)", ["2: msgspec.json.decode"]),
        ("from msgspec.msgpack import Decoder as D\nf = lambda: D(tuple[A, int])", ["2: msgspec.msgpack.Decoder"]),
        ("import msgspec\ndef f(x): return msgspec.convert(x, A)", ["2: msgspec.convert"]),
        ("import msgspec\ndef f(x): return msgspec.json.decode(x, type=tuple[int, bytes])", []),
        ("import msgspec\nread = msgspec.json.Decoder(A).decode", []),
        ("import msgspec\ndef main(x): return msgspec.json.decode(x, type=A)", []),
    ],
)
def test_structs_that_functions_read_are_seen(source: str, found: list[str]) -> None:
    assert late_types(source, before_threads="main") == found


@pytest.mark.parametrize(
    ("document", "found"),
    [("owner: orders", ["orders"]), ("team: {name: crm}", ["crm"]), ("owner: ' '", []), ("name: a", []), ("", [])],
)
def test_owners_are_seen(document: str, found: list[str]) -> None:
    assert owners(document) == found


@pytest.mark.parametrize("judge", ["operators/agents/fraud.py", "detectors/drift.py", "dataflows/domain.py"])
def test_what_judges_events_cannot_read_the_parameters_of_a_simulated_world(judge: str) -> None:
    assert foreign_imports("from replay.world.scenario import load_scenario", Path(judge))
