"""The key that requests are sent with."""

import asyncio
import io
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prepared_server import PreparedServer
from tests.running_server import RunningServer
from uploadstream import AsyncClient, Client, Progress, Step, UploadError
from uploadstream.adapters.catalog.places import open_catalog
from uploadstream.adapters.system import SystemClock
from uploadstream.client.errors import UNAUTHENTICATED, WRONG_CREDENTIALS
from uploadstream.client.keys import ApiKey
from uploadstream.core.access import Scope
from uploadstream.engine.keys import Keys

DATA = random.Random(5).randbytes(3_000_000)
BOTH = frozenset({Scope.READ, Scope.WRITE})


class Keeper:
    """Gives keys, the next one each time that it is asked."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.asked = 0

    def key(self) -> str:
        self.asked += 1
        return self.keys[min(self.asked, len(self.keys)) - 1]

    async def key_later(self) -> str:
        await asyncio.sleep(0)
        return self.key()


async def sent(key: ApiKey, *, refused_as: str = "") -> tuple[str, bool]:
    """The key that a request has, and whether it may be tried again."""
    try:
        async with key.for_request() as text:
            if refused_as:
                raise UploadError(refused_as, "No")
    except UploadError as error:
        return text, error.is_passing
    return text, False


async def test_a_key_that_is_given_stays() -> None:
    key = ApiKey("a")

    assert await sent(key) == ("a", False)
    assert await sent(key, refused_as=WRONG_CREDENTIALS) == ("a", False)
    assert await sent(ApiKey("")) == ("", False)


@pytest.mark.parametrize("refused_as", [UNAUTHENTICATED, WRONG_CREDENTIALS])
@pytest.mark.parametrize("kind", ["key", "key_later"])
async def test_a_key_is_asked_for_once_and_again_when_it_is_refused(kind: str, refused_as: str) -> None:
    keeper = Keeper("a", "b")
    key = ApiKey(getattr(keeper, kind))

    assert [await sent(key) for _ in range(3)] == [("a", False)] * 3
    assert keeper.asked == 1
    assert await sent(key, refused_as=refused_as) == ("a", True)
    assert await sent(key) == ("b", False)
    assert keeper.asked == 2


async def test_what_is_refused_for_something_else_asks_for_no_key() -> None:
    keeper = Keeper("a", "b")

    assert await sent(ApiKey(keeper.key), refused_as="NOT_FOUND") == ("a", False)
    assert keeper.asked == 1


async def test_the_same_key_again_is_not_tried_again() -> None:
    assert await sent(ApiKey(Keeper("a").key), refused_as=WRONG_CREDENTIALS) == ("a", False)


async def test_keys_that_are_none_of_them_good_are_given_up() -> None:
    keeper = Keeper(*"abcdefgh")
    key = ApiKey(keeper.key)

    tries = [await sent(key, refused_as=WRONG_CREDENTIALS) for _ in range(4)]

    assert [may_pass for _, may_pass in tries] == [True, True, False, False]
    assert keeper.asked == 3
    assert await sent(key) == ("c", False)  # and one that is good makes up for it
    assert await sent(key, refused_as=WRONG_CREDENTIALS) == ("c", True)


async def test_of_many_requests_that_are_refused_at_once_one_asks() -> None:
    keeper = Keeper("a", "b")
    key = ApiKey(keeper.key_later)

    assert await asyncio.gather(*(sent(key, refused_as=WRONG_CREDENTIALS) for _ in range(9))) == [("a", True)] * 9
    assert keeper.asked == 2


async def test_a_key_that_no_field_can_have_is_not_sent() -> None:
    with pytest.raises(UploadError, match="printable ASCII"):
        async with ApiKey(lambda: "ä\n").for_request():
            pytest.fail("it was sent")


class Door:
    """A server that lets only holders of keys in, and its keys."""

    def __init__(self, server: RunningServer, path: Path) -> None:
        self.server = server
        self.path = path

    def key(self, user_id: str = "ann") -> tuple[str, str]:
        """The id and the text of a new key."""
        return asyncio.run(self.made(user_id))

    async def made(self, user_id: str) -> tuple[str, str]:
        catalog = await open_catalog(self.path, durable=False, connections=1)
        try:
            key, text = await Keys(catalog, SystemClock()).create(user_id, name="", scopes=BOTH, expires_in=None)
        finally:
            await catalog.close()
        return key.id, text

    def revoke(self, key_id: str) -> None:
        with sqlite3.connect(self.path, timeout=10) as catalog:
            catalog.execute("UPDATE api_keys SET revoked_at = created_at WHERE id = ?", (key_id,))

    def address(self, protocol: str) -> str:
        return f"grpc://{self.server.grpc_target}" if protocol == "grpc" else self.server.http_url


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    data = tmp_path_factory.mktemp("server") / "data"
    with PreparedServer(data, options=("--auth", "required")) as server:
        yield Door(server, data / "catalog.sqlite")


@pytest.mark.parametrize("protocol", ["grpc", "tus"])
def test_a_key_that_ends_in_the_middle_of_an_upload_costs_a_new_one_and_nothing_else(
    door: Door, protocol: str, tmp_path: Path
) -> None:
    (old_id, old), (_, new) = door.key(), door.key()
    keeper = Keeper(old, new)
    resumed: list[int] = []

    def cut(progress: Progress) -> None:
        if progress.step is Step.RESUMED:
            resumed.append(progress.offset)
        if progress.offset > 1_000_000 and keeper.asked == 1:
            door.revoke(old_id)
            door.server.kill()
            door.server.restart()

    with Client(door.address(protocol), api_key=keeper.key, state_dir=tmp_path) as client:
        file = client.upload(io.BytesIO(DATA), filename="a.bin", progress=cut)

        assert client.download(file.file_id, tmp_path / "back.bin").read_bytes() == DATA
    assert (file.user_id, keeper.asked) == ("ann", 2)
    assert len(resumed) == 1


@pytest.mark.parametrize("protocol", ["grpc", "tus"])
def test_who_has_no_good_key_is_told_so_at_once(door: Door, protocol: str, tmp_path: Path) -> None:
    for key, reason, words in (
        ("", UNAUTHENTICATED, "API key is missing"),
        (f"us_00000000_{'A' * 43}", WRONG_CREDENTIALS, "API key is not valid"),
    ):
        with (
            Client(door.address(protocol), api_key=key, state_dir=tmp_path) as client,
            pytest.raises(UploadError, match=words) as caught,
        ):
            client.upload(io.BytesIO(b"a"), filename="a.bin")
        assert caught.value.reason == reason


@pytest.mark.parametrize("protocol", ["grpc", "tus"])
async def test_each_key_lists_what_is_its_user_s(door: Door, protocol: str, tmp_path: Path) -> None:
    for user in ("bob", "cleo"):
        _, key = await door.made(f"{user} {protocol}")
        async with AsyncClient(door.address(protocol), user="ann", api_key=key, state_dir=tmp_path) as client:
            file = await client.upload(io.BytesIO(b"a"), filename=f"{user}.bin")
            assert [found.file_id async for found in client.list_files()] == [file.file_id]
            assert file.user_id == f"{user} {protocol}"
