"""The service is the one that existing clients speak, and the generated code is that of the .proto."""

import subprocess
from pathlib import Path

from uploadstream.proto.fileservice.v1 import file_service_pb2 as pb

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "src" / "uploadstream" / "proto"

# What clients have in them: message, then its fields by number.
PROMISED: dict[str, dict[int, str]] = {
    "UploadFileRequest": {1: "metadata", 2: "chunk", 3: "checked_chunk"},
    "FileMetadata": {1: "filename", 2: "content_type", 3: "size", 4: "user_id", 5: "upload_id", 6: "offset"},
    "CheckedChunk": {1: "data", 2: "crc32c", 3: "offset"},
    "UploadFileResponse": {
        1: "file_id",
        2: "filename",
        3: "size",
        4: "content_type",
        5: "uploaded_at",
        6: "processing_status",
        7: "upload_id",
        8: "offset",
        9: "complete",
    },
    "DownloadFileRequest": {1: "file_id", 2: "offset", 3: "length", 4: "follow"},
    "DownloadFileResponse": {1: "info", 2: "chunk"},
    "FileInfo": {1: "file_id", 2: "filename", 3: "content_type", 4: "size", 5: "uploaded_at"},
    "GetFileMetadataRequest": {1: "file_id"},
    "GetFileMetadataResponse": {
        1: "file_id",
        2: "filename",
        3: "content_type",
        4: "size",
        5: "uploaded_at",
        6: "processing_status",
        7: "processing_result",
    },
    "ListFilesRequest": {1: "user_id", 2: "page_size", 3: "page_token", 4: "deleted"},
    "ListFilesResponse": {1: "files", 2: "next_page_token"},
    "FileEntry": {
        1: "file_id",
        2: "filename",
        3: "content_type",
        4: "size",
        5: "uploaded_at",
        6: "processing_status",
    },
    "DeleteFileRequest": {1: "file_id", 2: "user_id"},
    "DeleteFileResponse": {1: "success", 2: "message"},
    "RestoreFileRequest": {1: "file_id", 2: "user_id"},
    "RestoreFileResponse": {1: "success", 2: "message"},
    "ProcessingResult": {
        1: "thumbnail_small",
        2: "thumbnail_medium",
        3: "thumbnail_large",
        4: "original_width",
        5: "original_height",
        6: "error_message",
    },
    "CreateUploadRequest": {1: "metadata"},
    "GetUploadStatusRequest": {1: "upload_id"},
    "AbortUploadRequest": {1: "upload_id"},
    "AbortUploadResponse": {1: "success", 2: "message"},
    "UploadStatus": {1: "upload_id", 2: "offset", 3: "size", 4: "complete", 5: "expires_at", 6: "file_id"},
    "ListUploadsRequest": {1: "user_id", 2: "page_size", 3: "page_token"},
    "ListUploadsResponse": {1: "uploads", 2: "next_page_token"},
}
OWN_NUMBERS_FROM = 16


def test_every_promised_field_has_its_number_and_below_16_there_is_no_other() -> None:
    messages = pb.DESCRIPTOR.message_types_by_name

    found = {
        name: {field.number: field.name for field in messages[name].fields if field.number < OWN_NUMBERS_FROM}
        for name in PROMISED
    }

    assert found == PROMISED


def test_the_states_of_processing_have_their_numbers() -> None:
    names = ("UNSPECIFIED", "PENDING", "PROCESSING", "COMPLETED", "FAILED")

    assert list(pb.ProcessingStatus.items()) == [
        (f"PROCESSING_STATUS_{name}", number) for number, name in enumerate(names)
    ]


def test_the_generated_code_is_that_of_the_proto(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "generate-proto", tmp_path], check=True, capture_output=True)

    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert made
    assert {path: (GENERATED / path).read_text() for path in made} == made
