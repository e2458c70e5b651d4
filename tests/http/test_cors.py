"""Pages of other origins: what a browser asks first, and what it lets a script read."""

from collections.abc import AsyncIterator, Collection

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tests.http_rig import Answer, Receive, Scope, Send, Serving, serving
from uploadstream.http.cors import EXPOSED, refusal_fields, with_cors

ORIGIN = "https://page.example"
# What clients of each protocol read of an answer (tus and FilePond say so; F9).
TUS = {
    *("Location", "Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Defer-Length", "Upload-Concat"),
    *("Upload-Expires", "Tus-Version", "Tus-Resumable", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"),
}
IETF = {"Location", "Upload-Offset", "Upload-Complete", "Upload-Length", "Upload-Limit", "Accept-Patch", "Repr-Digest"}
FILEPOND = {"Upload-Offset", "Content-Disposition", "Content-Length", "X-Content-Transfer-Id"}
DOWNLOADS = {"ETag", "Content-Range", "Accept-Ranges", "Content-Disposition", "Content-Length", "Retry-After"}


async def answer_any(request: Request) -> Response:
    if request.url.path == "/fails":
        raise RuntimeError("nobody foresaw this")
    return Response(request.method, 201, {"Location": "/there", "X-Method": request.method})


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that gives its fields as a tuple."""
    await send({"type": "http.response.start", "status": 200, "headers": ((b"content-length", b"0"),)})
    await send({"type": "http.response.body"})


def app_for(origins: Collection[str] = ("*",)) -> ASGIApp:
    methods = ["GET", "HEAD", "OPTIONS", "PATCH", "DELETE", "POST", "PUT"]
    return with_cors(Starlette(routes=[Route("/{path}", answer_any, methods=methods)]), origins)


@pytest.fixture
async def server() -> AsyncIterator[Serving]:
    async with serving(app_for()) as running:
        yield running


async def ask(server: Serving, method: str, path: str = "/a", **fields: str) -> Answer:
    client = await server.connect()
    lines = [f"{method} {path} HTTP/1.1", "Host: here"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    await client.send("\r\n".join([*lines, "", ""]).encode())
    return await client.answer()


def exposed(answer: Answer) -> set[str]:
    return set(answer.fields["access-control-expose-headers"].split(", "))


def test_what_clients_of_every_protocol_read_is_exposed() -> None:
    assert set(EXPOSED) >= TUS | IETF | FILEPOND | DOWNLOADS
    assert len(set(EXPOSED)) == len(EXPOSED)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "POST", "PUT", "HEAD"])
@pytest.mark.parametrize("asked", ["tus-resumable,upload-offset,x-anything-else", ""])
async def test_a_preflight_lets_every_method_and_field_through(server: Serving, method: str, asked: str) -> None:
    fields = {"Access_Control_Request_Headers": asked} if asked else {}

    answer = await ask(server, "OPTIONS", Origin=ORIGIN, Access_Control_Request_Method=method, **fields)

    assert answer.status == 200
    assert answer.fields["access-control-allow-origin"] == "*"
    assert method in answer.fields["access-control-allow-methods"].split(", ")
    assert answer.fields.get("access-control-allow-headers", "") == asked
    assert int(answer.fields["access-control-max-age"]) >= 7200
    assert "access-control-allow-credentials" not in answer.fields


async def test_an_options_that_is_no_preflight_reaches_the_protocol(server: Serving) -> None:
    plain = await ask(server, "OPTIONS")
    of_a_page = await ask(server, "OPTIONS", Origin=ORIGIN)
    without_origin = await ask(server, "OPTIONS", Access_Control_Request_Method="POST")

    assert [one.fields["x-method"] for one in (plain, of_a_page, without_origin)] == ["OPTIONS"] * 3
    assert of_a_page.fields["access-control-allow-origin"] == "*"


async def test_a_page_may_read_what_a_protocol_answers(server: Serving) -> None:
    answer = await ask(server, "POST", Origin=ORIGIN, Content_Length="0")

    assert (answer.status, answer.body) == (201, b"POST")
    assert answer.fields["access-control-allow-origin"] == "*"
    assert exposed(answer) == set(EXPOSED)


async def test_who_is_no_page_is_told_nothing_of_origins(server: Serving) -> None:
    answer = await ask(server, "GET")

    assert "access-control-allow-origin" not in answer.fields


@pytest.mark.parametrize(("path", "status"), [("/no/such/path", 404), ("/fails", 500)])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_page_may_read_a_refusal_and_a_failure(server: Serving, path: str, status: int) -> None:
    answer = await ask(server, "GET", path, Origin=ORIGIN)

    assert answer.status == status
    assert answer.fields["access-control-allow-origin"] == "*"
    assert exposed(answer) == set(EXPOSED)


async def test_a_method_that_is_not_served_is_readable_too(server: Serving) -> None:
    answer = await ask(server, "TRACE", Origin=ORIGIN)

    assert answer.status == 405
    assert answer.fields["access-control-allow-origin"] == "*"


async def test_only_named_origins_may_read() -> None:
    async with serving(app_for([ORIGIN, "null"])) as server:
        named = await ask(server, "GET", Origin=ORIGIN)
        opaque = await ask(server, "GET", Origin="null")
        other = await ask(server, "GET", Origin="https://page.example.evil")
        preflight = await ask(server, "OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="GET")

    assert named.fields["access-control-allow-origin"] == ORIGIN
    assert "Origin" in named.fields["vary"]
    assert opaque.fields["access-control-allow-origin"] == "null"
    assert "access-control-allow-origin" not in other.fields
    assert (preflight.status, "access-control-allow-origin" in preflight.fields) == (400, False)


async def test_an_application_of_any_kind_can_be_surrounded() -> None:
    async with serving(with_cors(bare, ["*"])) as server:
        answer = await ask(server, "GET", Origin=ORIGIN)

    assert answer.fields["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(("origins", "allowed"), [(["*"], "*"), (["https://page.example"], None)])
async def test_a_refusal_of_the_server_itself_can_be_read_where_all_may(
    origins: list[str], allowed: str | None
) -> None:
    async with serving(app_for(origins), refusal_fields=refusal_fields(origins)) as server:
        refused = await ask(server, "GET", "/" + "x" * 9000, Origin=ORIGIN)
        answered = await ask(server, "GET", Origin=ORIGIN)

    assert refused.status == 414
    assert refused.fields.get("access-control-allow-origin") == allowed
    assert answered.fields["access-control-allow-origin"] in {"*", ORIGIN}
