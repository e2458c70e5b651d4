"""The ids of rows that are only ever read in their order."""

import random
import uuid
from datetime import timedelta

from tests.contracts.catalog import NOON
from uploadstream.adapters.catalog.rows import row_id


def test_ids_of_rows_sort_by_the_times_of_the_rows() -> None:
    times = [NOON + timedelta(microseconds=n) for n in range(10_000)]

    made = {row_id(at): at for at in random.Random(1).sample(times, len(times))}

    assert [made[each] for each in sorted(made)] == times


def test_ids_of_rows_of_one_time_sort_as_they_were_made() -> None:
    made = [row_id(NOON) for _ in range(10_000)]

    assert sorted(made) == made


def test_an_id_of_a_row_is_a_uuid_that_says_its_time() -> None:
    made = uuid.UUID(row_id(NOON))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(NOON.timestamp() * 1000)
