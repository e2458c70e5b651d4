"""Settings in the code of an application: their names are those of the service, their values its spellings."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from uploadstream import UploadStream
from uploadstream.core.sizes import GIB
from uploadstream.embedding.options import Options, settings_of
from uploadstream.settings import BadSettings, Settings

# What the server of the application decides, or has no place in it.
NOT_OURS = {
    *("host", "http_port", "grpc_port", "workers", "max_chunk_size", "auth"),
    *("tls_cert", "tls_key", "tls_client_ca"),
}


def test_every_setting_is_an_option_or_the_servers_own() -> None:
    assert set(Options.__annotations__) == set(Settings.model_fields) - NOT_OURS


def test_options_are_written_as_in_the_environment_or_as_values() -> None:
    settings = settings_of(
        data_dir="here", max_file_size="2GiB", upload_ttl=timedelta(hours=1), allowed_types="image/*"
    )

    assert (settings.data_dir, settings.max_file_size) == (Path("here"), 2 * GIB)
    assert (settings.upload_ttl, settings.allowed_types) == (timedelta(hours=1), ("image/*",))
    assert settings_of(cors_origins=("https://a.test",)).cors_origins == ("https://a.test",)


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADSTREAM_MAX_FILE_SIZE", "1KiB")
    monkeypatch.setenv("UPLOADSTREAM_FSYNC", "sometimes")
    monkeypatch.setenv("UPLOADSTREAM", "nonsense")

    assert settings_of() == settings_of(max_file_size=512 * 1024 * 1024)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_file_size": "much"}, "max_file_size: "),
        ({"read_timeout": "soon"}, "read_timeout: 'soon' is not a duration"),
        ({"fsync": "sometimes"}, "fsync: Input should be 'never', 'complete' or 'chunk'"),
        ({"database": "mysql://secret"}, "database: mysql:// is not in this version yet"),
    ],
)
def test_a_bad_value_is_named_when_the_application_is_made(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSettings) as caught:
        UploadStream(**options)

    assert str(caught.value).startswith(words)
    assert "secret" not in str(caught.value)


def test_an_option_that_there_is_not_is_an_error_and_not_passed_over() -> None:
    bad: dict[str, Any] = {"max_filesize": 1}

    with pytest.raises(TypeError, match=r"^max_filesize is no setting here; there are data_dir, "):
        UploadStream(**bad)
