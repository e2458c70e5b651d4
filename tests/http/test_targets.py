"""The forms of a request's target."""

import pytest

from uploadstream.http.targets import origin_form


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", b"/"),
        (b"/a?b=c", b"/a?b=c"),
        (b"//there/a", b"//there/a"),
        (b"/a?http://there/", b"/a?http://there/"),
        (b"http://here/a?b", b"/a?b"),
        (b"HTTPS://Here/a", b"/a"),
        (b"http://here", b"/"),
        (b"http://here?b", b"/?b"),
    ],
)
def test_a_target_is_a_path_and_a_query(target: bytes, path: bytes) -> None:
    assert origin_form(target, b"here") == path


@pytest.mark.parametrize(
    "target",
    [
        *(b"", b"*", b"here:80", b"a", b"?a", b"/a#b", b"ftp://here/", b"http:/here/", b"http:///a", b"http://here/#a"),
        *(b"http://there/", b"http://here:81/", b"http://user@here/", b"http://here@there/", b"http://here\\@there/"),
    ],
)
def test_one_that_is_not_for_this_server_or_not_clearly_is_none(target: bytes) -> None:
    assert origin_form(target, b"here") is None


def test_the_server_itself_is_asked_for_what_it_can_do_and_nothing_else() -> None:
    assert origin_form(b"*", b"here", method=b"OPTIONS") == b"*"
    assert origin_form(b"*", b"here", method=b"GET") is None
    assert origin_form(b"**", b"here", method=b"OPTIONS") is None


def test_an_old_client_may_name_the_host_in_the_target_alone() -> None:
    assert origin_form(b"http://here/a", None) == b"/a"
