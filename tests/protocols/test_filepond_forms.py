"""Forms are read as they arrive, within bounds."""

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.errors import BadBodyType, BadField, Refusal
from uploadstream.http.pour import ClientGone
from uploadstream.protocols.filepond.forms import (
    FIELD_BYTES_MAX,
    FIELDS_MAX,
    FORM_BYTES_MAX,
    PART_HEADER_SIZE_MAX,
    PART_HEADERS_MAX,
    FilePart,
    Form,
)

TYPE = "multipart/form-data; boundary=b"
END = b"--b--\r\n"


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def file_part(value: bytes, *, name: str = "a.txt", content_type: str = "text/plain") -> bytes:
    return part("filepond", value, f'; filename="{name}"\r\nContent-Type: {content_type}')


class Taken:
    """As much of an intake as a form knows; each piece makes it busy."""

    def __init__(self) -> None:
        self.content = b""

    def feed(self, data: bytes | memoryview) -> asyncio.Future[None] | None:
        async def take() -> None:
            self.content += data

        return asyncio.ensure_future(take())


def form_of(body: bytes, *, piece: int = 0, content_type: str = TYPE, is_cut: bool = False) -> Form:
    """A form that comes in pieces."""
    size = piece or max(1, len(body))
    pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    more = [True] * (len(pieces) - 1) + [is_cut]
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": data, "more_body": follows} for data, follows in zip(pieces, more, strict=True)
    ]
    coming = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> MutableMapping[str, Any]:
        return next(coming)

    return Form(content_type, receive)


async def read(form: Form) -> bytes:
    await form.read_head()
    taken = Taken()
    await form.pour(taken)  # type: ignore[arg-type]
    return taken.content


@pytest.mark.parametrize("piece", [0, 1, 2, 3, 7])
@pytest.mark.parametrize(
    "content", [b"", b"abc", b"\r\n--", b"\r\n--bx", b"\r\n--b-", b"--b--\r\n", b"\r\n\r\n--bb\r\n-"]
)
async def test_a_file_is_what_is_between_its_boundaries(content: bytes, piece: int) -> None:
    body = part("filepond", b"{}") + file_part(content) + part("after", b"x") + END + b"epilogue"
    form = form_of(body, piece=piece)

    assert await form.read_head() == FilePart("a.txt", "text/plain")
    assert form.fields[:1] == [("filepond", "{}")]
    assert await read(form) == content


@given(st.lists(st.sampled_from([b"\r", b"\n", b"-", b"b", b"\r\n-", b"\r\n--", b"x" * 50])), st.integers(1, 20))
async def test_any_content_and_any_pieces_are_the_same_file(parts: Sequence[bytes], piece: int) -> None:
    content = b"".join(parts)
    body = (b"--%b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n" + content + b"\r\n--%b--") % (
        (boundary := b"boundary"),
        boundary,
    )

    assert await read(form_of(body, piece=piece, content_type='multipart/form-data; boundary="boundary"')) == content


async def test_a_form_without_a_file_has_its_fields() -> None:
    form = form_of(part("a", "ä".encode()) + part("a", b"\xff") + END)

    assert await form.read_head() is None
    assert form.fields == [("a", "ä"), ("a", "�")]


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("Zürich 🎬.txt", "Zürich 🎬.txt"),
        ("a%22b%22.txt", 'a"b".txt'),
        ('a\\"b.txt', 'a"b.txt'),
        ("a%20b;c=d.txt", "a%20b;c=d.txt"),
        ("../../etc/passwd", "../../etc/passwd"),
    ],
)
async def test_names_are_read_as_browsers_and_curl_spell_them(spelled: str, name: str) -> None:
    form = form_of(file_part(b"x", name=spelled) + END)

    file = await form.read_head()

    assert file is not None
    assert file.filename == name


@pytest.mark.parametrize(
    "content_type",
    ["", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b", "text/plain"],
)
async def test_what_is_no_form_is_refused(content_type: str) -> None:
    with pytest.raises(BadBodyType):
        form_of(END, content_type=content_type)


async def test_a_boundary_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadBodyType, match="Boundary length 1000"):
        form_of(END, content_type=f"multipart/form-data; boundary={'b' * 1000}")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "ends before its last boundary"),
        (b"nothing", "is no multipart/form-data"),
        (part("a", b"b"), "ends before its last boundary"),
        (file_part(b"abc"), "ends before its last boundary"),
        (file_part(b"abc") + file_part(b"abc") + END, "must have one file, has more"),
        (file_part(b"", name="") + END, "none was chosen"),
        (b"--b\r\n\r\nx\r\n" + END, "has a part without a name"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, "has a part without a name"),
        (b'--b\r\nContent-Disposition: file; name="a"\r\n\r\nx\r\n' + END, "has a part without a name"),
        (b"--b\r\nBad Header: x\r\n\r\nx\r\n" + END, "is no multipart/form-data"),
        (b"--b\r\n" + b"A: b\r\n" * (PART_HEADERS_MAX + 1) + b"\r\nx\r\n" + END, "Maximum header count"),
        (b"--b\r\nA: " + b"b" * PART_HEADER_SIZE_MAX + b"\r\n\r\nx\r\n" + END, "Maximum header size"),
        (part("a", b"b") * (FIELDS_MAX + 1) + END, f"at most {FIELDS_MAX} fields"),
        (part("a", b"b" * (FIELD_BYTES_MAX + 1)) + END, f"at most {FIELD_BYTES_MAX} bytes"),
        (b"\r\n" * FORM_BYTES_MAX + file_part(b"") + END, f"at most {FORM_BYTES_MAX} bytes beside its file"),
        (file_part(b"") + END + b"e" * FORM_BYTES_MAX, f"at most {FORM_BYTES_MAX} bytes beside its file"),
    ],
)
@pytest.mark.parametrize("piece", [0, 1000])
async def test_a_form_that_is_broken_or_too_much_is_refused(body: bytes, why: str, piece: int) -> None:
    with pytest.raises(BadField, match=why):
        await read(form_of(body, piece=piece))


@pytest.mark.parametrize("body", [b"", part("a", b"b"), file_part(b"abc")])
async def test_a_client_that_goes_away_in_the_middle_is_noticed(body: bytes) -> None:
    with pytest.raises(ClientGone):
        await read(form_of(body, is_cut=True))


@given(st.binary(max_size=200), st.integers(1, 200))
async def test_no_garbage_does_more_than_be_refused(garbage: bytes, piece: int) -> None:
    for body in (garbage, b"--b\r\n" + garbage, file_part(garbage)[:-2] + garbage):
        try:
            await read(form_of(body, piece=piece))
        except Refusal:
            continue
