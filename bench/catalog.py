#!/usr/bin/env python3
"""Lists, pages and searches a catalog of many files, over HTTP: how long until the answer is there. See README.md."""

import argparse
import http.client
import json
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from rig.databases import DATABASES, WORDS, Database, Filling, filled
from rig.options import names, numbers, work_folder
from rig.processes import cpu_seconds
from rig.servers import Place, Running, kinds, running, uploadstream_command

BYTES_A_FILE = 2_000  # rows, indexes and the journal of both databases
WARM_UP = 50
GOAL_MS = 20.0
PLAN = (
    "SELECT id FROM files WHERE deleted_at IS NULL AND user_id = 'user 0' ORDER BY uploaded_at DESC, id DESC LIMIT 50"
)


@dataclass(frozen=True)
class Figures:
    """How long the answers to one kind of request took, and the server's CPU time for one, in milliseconds."""

    database: str
    files: int
    clients: int
    what: str
    requests: int
    p50: float
    p99: float
    max: float
    server_cpu: float


class Reader:
    """A client that looks at the files of users at random, over one connection."""

    def __init__(self, server: Running, filling: Filling, seed: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.place.http_port, timeout=60)
        self._filling = filling
        self._dice = random.Random(seed)
        self._next: tuple[str, str] | None = None
        self._seen: list[str] = []

    def newest(self) -> None:
        """The newest files of a user."""
        self._listed(self._user(), page_size=50)

    def page(self) -> None:
        """The next page of a listing, to its end."""
        if self._next is None:
            self._listed(self._user(), page_size=50)
        else:
            user, token = self._next
            self._listed(user, page_size=50, page_token=token)

    def by_name(self) -> None:
        """The first by name."""
        self._listed(self._user(), page_size=50, sort="filename")

    def search(self) -> None:
        """Files with a word in their names."""
        self._listed(self._user(), page_size=50, name=self._dice.choice(WORDS))

    def search_rare(self) -> None:
        """A name that hardly any file has: all of the user's are looked at."""
        self._listed(self._user(), page_size=50, name=f"{self._dice.choice(WORDS)} {self._dice.randrange(10**6)}")

    def search_type(self) -> None:
        """Images."""
        self._listed(self._user(), page_size=50, type="image/*")

    def trash(self) -> None:
        """The newest in the trash."""
        self._listed(self._user(), page_size=50, deleted="true")

    def describe(self) -> None:
        """One file."""
        if not self._seen:
            self.newest()  # whose time counts, once
        self._answer(f"/api/v1/files/{self._dice.choice(self._seen)}", "")

    def _user(self) -> str:
        return self._filling.user(self._dice)

    def _listed(self, user: str, **ask: str | int) -> None:
        answer = self._answer(f"/api/v1/files?{urlencode(ask)}", user)
        self._seen = [file["file_id"] for file in answer["files"] if not file["deleted_at"]] or self._seen
        self._next = (user, answer["next_page_token"]) if answer["next_page_token"] else None

    def _answer(self, path: str, user: str) -> dict[str, Any]:
        self._connection.request("GET", path, headers={"X-User-Id": user} if user else {})
        response = self._connection.getresponse()
        said = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {said[:500]!r}")
        found: dict[str, Any] = json.loads(said)
        return found


ACTS: dict[str, Callable[[Reader], None]] = {
    "list": Reader.newest,
    "page": Reader.page,
    "by name": Reader.by_name,
    "search": Reader.search,
    "search, rare": Reader.search_rare,
    "search, type": Reader.search_type,
    "trash": Reader.trash,
    "describe": Reader.describe,
}


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument(
        "--files", type=numbers, default="200000", help="files in the catalog; numbers are run in turn"
    )
    options.add_argument("--users", type=int, default=1000, help="users they belong to")
    options.add_argument("--requests", type=int, default=1000, help="requests of each kind, of all clients together")
    options.add_argument("--clients", type=numbers, default="1", help="clients at once; numbers are run in turn")
    options.add_argument("--databases", type=names, default="postgresql,sqlite", help=", ".join(DATABASES))
    options.add_argument("--dir", type=Path, help="where databases are; a fresh folder on tmpfs if there is room")
    options.add_argument("--json", type=Path, help="write the figures there")
    return options


def measured(readers: Sequence[Reader], act: Callable[[Reader], None], *, count: int) -> list[float]:
    """The milliseconds of each answer."""
    taken: list[float] = []
    failures: list[BaseException] = []

    def ask(reader: Reader) -> None:
        try:
            for number in range(WARM_UP + count // len(readers)):
                start = time.perf_counter()
                act(reader)
                if number >= WARM_UP:
                    taken.append(1000 * (time.perf_counter() - start))
        except (OSError, RuntimeError, http.client.HTTPException) as failure:
            failures.append(failure)

    threads = [threading.Thread(target=ask, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return taken


def in_a_line(one: Figures) -> str:
    """A row of the table."""
    late = "" if one.p99 < GOAL_MS else f"   above {GOAL_MS:.0f}"
    times = f"{one.p50:8.1f}{one.p99:8.1f}{one.max:8.1f}{one.server_cpu:8.1f}"
    return f"{one.database:12}{one.files:>9}{one.clients:>9}  {one.what:14}{times}{late}"


def figures_of(database: Database, filling: Filling, folder: Path, options: argparse.Namespace) -> list[Figures]:
    """Of every kind of request, on a server of its own."""

    def command(place: Place, fsync: bool) -> list[str]:  # noqa: FBT001 one shape for all kinds
        env, *rest = uploadstream_command(place, fsync, workers=None)
        return [env, f"UPLOADSTREAM={database.dsn}", *rest]

    found = []
    with running(replace(kinds()["uploadstream"], command=command), folder, fsync=False) as server:
        for clients in options.clients:
            readers = [Reader(server, filling, seed) for seed in range(clients)]
            for what, act in ACTS.items():
                used = cpu_seconds(server.pid)
                taken = measured(readers, act, count=options.requests)
                used = (cpu_seconds(server.pid) - used) * 1000 / (len(taken) + WARM_UP * clients)
                p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
                one = Figures(database.name, filling.files, clients, what, len(taken), p50, p99, max(taken), used)
                found.append(one)
                print(in_a_line(one), flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole program; its exit status is 1 if a p99 of PostgreSQL is above the goal."""
    options = parser().parse_args(arguments)
    found: list[Figures] = []
    for files in options.files:
        filling = Filling(files, options.users)
        for name in options.databases:
            with work_folder(options.dir, files * BYTES_A_FILE) as folder, DATABASES[name](folder / "db") as database:
                seconds = filled(database, filling)
                print(f"\n{database.name}: {files} files of {options.users} users, filled in {seconds:.0f} s")
                print(database.explain(PLAN).strip())
                print(f"{'':12}{'files':>9}{'clients':>9}  {'milliseconds':14}{'p50':>8}{'p99':>8}{'max':>8}{'CPU':>8}")
                found += figures_of(database, filling, folder / "server", options)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return int(any(one.p99 > GOAL_MS for one in found if one.database == "PostgreSQL"))


if __name__ == "__main__":
    sys.exit(main())
