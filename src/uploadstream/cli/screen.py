"""What the commands print: results on stdout, everything about them on stderr.

On a terminal a listing is a table; elsewhere it is one line a row with tabs between the columns, for other programs.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console


NARROW: Final = 105
FOLDED_WIDTH_MIN: Final = 8

Precision = Literal["minutes", "seconds"]


def console(*, on_stderr: bool = False) -> Console:
    """A console that prints text as it is: no markup in file names, no colours by guess."""
    from rich.console import Console  # noqa: PLC0415 - plain output does without

    return Console(stderr=on_stderr, markup=False, highlight=False, emoji=False)


def fail(message: str) -> None:
    """The one line that says what is wrong and what to do."""
    typer.secho(" ".join(message.split()), fg=typer.colors.RED, err=True)


def as_json(value: object) -> Any:
    """A value of the client's as the REST API spells it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {name: as_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(member) for member in value]
    return value


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(as_json(value), ensure_ascii=False, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> None:
    """The rows; `nothing` is said on a terminal if there are none.

    Behind a column's name, `>` sets it to the right, `~` gives it several lines where there is little room, and `?`
    leaves it out on a narrow terminal.
    """
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    if not rows:
        typer.echo(nothing)
        return
    from rich import box  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415

    terminal = console()
    shown = [index for index, name in enumerate(columns) if "?" not in name or terminal.width >= NARROW]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in (columns[index] for index in shown):
        table.add_column(
            name.rstrip(">~?"),
            justify="right" if ">" in name else "left",
            no_wrap="~" not in name,
            min_width=FOLDED_WIDTH_MIN if "~" in name else None,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    terminal.print(table)


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, one below the other; what is empty is left out."""
    width = max((len(name) for name, _ in pairs), default=0) + 2
    for name, value in pairs:
        if value:
            typer.echo(f"{name:<{width}}{value}")


def local_time(at: datetime | None, *, to: Precision = "minutes") -> str:
    """A time as the user's clock shows it."""
    return at.astimezone().replace(tzinfo=None).isoformat(" ", to) if at is not None else ""
