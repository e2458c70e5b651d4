"""A foreign client that knows the API by its documentation alone: Schemathesis, at a running server."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer

EXAMPLES_MAX = 10
UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
# Events have no end; tests/protocols/test_rest_events.py listens to them.
OPERATIONS = [
    *("list_files", "describe_file", "delete_file", "restore_file", "audit", "thumbnail", "read_file", "head_file"),
    *("list_uploads", "describe_upload", "end_upload", "deletions", "make_token"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with PreparedServer(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def schema(server: RunningServer) -> OpenApiSchema:
    return schemathesis.openapi.from_url(f"{server.http_url}/openapi.json")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


def begun(server: RunningServer, content: bytes, *, length: int) -> str:
    """An upload, or a file if that is all of it; its id."""
    metadata = f"filename {base64.b64encode(b'river.txt').decode()}"
    fields = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length), "Upload-Metadata": metadata}
    body = {"Content-Type": "application/offset+octet-stream"}
    answer = httpx.post(f"{server.http_url}/files", headers={**fields, **body}, content=content, trust_env=False)
    return str(answer.raise_for_status().headers["Location"].rpartition("/")[2])


@pytest.fixture(scope="module")
def ids(server: RunningServer) -> list[str]:
    """Of a file, one in the trash, an upload that has ended, and nothing."""
    file, deleted, ended = (
        begun(server, b"abc", length=3),
        begun(server, b"abc", length=3),
        begun(server, b"a", length=3),
    )
    for path in (f"files/{deleted}", f"uploads/{ended}"):
        httpx.delete(f"{server.http_url}/api/v1/{path}", trust_env=False).raise_for_status()
    return [file, deleted, ended, UNKNOWN]


def test_every_operation_with_an_end_is_tried(schema: OpenApiSchema) -> None:
    paths: dict[str, dict[str, Any]] = dict(schema.raw_schema["paths"])

    assert {one["operationId"] for item in paths.values() for one in item.values()} == {*OPERATIONS, "events"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", OPERATIONS)
def test_it_is_answered_as_documented(
    server: RunningServer,
    schema: OpenApiSchema,
    session: requests.Session,
    ids: list[str],
    name: str,
    mode: GenerationMode,
) -> None:
    operation = schema.find_operation_by_id(name)

    @seed(1)
    @settings(max_examples=EXAMPLES_MAX, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), known=st.sampled_from([*ids, None]))
    def answered(case: Case[Any], known: str | None) -> None:
        parameters: dict[str, Any] = case.path_parameters or {}
        for one in {"file_id", "upload_id"} & set(parameters):
            if known is not None:
                parameters[one] = known
        response = case.call(base_url=server.http_url, session=session, timeout=20)
        # an id put in its place may be what was wrong with the request
        case.validate_response(response, checks=CHECKS if known else [*CHECKS, checks.negative_data_rejection])

    answered()
