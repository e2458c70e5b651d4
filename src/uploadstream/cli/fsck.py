"""`uploadstream fsck`: every stored file read again and compared with its digest."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from uploadstream import settings, upkeep
from uploadstream.cli import screen
from uploadstream.cli.service_options import settings_of
from uploadstream.core.errors import Refusal
from uploadstream.core.sizes import iec
from uploadstream.engine.verify import Finding, Verdict


def fsck(
    *,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="The data directory (UPLOADSTREAM_DATA_DIR).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Verify the digest of every stored file, those in the trash too. The service may be running."""
    chosen = settings_of({"data_dir": data_dir})
    if isinstance(chosen.catalog, Path) and not chosen.catalog.exists():
        screen.fail(f"No catalog at {chosen.catalog}; name the data directory of the service with --data-dir")
        raise typer.Exit(1)
    try:
        verdicts = asyncio.run(_verdicts(chosen, quiet=as_json))
    except (Refusal, upkeep.WrongSchema, upkeep.WrongStore) as error:
        screen.fail(str(error))
        raise typer.Exit(1) from None
    broken = [verdict for verdict in verdicts if verdict.finding is not Finding.WHOLE]
    size = sum(verdict.file.size for verdict in verdicts)
    if as_json:
        rows = [
            {"file_id": v.file.id, "filename": v.file.filename, "finding": v.finding.value, "says": v.says}
            for v in broken
        ]
        screen.print_json({"files": len(verdicts), "bytes": size, "broken": rows})
    else:
        typer.echo(f"{len(verdicts)} files, {iec(size)}: {len(broken) or 'none'} broken")
    if broken:
        screen.fail(f"{len(broken)} of {len(verdicts)} files are not whole; restore them from a backup")
        raise typer.Exit(1)


async def _verdicts(chosen: settings.Settings, *, quiet: bool) -> list[Verdict]:
    """Look at every file, and say which are broken as they are found."""
    found = []
    async for verdict in upkeep.fsck(chosen):
        found.append(verdict)
        if verdict.finding is not Finding.WHOLE and not quiet:
            typer.echo(f"{verdict.file.id}  {verdict.file.filename}: {verdict.finding.value}, {verdict.says}")
    return found
