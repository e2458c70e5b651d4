"""A cookie counts only where the browser says that a page of ours asks: nobody else's page can use it."""

from datetime import UTC, datetime
from http.cookies import SimpleCookie

import pytest
from starlette.requests import Request
from starlette.responses import Response

from uploadstream.http.browsers import NAME, SECURE_NAME, cookie_of, is_from_our_page, set_cookie

LATER = datetime(2030, 1, 1, 12, tzinfo=UTC)


def request(method: str = "GET", scheme: str = "http", host: str = "files.example:8080", **fields: str) -> Request:
    headers = {"host": host, **{name.replace("_", "-"): value for name, value in fields.items()}}
    found = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {"type": "http", "method": method, "scheme": scheme, "path": "/", "query_string": b"", "headers": found}
    )


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
def test_a_page_of_ours_may_do_anything(method: str) -> None:
    assert is_from_our_page(request(method, sec_fetch_site="same-origin", origin="http://files.example:8080"))
    assert is_from_our_page(request(method, origin="http://files.example:8080"))  # over plain HTTP
    assert is_from_our_page(request(method, "https", "files.example", origin="https://files.example"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Same-Origin", "same-origin, same-origin"])
def test_a_page_of_another_origin_may_do_nothing_whatever_else_it_says(method: str, site: str) -> None:
    assert not is_from_our_page(request(method, sec_fetch_site=site))
    assert not is_from_our_page(request(method, sec_fetch_site=site, origin="http://files.example:8080"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "http://evil.example", "http://files.example", "http://files.example:80801", "file://"),
        *("https://files.example:8080", "http://files.example:8080.evil.example", "http://evil.files.example:8080"),
        *("http://files.example:8080/", "HTTP://FILES.EXAMPLE:8080", "http://user@files.example:8080"),
    ],
)
def test_nor_may_one_that_only_names_another_origin(method: str, origin: str) -> None:
    assert not is_from_our_page(request(method, origin=origin))


@pytest.mark.parametrize(("method", "counts"), [("GET", True), ("HEAD", True), ("POST", False), ("DELETE", False)])
def test_who_says_nothing_of_its_origin_or_was_sent_by_its_user_may_read(method: str, counts: bool) -> None:
    assert is_from_our_page(request(method)) is counts
    assert is_from_our_page(request(method, sec_fetch_site="none")) is counts


@pytest.mark.parametrize(
    ("fields", "cookie"),
    [
        ({"cookie": f"{NAME}=abc"}, "abc"),
        ({"cookie": f"other=1; {SECURE_NAME}=def; {NAME}=abc"}, "def"),
        ({"cookie": "other=1"}, ""),
        ({"cookie": "garbage;;=;"}, ""),
        ({}, ""),
        ({"cookie": f"{NAME}=abc", "sec_fetch_site": "same-site"}, ""),
        ({"cookie": f"{NAME}=abc", "origin": "http://evil.example"}, ""),
    ],
)
def test_a_cookie_is_read_where_it_counts(fields: dict[str, str], cookie: str) -> None:
    assert cookie_of(request(**fields)) == cookie


@pytest.mark.parametrize(
    ("asked", "name", "secure"),
    [
        (request("POST", origin="http://files.example:8080"), NAME, False),
        (request("POST", origin="https://files.example"), SECURE_NAME, True),  # a proxy has the certificate
        (request("POST", "https"), SECURE_NAME, True),
    ],
)
def test_a_cookie_is_for_this_host_alone_and_for_no_script(asked: Request, name: str, secure: bool) -> None:
    response = Response()
    set_cookie(response, "a.b-c_d", request=asked, until=LATER)

    (cookie,) = SimpleCookie(response.headers["set-cookie"]).values()
    assert (cookie.key, cookie.value) == (name, "a.b-c_d")
    assert (cookie["path"], cookie["domain"], cookie["samesite"]) == ("/", "", "strict")
    assert (bool(cookie["httponly"]), bool(cookie["secure"])) == (True, secure)
    assert cookie["expires"] == "Tue, 01 Jan 2030 12:00:00 GMT"


def test_a_cookie_is_taken_back() -> None:
    response = Response()
    set_cookie(response, "", request=request("DELETE"), until=None)

    (cookie,) = SimpleCookie(response.headers["set-cookie"]).values()
    assert (cookie.key, cookie.value, cookie["expires"]) == (NAME, "", "Thu, 01 Jan 1970 00:00:00 GMT")
