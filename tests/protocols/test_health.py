"""Whether the process lives, and whether it should be sent requests."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
from starlette.applications import Starlette

from tests.protocols.asgi import client_of
from uploadstream.core.errors import CatalogUnavailable, Refusal, StorageFull
from uploadstream.protocols.health import Health


def app(*, catalog: Refusal | None = None, storage: Refusal | None = None, is_draining: bool = False) -> Starlette:
    """Two parts, each in order or saying what is wrong."""

    def part(error: Refusal | None) -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            if error is not None:
                raise error

        return check

    checks = {"catalog": part(catalog), "storage": part(storage)}
    return Starlette(routes=Health(checks, lambda: is_draining).routes())


@pytest.mark.parametrize("is_draining", [False, True])
async def test_a_process_whose_loop_turns_is_alive_whatever_is_wrong(is_draining: bool) -> None:
    async with client_of(app(catalog=CatalogUnavailable(), is_draining=is_draining)) as client:
        answer = await client.get("/healthz")

    assert (answer.status_code, answer.json()) == (HTTPStatus.OK, {"status": "ok"})


async def test_a_service_whose_parts_answer_is_ready() -> None:
    async with client_of(app()) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == HTTPStatus.OK
    assert answer.json() == {"status": "ok", "catalog": "ok", "storage": "ok"}


async def test_a_part_that_does_not_answer_is_named_with_what_is_wrong() -> None:
    async with client_of(app(catalog=CatalogUnavailable(), storage=StorageFull(free=0))) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json() == {
        "status": "unavailable",
        "catalog": "Catalog is not reachable; nothing was lost, retry",
        "storage": "Storage is full, 0 B left; nothing was lost, retry when there is room",
    }


async def test_a_service_about_to_stop_is_not_ready() -> None:
    async with client_of(app(is_draining=True)) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json()["server"] == "draining"


async def test_a_head_request_may_ask_as_well() -> None:
    async with client_of(app()) as client:
        assert [(await client.head(path)).status_code for path in ("/healthz", "/readyz")] == [HTTPStatus.OK] * 2
