"""The stores in dicts keep the promises of their ports."""

import pytest

from tests.contracts.blobs import BlobStoreContract, a_key
from tests.contracts.leases import LeasesContract
from uploadstream.adapters.memory import MemoryBlobs, MemoryLeases
from uploadstream.adapters.system import SystemClock
from uploadstream.ports import BlobStore, Leases


class TestMemoryBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self) -> BlobStore:
        return MemoryBlobs(SystemClock())


class TestMemoryLeases(LeasesContract):
    @pytest.fixture
    def leases(self) -> Leases:
        return MemoryLeases()

    @pytest.fixture
    def rival(self, leases: Leases) -> Leases:
        return leases


async def test_a_write_that_is_told_the_wrong_count_is_an_error_of_its_caller() -> None:
    sink = await MemoryBlobs(SystemClock()).append(a_key(), at=0)

    with pytest.raises(ValueError, match="told 4 bytes"):
        sink.write([b"abc"], 4)
