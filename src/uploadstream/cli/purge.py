"""`uploadstream purge`: what has been in the trash for its time is removed for good."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from uploadstream import settings, upkeep
from uploadstream.cli import interrupt, screen
from uploadstream.cli.service_options import settings_of
from uploadstream.core.errors import Refusal
from uploadstream.core.sizes import iec

LINE_SECONDS: Final = 5.0


def purge(
    *,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="The data directory (UPLOADSTREAM_DATA_DIR).")
    ] = None,
    trash_ttl: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default=False,
            help="Life of a deleted file (UPLOADSTREAM_TRASH_TTL); 0 empties the whole trash.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Empty the trash of what has been in it for its time: it is gone for good. The service may be running.

    It does the same by itself, once a minute.
    """
    chosen = settings_of({"data_dir": data_dir, "trash_ttl": trash_ttl})
    if isinstance(chosen.catalog, Path) and not chosen.catalog.exists():
        screen.fail(f"No catalog at {chosen.catalog}; name the data directory of the service with --data-dir")
        raise typer.Exit(1)
    count = _Count(is_quiet=as_json)
    try:
        interrupt.run(_count_due(chosen, count) if dry_run else _purge(chosen, count))
    except (Refusal, upkeep.WrongSchema, upkeep.WrongStore) as error:
        done = f"; {count.says()} before" if count.files else ""
        screen.fail(f"{error}{done}")
        raise typer.Exit(1) from None
    if as_json:
        screen.print_json({"files": count.files, "bytes": count.size, "left": count.left, "dry_run": dry_run})
    elif dry_run:
        typer.echo(f"{count.files or 'No'} files would be purged, {iec(count.size)} at most be freed")
    else:
        typer.echo(count.says())


@dataclass
class _Count:
    """What has been done, and says so now and then while it goes on."""

    is_quiet: bool
    files: int = 0
    size: int = 0
    left: int = 0
    said_at: float = 0.0

    def __post_init__(self) -> None:
        self.said_at = time.monotonic()

    def add(self, size: int | None) -> None:
        """One more file; None: it was left for later."""
        if size is None:
            self.left += 1
            return
        self.files += 1
        self.size += size
        if not self.is_quiet and time.monotonic() - self.said_at > LINE_SECONDS:
            self.said_at = time.monotonic()
            typer.echo(f"{self.says()} so far", err=True)

    def says(self) -> str:
        """In words."""
        left = f"; {self.left} left for later, as they are in use" if self.left else ""
        return f"{self.files or 'No'} files purged, {iec(self.size)} freed{left}"


async def _purge(chosen: settings.Settings, count: _Count) -> None:
    async for one in upkeep.purge(chosen):
        count.add(one.freed)


async def _count_due(chosen: settings.Settings, count: _Count) -> None:
    async for file in upkeep.to_be_purged(chosen):
        count.add(file.size)
