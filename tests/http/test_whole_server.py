"""`OPTIONS *`."""

from starlette.applications import Starlette
from starlette.routing import Match

from tests.protocols.asgi import hear
from uploadstream.http.whole_server import WholeServer

SAID = {"Upload-Limit": "max-size=5"}


async def test_r6_the_server_itself_says_what_every_upload_is_held_to() -> None:
    heard = await hear(Starlette(routes=[WholeServer(SAID)]), "OPTIONS", "*", {})

    assert (heard.status, heard.fields["upload-limit"], heard.body) == (204, "max-size=5", b"")


def test_what_is_for_a_resource_goes_elsewhere() -> None:
    route = WholeServer(SAID)
    for scope in (
        {"type": "http", "method": "OPTIONS", "path": "/*"},
        {"type": "http", "method": "GET", "path": "*"},
        {"type": "lifespan"},
    ):
        assert route.matches(scope) == (Match.NONE, {})
