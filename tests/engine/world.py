"""An engine in a world of its own, whose time can be moved and whose process can be thrown away."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests.databases import new_catalog
from uploadstream.adapters.blobs_disk import DiskBlobs
from uploadstream.adapters.leases_disk import DiskLeases
from uploadstream.adapters.memory import MemoryBlobs, MemoryLeases
from uploadstream.adapters.signing import Signatures
from uploadstream.adapters.system import SystemClock
from uploadstream.core.access import Caller
from uploadstream.core.allowances import Allowance
from uploadstream.core.files import File
from uploadstream.core.session import Declared, Limits
from uploadstream.engine.admission import Admission
from uploadstream.engine.buffers import Buffers
from uploadstream.engine.downloads import Downloads
from uploadstream.engine.events import Events
from uploadstream.engine.files import Files
from uploadstream.engine.gathering import Gatherer
from uploadstream.engine.identities import KeyProof
from uploadstream.engine.intake import Intake
from uploadstream.engine.meters import Meters
from uploadstream.engine.passes import Passes
from uploadstream.engine.purging import Purger
from uploadstream.engine.receiving import Receiver
from uploadstream.engine.sweeper import Sweeper
from uploadstream.engine.throttle import Throttle
from uploadstream.engine.uploads import Uploads
from uploadstream.engine.watch import Pour, Watch
from uploadstream.ports import BlobStore, Catalog, Fsync, Leases, Ports

ANN = Caller("ann", "test", "192.0.2.1")
BOB = Caller("bob", "test", "192.0.2.2")
Bring = Callable[..., Pour]
TRASH_TTL = timedelta(days=30)
SECRET = "a secret of all servers of this catalog"


class MovableClock:
    """The machine's clock, and as far ahead as a test wants."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.ahead

    def new_id(self) -> str:
        return str(uuid.uuid4())


@dataclass
class Engine:
    """What one process has in memory."""

    ports: Ports
    limits: Limits
    read_timeout_seconds: float = 60.0
    buffers: Buffers = field(default_factory=Buffers)
    allowance: Allowance = field(default_factory=Allowance)

    def __post_init__(self) -> None:
        self.files = Files(self.ports, trash_ttl=TRASH_TTL)
        self.admission = Admission(self.ports.catalog, self.ports.clock, self.allowance)
        throttle = Throttle(Meters(self.admission.allowance, self.ports.catalog, self.ports.clock))
        self.watch = Watch(read_timeout_seconds=self.read_timeout_seconds, throttle=throttle)
        receiver = Receiver(self.ports, self.watch, self.buffers, self.limits, admission=self.admission)
        self.uploads = Uploads(self.ports, self.files, receiver, self.limits)
        self.downloads = Downloads(self.ports, self.files, self.uploads)
        self.events = Events(self.ports, self.uploads, poll_seconds=0.01)
        clock, self.keys = self.ports.clock, KeyProof(self.ports.catalog, self.ports.clock)
        self.passes = Passes(Signatures(SECRET, clock), self.keys, clock)
        self.gatherer = Gatherer(self.ports)
        self.purger = Purger(self.ports, trash_ttl=TRASH_TTL)
        self.sweeper = Sweeper(self.ports, self.uploads, trash_ttl=TRASH_TTL)


@dataclass
class World:
    """What outlives a process: blobs, catalog, time. `engine` is the living process."""

    blobs: BlobStore
    catalog: Catalog
    new_leases: Callable[[], Leases]
    clock: MovableClock
    limits: Limits = field(default_factory=Limits)
    read_timeout_seconds: float = 60.0
    allowance: Allowance = field(default_factory=Allowance)
    closing: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = self.start()

    def start(
        self,
        *,
        limits: Limits | None = None,
        read_timeout_seconds: float | None = None,
        allowance: Allowance | None = None,
    ) -> Engine:
        """A new process; the one before is as if it had never been."""
        self.allowance = allowance or self.allowance
        self.limits = limits or self.limits
        self.read_timeout_seconds = read_timeout_seconds or self.read_timeout_seconds
        ports = Ports(self.catalog, self.blobs, self.new_leases(), self.clock)
        self.engine = Engine(ports, self.limits, self.read_timeout_seconds, allowance=self.allowance)
        return self.engine

    def close(self) -> None:
        for close in self.closing:
            close()


def memory_world() -> World:
    clock = MovableClock()
    return World(MemoryBlobs(clock), new_catalog(), MemoryLeases, clock)


def disk_world(root: Path, *, fsync: Fsync = Fsync.NEVER) -> World:
    """Blobs and leases on a disk; each start has leases of its own, as each process does."""
    blobs = DiskBlobs(root / "blobs", fsync=fsync)
    closing: list[Callable[[], object]] = [blobs.close]

    def new_leases() -> Leases:
        while len(closing) > 1:
            closing.pop()()
        leases = DiskLeases(root).listen()
        closing.append(leases.close)
        return leases

    return World(blobs, new_catalog(), new_leases, MovableClock(), closing=closing)


def declared(
    length: int | None, *, name: str = "a.bin", content_type: str = "", user_id: str = "", metadata: str = ""
) -> Declared:
    return Declared(user_id, name, content_type, length, metadata)


def body(*chunks: bytes, then: BaseException | None = None) -> Pour:
    """A body that comes in chunks by reference, and then ends, or is cut by an error."""

    async def pour(intake: Intake) -> None:
        for chunk in chunks:
            busy = intake.feed(chunk)
            if busy is not None:
                await busy
        if then is not None:
            raise then

    return pour


def received(*chunks: bytes) -> Pour:
    """A body that comes as a socket brings it: into the intake's memory."""

    async def pour(intake: Intake) -> None:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                buffer = intake.get_buffer(len(rest))
                count = len(buffer)
                buffer[:] = rest[:count]
                busy = intake.received(count)
                if busy is not None:
                    await busy
                rest = rest[count:]

    return pour


async def content(engine: Engine, file: File) -> bytes:
    pieces = engine.downloads.read(file, start=0, stop=file.size, piece_size=1000)
    return b"".join([piece async for piece in pieces])


async def blob_keys(world: World) -> set[str]:
    return {blob.key async for blob in world.blobs.blobs()}
