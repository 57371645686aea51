"""What is shipped: six packages with their data, a command, an image; and the files around the code."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest

from dataflows.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("config", "dataflows", "detectors", "operators", "replay", "sinks")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKED = {p["name"]: p["version"] for p in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]}
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("package", PACKAGES)
def test_package_comes_from_this_tree(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")


def test_no_installed_distribution_ships_a_package_of_that_name() -> None:
    ships = {
        (distribution.name, file.parts[0])
        for distribution in distributions()
        if distribution.name != "forestall"
        for file in distribution.files or []
        if file.parts[0] in PACKAGES
    }
    assert ships == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    made = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        yield opened


def test_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    # Data too: contracts, policies, defaults, migrations, the bundled recording.
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "config/defaults.toml" in files
    assert {name for name in wheel.namelist() if name.partition("/")[0] in PACKAGES} == files


def test_wheel_ships_the_licence_and_no_tests(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    (information,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == {*PACKAGES, information}
    assert wheel.read(f"{information}/licenses/LICENSE").decode() == (ROOT / "LICENSE").read_text()
    assert "forestall = dataflows.cli:main" in wheel.read(f"{information}/entry_points.txt").decode()


def test_unpacked_wheel_finds_its_data_without_this_tree(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    code = """
import json, config.contracts, config.settings
settings = config.settings.load()
places = [config.settings.DEFAULTS, settings.policy.bundle, config.contracts.BUILT_IN / "order.placed.yaml"]
print(json.dumps(list(map(str, places))))
"""
    variables = {"PYTHONPATH": str(tmp_path / "site"), "PATH": os.environ["PATH"]}
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
    ).stdout
    for place in json.loads(printed):
        assert Path(place).is_relative_to(tmp_path / "site")
        assert Path(place).exists()


def test_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {PROJECT['project']['version']}" in changelog


def test_every_dependency_is_explained_and_no_other() -> None:
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=!~ \[]", dependency)[0] for dependency in declared}
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", text, flags=re.M)) == names


def test_every_dependency_of_the_job_is_imported() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8") for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    )
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", source, flags=re.M))
    modules: dict[str, set[str]] = {}
    for module, names in packages_distributions().items():
        for name in names:
            modules.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(module)
    declared = {re.split(r"[<>=!~ \[]", dependency)[0] for dependency in PROJECT["project"]["dependencies"]}
    assert {name for name in declared if not modules[name] & imported} == set()


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.S)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    assert [target for target in targets if target and not (document.parent / target).exists()] == []


def test_every_make_target_is_listed_by_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.M)
    assert phony is not None
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    printed = subprocess.run(["make", "help"], cwd=ROOT, env=outside, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in printed.splitlines()] == phony[1].split()
    assert all(len(line.split()) > 3 for line in printed.splitlines())


def test_continuous_integration_stops_at_the_first_failure() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert "FORESTALL_REQUIRE=all" in text


def instructions(name: str) -> list[str]:
    joined = re.sub(r"\\\n", " ", DOCKERFILE)
    return [line.partition(" ")[2].strip() for line in joined.splitlines() if line.partition(" ")[0] == name]


def test_image_is_built_from_named_versions() -> None:
    images = [line.split()[0] for line in instructions("FROM")]
    images += [match for line in instructions("COPY") for match in re.findall(r"--from=(\S+[/:]\S+)", line)]
    assert len(images) == 3
    for image in images:
        assert re.fullmatch(r"[a-z0-9./-]+:\d+\.\d+\.\d+(-[a-z0-9.-]+)?", image), image
    assert f"uv:{LOCKED['uv']}" in " ".join(images)


def test_image_runs_a_python_that_the_project_supports() -> None:
    versions = set(re.findall(r"FROM python:3\.(\d+)\.", DOCKERFILE))
    assert len(versions) == 1
    assert versions <= {"11", "12"}


def test_image_is_of_locked_dependencies_without_development_tools() -> None:
    syncs = [line for line in instructions("RUN") if "uv sync" in line]
    assert syncs
    assert all("--locked" in line and "--no-dev" in line for line in syncs)
    assert [line for line in instructions("RUN") if "pip" in line] == []
    assert PROJECT["tool"]["uv"]["build-constraint-dependencies"] == [f"hatchling=={LOCKED['hatchling']}"]


def test_image_does_not_run_as_root_nor_from_the_build_stage() -> None:
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    users = re.findall(r"^USER (\S+)$", last, flags=re.M)
    assert users
    assert users[-1].split(":")[0] not in {"root", "0"}
    assert " AS " not in last.splitlines()[1]
    assert re.search(r'^ENTRYPOINT \["forestall"\]$', last, flags=re.M)


def test_image_gets_every_package_and_nothing_unasked() -> None:
    sources = {word for line in instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]}
    assert sources == {*PACKAGES, "pyproject.toml", "uv.lock", "LICENSE", "README.md"}
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == sources


def test_readme_lists_every_command_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("## Commands") : readme.index("Each has `--help`")]
    assert {name.split()[0] for name in re.findall(r"^\| `([^`]+)` \|", table, flags=re.M)} == set(COMMANDS)
