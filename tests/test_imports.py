"""Who may import whom: the section "Imports" of the design, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSES = ("schemas", "infra", "services", "gateway")
FILES = sorted(
    path for house in HOUSES for path in (ROOT / house).rglob("*.py") if not {"lib", "target"} & set(path.parts)
)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            # ``from services import risk`` imports a module too.
            yield from (f"{module}.{name.name}" for name in node.names)


def within(module: str, house: str) -> bool:
    return module == house or module.startswith(f"{house}.")


def who_imports(*libraries: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in FILES
        for module in imports_of(path)
        if any(within(module, library) for library in libraries)
    }


every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@every_file
def test_a_file_imports_only_from_houses_below_its_own(path: Path) -> None:
    below = {"schemas": (), "infra": ("schemas",), "services": ("schemas", "infra"), "gateway": ("schemas", "infra")}
    house = module_of(path).split(".")[0]
    forbidden = set(HOUSES) - {house, *below[house]}
    wrong = [module for module in imports_of(path) if any(within(module, other) for other in forbidden)]
    assert wrong == []


@every_file
def test_a_service_imports_no_other_service(path: Path) -> None:
    parts = module_of(path).split(".")
    if parts[0] != "services" or len(parts) < 2:
        return
    own = ".".join(parts[:2])
    wrong = [m for m in imports_of(path) if m.startswith("services.") and not within(m, own)]
    assert wrong == []


@pytest.mark.parametrize("path", [p for p in FILES if module_of(p).startswith("schemas")], ids=lambda path: path.name)
def test_the_published_language_imports_marshmallow_and_the_standard_library_only(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "marshmallow", "schemas", "__future__"}
    assert {module.split(".")[0] for module in imports_of(path)} <= allowed


@pytest.mark.parametrize(
    "path", sorted((ROOT / "services").glob("*/*model.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_a_model_imports_schemas_and_what_keeps_it_and_no_door(path: Path) -> None:
    own = f"services.{path.parent.name}"
    ours = {m for m in imports_of(path) if m.split(".")[0] in HOUSES}
    kept_by = ("schemas", "infra.store", "infra.ids", own)
    assert [module for module in ours if not any(within(module, allowed) for allowed in kept_by)] == []
    assert not [module for module in ours if within(module, f"{own}.api") or within(module, f"{own}.handlers")]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "services").glob("*/*rules.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_rules_are_pure(path: Path) -> None:
    assert {module.split(".")[0] for module in imports_of(path)} <= {*sys.stdlib_module_names, "schemas"}


def test_each_engine_is_imported_in_its_one_place() -> None:
    # The script that starts a broker for tests asks it whether it answers, and is no part of the platform.
    assert who_imports("kafka") - {"infra/kafka/broker.py"} == {"infra/kafka_log.py"}
    assert who_imports("firebase_admin") == {"gateway/senders.py", "services/people/firebase.py"}
    models = {str(path.relative_to(ROOT)) for path in (ROOT / "services").glob("*/*model.py")}
    assert who_imports("mongoengine") <= {"infra/store.py", "gateway/chat_store.py", *models}
    assert who_imports("sqlite3") == {"infra/sqlite_log.py"}


def test_the_command_line_reaches_services_by_name() -> None:
    assert not any(within(module, "services") for module in imports_of(ROOT / "infra" / "cli.py"))


def test_an_import_inside_a_function_is_seen_too() -> None:
    # The log opens its engines where they are asked for.
    assert "infra.kafka_log" in set(imports_of(ROOT / "infra" / "log.py"))
