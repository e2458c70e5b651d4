"""The API's JSON, as the contract has it."""

import json
from datetime import UTC, datetime

from uploadstream.core.files import Action, Audit, File, ProcessingStatus
from uploadstream.core.session import Declared, Session
from uploadstream.core.stats import DeletionStats
from uploadstream.protocols.rest.spellings import write_audit, write_file, write_stats, write_upload

UNKNOWN = "5f0c1a2b-0000-4000-8000-00000000000a"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FILE = File(UNKNOWN, "ann", "a.txt", 3, "text/csv", "text/plain", 0x1A2B, NOON, "tus", "", "ab" * 32, NOON)


def test_a_file_is_written_as_the_contract_has_it() -> None:
    written = json.loads(write_file(FILE).model_dump_json())

    assert list(written) == [
        *("file_id", "user_id", "filename", "size", "content_type", "crc32c", "sha256", "uploaded_at"),
        *("deleted_at", "processing_status", "processing_result"),
    ]
    assert (written["crc32c"], written["sha256"], written["content_type"]) == ("00001a2b", "ab" * 32, "text/csv")
    assert written["uploaded_at"] == written["deleted_at"] == "2026-01-02T12:00:00Z"
    assert {write_file(FILE).processing_status} <= {status.name for status in ProcessingStatus}


def test_an_upload_is_written_as_the_contract_has_it() -> None:
    session = Session(UNKNOWN, Declared("ann", "a", "", None), 10, "tus", NOON, NOON, offset=3)

    assert json.loads(write_upload(session, NOON).model_dump_json()) == {
        "upload_id": UNKNOWN,
        "user_id": "ann",
        "filename": "a",
        "size": None,
        "offset": 3,
        "protocol": "tus",
        "created_at": "2026-01-02T12:00:00Z",
        "expires_at": "2026-01-02T12:00:00Z",
    }


def test_a_row_of_the_trail_and_the_analytics_are_written() -> None:
    entry = Audit(UNKNOWN, Action.DELETE, "ann", NOON, "http", "192.0.2.1", {"why": "old"})

    assert write_audit(entry).model_dump() == {
        "file_id": UNKNOWN,
        "action": "delete",
        "user_id": "ann",
        "at": NOON,
        "protocol": "http",
        "address": "192.0.2.1",
        "details": {"why": "old"},
    }
    stats = DeletionStats(2, 1, {"2026-01-02": 2}, {"a/b": 2}, 1.5, 2.0, {"<1h": 2}, 1, 30)
    assert write_stats(stats).model_dump() == {
        "deleted": 2,
        "restored": 1,
        "restored_share": 0.5,
        "by_day": {"2026-01-02": 2},
        "by_type": {"a/b": 2},
        "age_seconds_mean": 1.5,
        "age_seconds_max": 2.0,
        "by_age": {"<1h": 2},
        "purged": 1,
        "purged_bytes": 30,
    }
