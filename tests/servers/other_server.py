"""A server that knows none of our extensions: uvicorn with its other parser, as it comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from tests.http_rig import App, Client
from uploadstream.servers.listening import listen, port_of


@asynccontextmanager
async def other_server(app: App) -> AsyncIterator[Client]:
    """A connection to it."""
    sockets = listen("127.0.0.1", 0)
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    async with asyncio.timeout(20):
        serving = asyncio.create_task(server._serve(sockets))
        while not server.started:  # noqa: ASYNC110 - it has no event for it
            await asyncio.sleep(0.01)
        client = Client(*await asyncio.open_connection("127.0.0.1", port_of(sockets[0])))
        try:
            yield client
        finally:
            client.close()
            server.should_exit = True
            await serving
