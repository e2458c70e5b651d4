"""What no linter sees of the project's shape: sizes, names, docstrings, the drawing, who owns a third-party library."""

import ast
import fnmatch
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from uploadstream.core.session import diagram

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "uploadstream"
GENERATED = PACKAGE / "proto"

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
# A function lives beside the noun it is about; under these names it would live nowhere.
HOMELESS = re.compile(r"(utils?|common|helpers?|base|managers?|misc|shared)")

# Who may import a third-party library: module names under `uploadstream`, `*` for any ending. A new library gets a row.
OWNERS: dict[str, tuple[str, ...]] = {
    "alembic": ("adapters.catalog.*",),
    "asyncpg": ("adapters.catalog.*",),
    "crc32c": ("core.digests",),
    "cryptography": ("adapters.jwt_keys",),
    "fastapi": ("protocols.rest.*",),
    "google.protobuf": ("proto.*", "protocols.grpc_*", "servers.grpc", "client.*"),
    "google.rpc": ("protocols.grpc_*", "client.*"),
    "grpc": ("proto.*", "protocols.grpc_*", "servers.grpc", "client.*"),
    "grpc_health": ("servers.grpc",),
    "grpc_reflection": ("servers.grpc",),
    "grpc_status": ("protocols.grpc_*", "client.*"),
    "h11": ("cli.outside.exchange",),
    "h2": ("cli.outside.http2",),
    "http_sf": ("http.structured",),
    "httptools": ("servers.http1",),
    "httpx": ("adapters.jwks", "adapters.web", "client.*"),
    "jwt": ("adapters.jwt*", "adapters.signing"),
    "platformdirs": ("client.*",),
    "pydantic": ("setting*", "embedding.options", "protocols.rest.*"),
    "pydantic_settings": ("setting*", "embedding.options"),
    "python_multipart": ("protocols.filepond.forms",),
    "rich": ("cli.*",),
    "sqlalchemy": ("adapters.catalog.*",),
    "starlette": ("app", "embedding.*", "http.*", "protocols.*", "web.*"),
    "structlog": ("app", "cli.*", "observability.logs", "proofs", "servers.grpc"),
    "tenacity": ("client.*",),
    "typer": ("cli.*",),
    "uvicorn": ("servers.http1*", "servers.answers"),
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if GENERATED not in path.parents)


def module_name(path: Path) -> str:
    """`adapters.catalog` for both of adapters/catalog.py and adapters/catalog/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path) -> Iterator[str]:
    """Full names of everything a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_third_party(name: str) -> bool:
    return name.partition(".")[0] not in {*sys.stdlib_module_names, "uploadstream"}


def owned(name: str, importer: str) -> bool:
    """Whether the row of the library that `name` is from lets `importer` in."""
    libraries = [library for library in OWNERS if f"{name}.".startswith(f"{library}.")]
    patterns = [pattern for library in libraries for pattern in OWNERS[library]]
    return any(fnmatch.fnmatch(importer, pattern) or importer == pattern.removesuffix(".*") for pattern in patterns)


def as_parameters(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in paths]


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    lines = {module_name(path): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: count for name, count in lines.items() if count > MODULE_LINES_MAX} == {}


def test_no_function_is_longer_than_a_page() -> None:
    functions = {
        f"{module_name(path)}.{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: count for name, count in functions.items() if count > FUNCTION_LINES_MAX} == {}


def test_every_module_is_named_after_a_noun_of_the_project() -> None:
    names = [part for path in MODULES for part in module_name(path).split(".")]

    assert [name for name in names if HOMELESS.fullmatch(name)] == []


@pytest.mark.parametrize("folder", as_parameters(sorted({path.parent for path in MODULES})))
def test_a_package_says_its_purpose_in_one_sentence(folder: Path) -> None:
    purpose = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""

    assert re.fullmatch(r"[^\n]+\.", purpose)
    assert not re.search(r"[.!?] [A-Z]", purpose)


@pytest.mark.parametrize("path", as_parameters(MODULES))
def test_a_third_party_library_is_imported_by_its_owner_only(path: Path) -> None:
    importer = module_name(path)

    foreign = {name for name in imported_names(path) if is_third_party(name)}

    assert {name for name in foreign if not owned(name, importer)} == set()


def test_every_row_of_the_owners_is_about_a_library_in_use() -> None:
    imported = {f"{name}." for path in PACKAGE.rglob("*.py") for name in imported_names(path)}

    assert [library for library in OWNERS if not any(name.startswith(f"{library}.") for name in imported)] == []


def test_the_drawing_of_the_session_is_the_one_printed_from_its_table() -> None:
    drawings = re.findall(r"^```mermaid\n(.*?)\n```$", (ROOT / "ARCHITECTURE.md").read_text(), re.DOTALL | re.MULTILINE)

    assert diagram() in drawings
