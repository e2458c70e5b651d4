"""Which protocol a request speaks."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route, WebSocketRoute

from tests.protocols.asgi import client_of
from uploadstream.http.choice import Choice, choice_of, only

CHUNK = "application/offset+octet-stream"


@pytest.mark.parametrize(
    ("method", "fields", "choice"),
    [
        ("POST", {"tus-resumable": "1.0.0", "upload-length": "5"}, Choice.TUS),
        ("HEAD", {"tus-resumable": "1.0.0"}, Choice.TUS),
        ("OPTIONS", {}, Choice.TUS),
        ("OPTIONS", {"upload-draft-interop-version": "8"}, Choice.IETF),
        # who speaks tus without its version is to hear of that from tus
        ("POST", {"upload-length": "5"}, Choice.TUS),
        ("POST", {"upload-defer-length": "1"}, Choice.TUS),
        ("POST", {"upload-metadata": "filename YQ=="}, Choice.TUS),
        ("POST", {"upload-concat": "partial"}, Choice.TUS),
        ("POST", {"x-http-method-override": "PATCH"}, Choice.TUS),
        ("PATCH", {"content-type": CHUNK, "upload-offset": "0"}, Choice.TUS),
        ("PATCH", {}, Choice.TUS),
        ("POST", {"upload-complete": "?1", "content-type": "text/plain"}, Choice.IETF),
        ("POST", {"upload-complete": "?0", "upload-length": "5"}, Choice.IETF),
        ("POST", {"upload-incomplete": "?1"}, Choice.IETF),
        ("POST", {"upload-complete": "?0", "upload-metadata": "filename YQ=="}, Choice.IETF),
        ("PATCH", {"upload-complete": "?1", "content-type": "application/partial-upload"}, Choice.IETF),
        ("PATCH", {"content-type": "application/partial-upload"}, Choice.IETF),
        ("HEAD", {"upload-draft-interop-version": "6"}, Choice.IETF),
        # what has no sign at all: the last drafts ask for an offset so, and many clients send a whole body so
        ("HEAD", {}, Choice.IETF),
        ("GET", {}, Choice.IETF),
        ("DELETE", {}, Choice.IETF),
        ("POST", {"content-type": "image/png", "content-length": "5"}, Choice.IETF),
        ("PUT", {"content-length": "5"}, Choice.IETF),
    ],
)
def test_the_protocol_shows_in_the_fields(method: str, fields: dict[str, str], choice: Choice) -> None:
    assert choice_of(method, fields) is choice


async def test_a_route_is_there_for_its_protocol_only() -> None:
    def route(name: str) -> Route:
        async def say(_: Request) -> PlainTextResponse:
            return PlainTextResponse(name)

        return Route("/files", say, methods=["POST"])

    app = Starlette(routes=[*only(Choice.TUS, [route("tus")]), *only(Choice.IETF, [route("ietf")])])
    async with client_of(app) as client:
        assert (await client.post("/files", headers={"Tus-Resumable": "1.0.0"})).text == "tus"
        assert (await client.post("/files")).text == "ietf"
        assert (await client.put("/files")).status_code == 405
        assert (await client.post("/elsewhere")).status_code == 404


def test_a_route_of_one_protocol_is_for_http() -> None:
    async def never(_: object) -> None:
        pytest.fail("an upload over a web socket")

    (route,) = only(Choice.IETF, [WebSocketRoute("/files", never)])

    assert route.matches({"type": "websocket", "path": "/files", "headers": []}) == (Match.NONE, {})
