"""The ids of rows that are only ever read in their order."""

import random
import uuid
from datetime import timedelta

from tests.contracts.catalog import NOON
from uploadstream.adapters.catalog.rows import row_id


def test_ids_of_rows_sort_as_the_rows_were_written() -> None:
    times = [NOON + timedelta(microseconds=n // 4) for n in range(10_000)]

    ids = [row_id(at) for at in times]

    assert sorted(random.Random(1).sample(ids, len(ids))) == ids


def test_an_id_of_a_row_is_a_uuid_that_says_its_time() -> None:
    made = uuid.UUID(row_id(NOON))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(NOON.timestamp() * 1000)
