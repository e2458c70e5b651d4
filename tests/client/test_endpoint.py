"""Addresses of servers."""

import pytest

from uploadstream.client.endpoint import Endpoint


@pytest.mark.parametrize(
    ("text", "written", "target"),
    [
        ("grpc://127.0.0.1:50051", "grpc://127.0.0.1:50051", "127.0.0.1:50051"),
        ("grpc://files.example", "grpc://files.example:50051", "files.example:50051"),
        ("grpcs://files.example:443", "grpcs://files.example:443", "files.example:443"),
        ("http://localhost:8080/", "http://localhost:8080", "localhost:8080"),
        ("https://files.example/store/", "https://files.example:443/store", "files.example:443"),
        ("grpc://[::1]:50051", "grpc://[::1]:50051", "[::1]:50051"),
    ],
)
def test_an_address_is_taken_apart(text: str, written: str, target: str) -> None:
    endpoint = Endpoint.parse(text)

    assert (str(endpoint), endpoint.target) == (written, target)


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1:50051", "ftp://host", "grpc://", "grpc://host:port", "http://host:99999", "http://me@host"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write grpc://host:port or http://host:port"):
        Endpoint.parse(text)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("10.0.0.1", False), ("files.example", False)],
)
def test_an_address_knows_whether_it_is_this_machine(host: str, is_local: bool) -> None:
    assert Endpoint.parse(f"grpc://{host}:1").is_local is is_local
