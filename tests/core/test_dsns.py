"""DSNs of PostgreSQL: what is taken, what is refused, and what of them is ever shown."""

from urllib.parse import unquote

import pytest

from uploadstream.core.dsns import CONNECT_SECONDS_MAX, BadDsn, Dsn


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgres://", "postgresql://localhost/"),
        ("postgresql:///files", "postgresql://localhost/files"),
        ("postgresql://db", "postgresql://db/"),
        ("postgresql://ann@db", "postgresql://ann@db/ann"),
        ("postgresql://ann:secret@db:5433/files", "postgresql://ann@db:5433/files"),
        ("postgresql://ann:s%40%3A%2Fecret@db/files", "postgresql://ann@db/files"),
        ("postgresql://db/files?user=ann&password=secret", "postgresql://ann@db/files"),
        ("postgresql:///?host=/run/postgresql&dbname=files&password=secret", "postgresql:///run/postgresql/files"),
        ("postgresql://ann:secret@one:1,[::1]:2,three/files", "postgresql://ann@one:1,[::1]:2,three/files"),
        ("postgresql://ann:secret@db/files?sslmode=verify-full&sslrootcert=/ca.pem", "postgresql://ann@db/files"),
    ],
)
def test_a_dsn_is_shown_without_its_password(text: str, shown: str) -> None:
    dsn = Dsn(text)

    assert dsn.shown == shown
    assert "secret" not in repr(dsn)
    assert unquote(dsn.secret) == unquote(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mysql://ann:secret@db/files", "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("secret", "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgres://ann:sec/ret@db/files", "in a user or a password, write @"),
        ("postgres://ann:sec@ret@db/files", "in a user or a password, write @"),
        ("postgres://ann:sec#ret@db/files", "in a user or a password, write @"),
        ("postgres://ann:secret/files", "in a user or a password, write @"),
        ("postgres://ann:sec?ret@db/files", "in a user or a password, write @"),
        ("postgres://db/files?secret", "what is behind the question mark is no list of NAME=VALUE"),
        ("postgres://db/files?channel_binding=secret", "channel_binding is no parameter of a connection"),
        ("postgres://db/files?connect_timeout=secret", "connect_timeout must be a number of seconds"),
    ],
)
def test_what_cannot_be_connected_with_is_refused_without_showing_it(text: str, says: str) -> None:
    with pytest.raises(BadDsn) as refused:
        Dsn(text)

    assert str(refused.value).startswith(says)
    assert "secret" not in str(refused.value)
    assert "sec" not in str(refused.value).replace("seconds", "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", CONNECT_SECONDS_MAX), ("0", CONNECT_SECONDS_MAX), ("1", 1.0), ("60", CONNECT_SECONDS_MAX)],
)
def test_nobody_waits_longer_for_a_connection_than_for_an_answer(text: str, seconds: float) -> None:
    dsn = Dsn(f"postgres://db/files?connect_timeout={text}&application_name=a")

    assert dsn.connect_seconds == seconds
    assert dsn.secret == "postgres://db/files?application_name=a"
