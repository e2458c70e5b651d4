"""The bytes of files, and of uploads while they arrive, at `/api/v1/files/{file_id}/content`."""
