"""Every setting has its variable, and a bad one is named with what to do."""

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.allowances import Allowance
from uploadstream.core.ratelimit import Rate
from uploadstream.core.session import Limits
from uploadstream.core.sizes import GIB, KIB, MIB
from uploadstream.ports import Fsync
from uploadstream.settings import Auth, BadSettings, Settings, is_loopback, load, spelled

DEFAULTS = {
    "host": "127.0.0.1",
    "http_port": 8080,
    "grpc_port": 50051,
    "max_file_size": 512 * MIB,
    "max_chunk_size": 4 * MIB,
    "read_timeout": timedelta(seconds=60),
    "drain_timeout": timedelta(seconds=25),
    "upload_ttl": timedelta(hours=24),
    "trash_ttl": timedelta(days=30),
    "audit_downloads": False,
    "allowed_types": ("*/*",),
    "cors_origins": ("*",),
    "fsync": Fsync.COMPLETE,
    "workers": 1,
}


@pytest.fixture(autouse=True)
def a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("UPLOADSTREAM")]:
        monkeypatch.delenv(name)


def refusal(**options: object) -> str:
    with pytest.raises(BadSettings) as caught:
        load(**options)
    return str(caught.value)


def test_without_any_setting_the_service_runs_on_embedded_parts() -> None:
    settings = load()

    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.catalog_path == settings.data_dir / "catalog.sqlite"
    assert settings.blobs_path == settings.data_dir / "blobs"
    assert settings.tls is None
    assert settings.limits == Limits()
    assert settings.allowance == Allowance()


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("UPLOADSTREAM_HOST", "::1", "host", "::1"),
        ("UPLOADSTREAM_HTTP_PORT", "0", "http_port", 0),
        ("UPLOADSTREAM_GRPC_PORT", "65535", "grpc_port", 65535),
        ("UPLOADSTREAM_DATA_DIR", "/srv/files", "data_dir", Path("/srv/files")),
        ("UPLOADSTREAM_WORKERS", "4", "workers", 4),
        ("UPLOADSTREAM_MAX_FILE_SIZE", "2GiB", "max_file_size", 2 * GIB),
        ("UPLOADSTREAM_MAX_CHUNK_SIZE", "64 KiB", "max_chunk_size", 64 * KIB),
        ("UPLOADSTREAM_MAX_FILE_SIZE", "4096", "max_file_size", 4096),
        ("UPLOADSTREAM_READ_TIMEOUT", "90", "read_timeout", timedelta(seconds=90)),
        ("UPLOADSTREAM_READ_TIMEOUT", "500ms", "read_timeout", timedelta(milliseconds=500)),
        ("UPLOADSTREAM_DRAIN_TIMEOUT", "1.5m", "drain_timeout", timedelta(seconds=90)),
        ("UPLOADSTREAM_DRAIN_TIMEOUT", "0", "drain_timeout", timedelta()),
        ("UPLOADSTREAM_UPLOAD_TTL", " 2 h ", "upload_ttl", timedelta(hours=2)),
        ("UPLOADSTREAM_TRASH_TTL", "7d", "trash_ttl", timedelta(days=7)),
        ("UPLOADSTREAM_ALLOWED_TYPES", "image/*, video/mp4,", "allowed_types", ("image/*", "video/mp4")),
        ("UPLOADSTREAM_CORS_ORIGINS", "", "cors_origins", ()),
        ("UPLOADSTREAM_CORS_ORIGINS", "http://[::1]:80, null", "cors_origins", ("http://[::1]", "null")),
        ("UPLOADSTREAM_CORS_ORIGINS", "HTTPS://App.Example.com:443/,", "cors_origins", ("https://app.example.com",)),
        ("UPLOADSTREAM_CORS_ORIGINS", "https://a.b:4430", "cors_origins", ("https://a.b:4430",)),
        ("UPLOADSTREAM_FETCH_HOSTS", "off", "fetch_hosts", ()),
        ("UPLOADSTREAM_FETCH_HOSTS", "*", "fetch_hosts", ("*",)),
        ("UPLOADSTREAM_FETCH_HOSTS", "A.Example., *.b.c,", "fetch_hosts", ("a.example", "*.b.c")),
        ("UPLOADSTREAM_FETCH_HOSTS", "bücher.example,[2606::1]", "fetch_hosts", ("xn--bcher-kva.example", "2606::1")),
        ("UPLOADSTREAM_FSYNC", "chunk", "fsync", Fsync.CHUNK),
        ("UPLOADSTREAM_RATE_UPLOADS", "60/min burst 20", "rate_uploads", Rate(60, 60, 20)),
        ("UPLOADSTREAM_RATE_UPLOADS", "off", "rate_uploads", None),
        ("UPLOADSTREAM_RATE_BYTES", "50MB/s", "rate_bytes", Rate(50_000_000, 1, 50_000_000)),
        ("UPLOADSTREAM_MAX_ACTIVE_UPLOADS", "10", "max_active_uploads", 10),
        ("UPLOADSTREAM_MAX_ACTIVE_UPLOADS", "OFF", "max_active_uploads", None),
        ("UPLOADSTREAM_QUOTA_BYTES", "10GiB", "quota_bytes", 10 * GIB),
        ("UPLOADSTREAM_QUOTA_BYTES", "", "quota_bytes", None),
        ("UPLOADSTREAM_AUTH", "open", "auth", Auth.OPEN),
        ("UPLOADSTREAM", "sqlite:////var/lib/x.db", "catalog_path", Path("/var/lib/x.db")),
        ("UPLOADSTREAM", "sqlite:///x.db", "catalog_path", Path("x.db")),
        ("UPLOADSTREAM_STORAGE", "file:////srv/blobs", "blobs_path", Path("/srv/blobs")),
    ],
)
def test_a_variable_sets_its_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)

    assert getattr(load(), field) == value


def test_an_option_wins_over_a_variable_and_an_option_not_given_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADSTREAM_HTTP_PORT", "1")
    monkeypatch.setenv("UPLOADSTREAM_GRPC_PORT", "2")
    monkeypatch.setenv("UPLOADSTREAM", "sqlite:///a.db")

    settings = load(http_port=3, grpc_port=None, database="sqlite:///b.db")

    assert (settings.http_port, settings.grpc_port, settings.catalog_path) == (3, 2, Path("b.db"))


@pytest.mark.parametrize("name", ["DATABASE", "database", "HOST", "WORKERS", "STORAGE"])
def test_a_variable_of_another_program_is_not_ours(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "postgres://someone/elses")

    assert load() == load(host="127.0.0.1")
    assert load().database == ""


@pytest.mark.parametrize("variable", ["SERVER", "USER", "API_KEY", "STATE_DIR"])
def test_a_variable_of_the_client_is_passed_over(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(f"UPLOADSTREAM_{variable}", "for the client")

    load()


@pytest.mark.parametrize(
    ("variable", "instead"),
    [
        ("UPLOADSTREAM_MAX_FILESIZE", "write UPLOADSTREAM_MAX_FILE_SIZE"),
        ("UPLOADSTREAM_DATABASE", "write UPLOADSTREAM"),
        ("uploadstream_hosst", "write UPLOADSTREAM_HOST"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_the_nearest_that_is_one(
    monkeypatch: pytest.MonkeyPatch, variable: str, instead: str
) -> None:
    monkeypatch.setenv(variable, "sqlite:///x.db")

    assert refusal() == f"{variable} is no setting; {instead}"


@pytest.mark.parametrize("name", ["ZZZ", "LOG_LEVEL", "TMP_DIR"])
def test_a_variable_that_is_near_to_no_setting_is_somebody_elses(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"UPLOADSTREAM_{name}", "1")

    load()


@pytest.mark.parametrize("name", ["QUEUE"])
def test_a_setting_of_a_later_version_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"UPLOADSTREAM_{name}", "17")

    assert refusal() == f"UPLOADSTREAM_{name} is not in this version yet, and would be without effect; unset it"


@pytest.mark.parametrize(("name", "text"), [("RATE_BYTES", "off"), ("QUEUE", "")])
def test_a_setting_of_a_later_version_may_ask_for_what_is_done_anyway(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"UPLOADSTREAM_{name}", text)

    load()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("UPLOADSTREAM_SERVICE_HOST", "10.0.0.1"),
        ("UPLOADSTREAM_SERVICE_PORT_HTTP", "8080"),
        ("UPLOADSTREAM_WEB_SERVICE_PORT", "8080"),
        ("UPLOADSTREAM_PORT", "tcp://10.0.0.1:8080"),
        ("UPLOADSTREAM_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("UPLOADSTREAM_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_what_kubernetes_says_of_a_service_called_uploadstream_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)

    load()


def test_what_is_wrong_is_named_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADSTREAM_GRPC_PORT", "8080")

    assert refusal(http_port="99999") == "--http-port: must be less than or equal to 65535, not '99999'"
    assert refusal(http_port="8080") == "--http-port and UPLOADSTREAM_GRPC_PORT are both 8080; give each its own"
    assert refusal() == "UPLOADSTREAM_HTTP_PORT and UPLOADSTREAM_GRPC_PORT are both 8080; give each its own"
    monkeypatch.setenv("UPLOADSTREAM_WORKERS", "none")
    assert refusal(host="::1") == "UPLOADSTREAM_WORKERS: must be a whole number, not 'none'"
    assert refusal(database="x", workers=1) == "--database: this names no file; write sqlite:///PATH"


@pytest.mark.parametrize("text", ["*/*", "image/*", "image/png,video/mp4", "text/plain; charset=utf-8", "a/b+c"])
def test_a_pattern_of_types_is_taken(text: str) -> None:
    assert load(allowed_types=text).allowed_types


@pytest.mark.parametrize("text", ["jpg", "*", "*.png", "image/", "/png", "*/png", "im*/png", "image/p*", "image/a b"])
def test_a_pattern_that_no_type_could_match_is_refused(text: str) -> None:
    says = f"--allowed-types: {text!r} is no pattern of types; write */*, or such as image/* or image/png"

    assert refusal(allowed_types=f"image/*,{text}") == says


@pytest.mark.parametrize("text", ["", " , "])
def test_a_service_that_takes_no_type_at_all_is_not_meant(text: str) -> None:
    assert refusal(allowed_types=text).startswith("--allowed-types: no type is let in; write */* for all")


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("HTTP_PORT", "65536", "65535"),
        ("HTTP_PORT", "http", "must be a whole number, not 'http'"),
        ("PROCESSING", "maybe", "must be true or false, not 'maybe'"),
        ("WORKERS", "0", "greater than 0"),
        ("MAX_FILE_SIZE", "0", "greater than 0"),
        ("MAX_FILE_SIZE", "lots", "'lots' is not a size; write a number and one of B, KB, MB"),
        ("RATE_UPLOADS", "often", "'often' is no rate; write such as 60/min burst 20 (or /s, /h, /day), or off"),
        ("RATE_BYTES", "17", "'17' is no rate of bytes; write such as 50MB/s, or off"),
        ("MAX_ACTIVE_UPLOADS", "0", "'0' is not a number above 0; write such as 10, or off"),
        ("QUOTA_BYTES", "0", "must be more than 0; off sets no limit"),
        ("READ_TIMEOUT", "soon", "'soon' is not a duration; write a number and one of ms, s, m, min, h, d"),
        ("READ_TIMEOUT", "-1s", "is not a duration"),
        ("READ_TIMEOUT", "0", "must be more than 0"),
        ("UPLOAD_TTL", "0s", "must be more than 0"),
        ("UPLOAD_TTL", "999999999999d", "too long"),
        ("TRASH_TTL", "9" * 400, "too long"),
        ("FSYNC", "sometimes", "never"),
        ("AUTH", "maybe", "open"),
        ("ALLOWED_TYPES", "png", "'png' is no pattern of types"),
        ("CORS_ORIGINS", "example.com", "'example.com' is no origin; write *, or such as https://app.example.com"),
        ("CORS_ORIGINS", "https://a.b/c", "'https://a.b/c' is no origin"),
        ("CORS_ORIGINS", "https://*.b", "'https://*.b' is no origin"),
        ("FETCH_HOSTS", "https://a.b", "'https://a.b' is no host; write *, or such as example.com,*.example.org"),
        ("FETCH_HOSTS", "a.*", "'a.*' is no host"),
        ("FETCH_HOSTS", "ü..a", "'ü..a' is no host"),
        ("STORAGE", "s3://bucket", "s3:// is not in this version yet; write file:///PATH"),
        ("STORAGE", "/srv/blobs", "this names no file; write file:///PATH"),
    ],
)
def test_a_bad_setting_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, says: str
) -> None:
    monkeypatch.setenv(f"UPLOADSTREAM_{variable}", text)

    line = refusal()

    assert says in line
    assert line.startswith(f"UPLOADSTREAM_{variable}: ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("mysql://me:secret@db/files", "mysql:// is not in this version yet; write sqlite:///PATH"),
        ("postgres://me:secret@db/files?nonsense=secret", "nonsense is no parameter of a connection"),
        ("postgresql://me:secret/2@db/files", "in a user or a password, write @ : / ? # and % as"),
    ],
)
def test_a_database_that_cannot_be_connected_to_is_refused_without_saying_its_password(
    monkeypatch: pytest.MonkeyPatch, dsn: str, says: str
) -> None:
    monkeypatch.setenv("UPLOADSTREAM", dsn)

    line = refusal()

    assert line.startswith(f"UPLOADSTREAM: {says}")
    assert "secret" not in line


@pytest.mark.parametrize("dsn", ["postgres://me:secret@db/files", "postgresql://me:secret@db/files?sslmode=require"])
def test_a_catalog_in_postgresql_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    monkeypatch.setenv("UPLOADSTREAM", dsn)

    settings = load()

    assert settings.catalog_name == "postgresql://me@db/files"
    assert "secret" not in repr(settings)


def test_workers_share_the_connections_to_postgresql() -> None:
    assert load().connections == 20
    assert load(workers=4).connections == 5
    assert load(workers=16, pool_size=8).connections == 3


@pytest.mark.parametrize("dsn", ["sqlite://x.db", "sqlite:///", "sqlite:x.db", "x.db"])
def test_a_database_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    monkeypatch.setenv("UPLOADSTREAM", dsn)

    assert refusal() == "UPLOADSTREAM: this names no file; write sqlite:///PATH"


def test_every_bad_setting_has_its_line() -> None:
    assert len(refusal(http_port=-1, workers=0).splitlines()) == 2


@pytest.mark.parametrize(
    ("host", "inside"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
)
def test_loopback_is_open_without_asking(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside
    assert load(host=host).auth is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "files.example.org", ""])
def test_beyond_loopback_open_must_be_asked_for_by_name(host: str) -> None:
    assert f"""--host {host or "''"} can be reached from outside, and --auth is not set""" in refusal(host=host)
    assert "--auth required (UPLOADSTREAM_AUTH)" in refusal(host=host)
    assert load(host=host, auth="required").auth is Auth.REQUIRED
    assert load(host=host, auth="open").auth is Auth.OPEN


def test_a_certificate_and_its_key_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    says = "--tls-key is not set; name the key that goes with --tls-cert"
    assert refusal(tls_cert="file.pem") == says
    assert refusal(tls_key="k") == "--tls-cert is not set; name the certificate that goes with --tls-key"
    monkeypatch.setenv("UPLOADSTREAM_TLS_CERT", "file.pem")
    assert refusal() == says.replace("--", "UPLOADSTREAM_").replace("tls-key", "TLS_KEY").replace(
        "tls-cert", "TLS_CERT"
    )
    monkeypatch.delenv("UPLOADSTREAM_TLS_CERT")
    assert load(tls_cert="a.pem", tls_key="b.pem").tls == (Path("a.pem"), Path("b.pem"), None)
    with_ca = load(tls_cert="a.pem", tls_key="b.pem", tls_client_ca="c.pem")
    assert with_ca.tls == (Path("a.pem"), Path("b.pem"), Path("c.pem"))


def test_the_limits_are_what_the_engine_needs() -> None:
    settings = load(max_file_size="1KiB", max_chunk_size="1B", allowed_types="a/b", upload_ttl="1h")

    assert settings.limits == Limits(KIB, 1, ("a/b",), timedelta(hours=1))


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_is_spelled_as_its_variable_would_be(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"UPLOADSTREAM_{name.upper()}", spelled(DEFAULTS[name]))

    assert getattr(load(), name) == DEFAULTS[name]


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@given(st.sampled_from(sorted(Settings.model_fields)), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_is_a_setting_or_is_refused_in_words(name: str, text: str) -> None:
    with suppress(BadSettings):
        load(**{name: text})


def test_two_servers_cannot_have_one_port() -> None:
    with pytest.raises(BadSettings, match="give each its own"):
        load(http_port=8080, grpc_port=8080)

    assert load(http_port=0, grpc_port=0).grpc_port == 0


# Tokens


PUBLIC = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----"
SECRET = "a secret of at least thirty-two bytes"


def key(monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    monkeypatch.setenv("UPLOADSTREAM_JWT_KEY", text)
    found = load()
    assert SECRET not in repr(found)
    return found.jwt_key.get_secret_value() if found.jwt_key else ""


def test_a_key_of_tokens_is_a_secret_or_a_public_key_or_a_file_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    for content in (SECRET, PUBLIC):
        file.write_text(f"{content}\n")
        assert key(monkeypatch, content) == key(monkeypatch, str(file)) == content
    assert key(monkeypatch, PUBLIC.replace("\n", "\\n")) == PUBLIC  # as it is written on one line
    assert key(monkeypatch, "") == ""
    assert not load().takes_jwt


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hunter2", "is a secret of 7 bytes, which can be guessed; take 32 at least: openssl rand -base64 32"),
        (
            "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n",
            "is a private key, which its issuer should keep; name the public one",
        ),
        (
            "/etc/uploadstream/no/such/public-key",
            "names no file; a secret that looks like the name of one has to be in",
        ),
        ("secrets-of-the-service/jwt-public-key.pem", "names no file"),
        ("~/keys/of-all-kinds-of-things/jwt-public", "names no file"),
        ("x" * 100_000 + "/" * 9 + ".pem", "names no file"),
    ],
)
def test_what_is_no_key_of_tokens_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    monkeypatch.setenv("UPLOADSTREAM_JWT_KEY", text)

    said = refusal()

    assert said.startswith(f"UPLOADSTREAM_JWT_KEY: {says}")
    assert text not in said


def test_a_file_that_holds_no_key_of_tokens_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content, says in ((b"short\n", "is a secret of 5 bytes"), (b"\xff" * 40, f"{file} is not text")):
        file.write_bytes(content)
        monkeypatch.setenv("UPLOADSTREAM_JWT_KEY", str(file))
        assert says in refusal()


@pytest.mark.parametrize("text", ["https://id.example/keys", "http://127.0.0.1:8080/keys", __file__])
def test_a_key_set_is_a_url_or_a_file(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("UPLOADSTREAM_JWT_JWKS", text)

    assert load().jwt_jwks == text
    assert load().takes_jwt


@pytest.mark.parametrize("text", ["no/such/file.json", "ftp://id.example/keys", "https://", "file:///etc/keys", "a\0b"])
def test_what_is_no_key_set_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert refusal(jwt_jwks=text).startswith("--jwt-jwks: ")


def test_settings_of_tokens_that_do_not_go_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = refusal(jwt_key=SECRET, jwt_jwks="https://id.example/keys")
    assert both.startswith("--jwt-key and --jwt-jwks are both set")
    for name in ("jwt_issuer", "jwt_audience"):
        assert "without a key no token can be checked" in refusal(**{name: "x"})
    assert refusal(tls_client_ca=Path("ca.pem")).startswith("--tls-cert is not set; clients show certificates")
