"""The column types of the schema.

Invariant: a value comes back equal to what was written, on every database.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, Dialect, SmallInteger, Text, Uuid, bindparam, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.sqlite import CHAR
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from uploadstream.core.instants import instant_of, microseconds_of
from uploadstream.core.parts import Part

Choice = TypeVar("Choice", bound=enum.StrEnum | enum.IntEnum)

# On SQLite an id is the text that URLs and file names show; sorted as text or as 16 bytes, the order is the same.
Id: Final = Uuid(as_uuid=False).with_variant(CHAR(36), "sqlite")

# Text that is sorted, or looked for in an index: by its code points, as SQLite does. A database's own order may change
# with the libraries of its machine, and an index that was made in another order finds nothing any more.
Word: Final = Text().with_variant(Text(collation="C"), "postgresql")

Details: Final = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Instant(TypeDecorator[datetime]):
    """A point in time to the microsecond: a timestamp with time zone; on SQLite, which has none, a number."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type in the database."""
        return BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Microseconds since 1970 on SQLite."""
        if value is None or dialect.name != "sqlite":
            return value
        return microseconds_of(value)

    def process_result_value(self, value: datetime | int | None, _: Dialect) -> datetime | None:
        """In UTC."""
        return instant_of(value) if isinstance(value, int) else value


class Chosen(TypeDecorator[Choice], Generic[Choice]):
    """One of an enumeration's members, kept as its value: text for a StrEnum, a small number for an IntEnum."""

    impl = Text
    cache_ok = True

    def __init__(self, choices: type[Choice]) -> None:
        super().__init__()
        self.choices: Final = choices

    def load_dialect_impl(self, _: Dialect) -> TypeEngine[Any]:
        """The type of the members' values."""
        return SmallInteger() if issubclass(self.choices, enum.IntEnum) else Text()

    def process_bind_param(self, value: Choice | None, _: Dialect) -> Any:
        """The member's value."""
        return None if value is None else value.value

    def process_result_value(self, value: Any, _: Dialect) -> Choice | None:
        """The member."""
        return None if value is None else self.choices(value)


class PartsOf(TypeDecorator[tuple[Part, ...]]):
    """The blobs of a file, as `[[key, size], ...]`; nothing for a file that has one of its own."""

    impl = Details
    cache_ok = True

    def process_bind_param(self, value: tuple[Part, ...] | None, _: Dialect) -> Any:
        """A list of pairs."""
        return [[part.key, part.size] for part in value] if value else None

    def process_result_value(self, value: Any, _: Dialect) -> tuple[Part, ...]:
        """The parts."""
        return tuple(Part(key, size) for key, size in value or ())


class among(FunctionElement[bool]):  # noqa: N801 - used as a function, like SQLAlchemy's own
    """Whether the Id of a column is one of the parameter `keys`."""

    type = Boolean()
    inherit_cache = True


@compiles(among, "sqlite")
def _among_on_sqlite(element: among, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    return compiler.process(column.in_(bindparam("keys", expanding=True, type_=Id)), **options)


@compiles(among, "postgresql")
def _among_on_postgresql(element: among, compiler: SQLCompiler, **options: Any) -> str:
    """As one array: a statement for each number of keys would be prepared each time, and has 32,767 at most."""
    (column,) = element.clauses
    return compiler.process(column == func.any(bindparam("keys", type_=ARRAY(Id))), **options)
