"""Addresses of ours as clients are told them."""

import pytest

from uploadstream.http.addresses import address


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({}, "/files"),
        ({"root_path": ""}, "/files"),
        ({"root_path": "/"}, "/files"),
        ({"root_path": "/some/path/"}, "/some/path/files"),
        ({"root_path": "/a b?c#d\r\n"}, "/a%20b%3Fc%23d%0D%0A/files"),
    ],
)
def test_an_address_is_below_the_root_and_has_no_host(scope: dict[str, str], told: str) -> None:
    assert address(scope, "/files") == told
