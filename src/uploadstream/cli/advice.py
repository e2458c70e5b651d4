"""What a user of the commands can do about a refusal whose own words, the same for every client, do not say it."""

from __future__ import annotations

from uploadstream.client.errors import GONE, NOT_FOUND, TYPE_MISMATCH, UNAUTHENTICATED, WRONG_CREDENTIALS, UploadError


def advised(error: UploadError) -> str:
    """The refusal and what to do about it, in one sentence."""
    advice = _advice(error)
    return f"{error.message}; {advice}" if advice else error.message


def _advice(error: UploadError) -> str:
    said = error.message
    if error.reason == NOT_FOUND:
        return f"uploadstream {'uploads' if said.startswith('No upload ') else 'ls'} lists yours"
    if error.reason == GONE and said.startswith("No file ") and said.endswith(" was deleted"):
        return "back with: uploadstream restore ID"
    if error.reason == GONE and said.endswith(" was lost"):
        return "its bytes are not in the storage any more; ask the server's operator for a backup"
    if error.reason == TYPE_MISMATCH and said.startswith("Declared "):
        return "without --type it is sent as what it is"
    if error.reason in {UNAUTHENTICATED, WRONG_CREDENTIALS}:
        return "give one that is in UPLOADSTREAM_API_KEY; the server's operator makes them: uploadstream key create"
    return ""
