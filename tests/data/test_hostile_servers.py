"""Servers that never end, and headers that are no numbers: an error of the network, after a bounded time."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data.download import NetworkError, Patience, download

CONTENT = bytes(range(256)) * 400


class RudeServer:
    """Reads a request, then does with the connection what `answer` says; counts requests and bytes sent."""

    def __init__(self) -> None:
        self.answer: Callable[[RudeServer, socket.socket], None] = lambda server, connection: None
        self.requests: list[bytes] = []
        self.sent = 0
        self._closed = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/file.bin"

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent += len(data)

    def close(self) -> None:
        self._closed = True
        self._socket.close()

    def _serve(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(4096)
            self.requests.append(request)
            self.answer(self, connection)


@pytest.fixture
def rude() -> Iterator[RudeServer]:
    server = RudeServer()
    yield server
    server.close()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.bin.part"


PATIENCE: dict[str, Any] = {"attempts": 2, "read_timeout": 5, "window": 0.15, "sleep": lambda seconds: None}
CALM = PATIENCE | {"read_timeout": 60, "window": 60}  # where no answer is slow, unless the machine is
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"


def headers(*lines: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{''.join(f'{line}' + chr(13) + chr(10) for line in lines)}\r\n".encode("latin-1")


# Servers that never end


def drip(before: bytes, piece: bytes, pause: float = 0.02) -> Callable[[RudeServer, socket.socket], None]:
    """A piece every now and then, always in time for a time limit of the socket."""

    def answer(server: RudeServer, connection: socket.socket) -> None:
        server.send(connection, before)
        while True:
            server.send(connection, piece)
            time.sleep(pause)

    return answer


SLOW = {
    "a byte now and then": drip(HEAD + b"Content-Length: 102400\r\nETag: \"v1\"\r\n\r\n", b"x"),
    "a byte now and then, of an unknown number": drip(HEAD + b"\r\n", b"x"),
    "a header now and then": drip(HEAD, b"X-More: 1\r\n"),
    "a header that does not end": drip(HEAD + b"X-More: ", b"x"),
    "a first line that does not end": drip(b"HTTP/1.1 200 ", b"O"),
    "100 Continue for ever": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0),
    "a piece whose length does not end": drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "nothing at all": lambda server, connection: time.sleep(30),
}  # fmt: skip


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
def test_a_server_that_never_ends_is_left(rude, part, answer):
    rude.answer = answer
    before = time.monotonic()
    with pytest.raises(NetworkError, match=r"2 attempts in a row brought nothing new"):
        download((rude.address,), part, None, True, Patience(**PATIENCE))
    assert time.monotonic() - before < 25  # each of these answers lasts longer
    assert len(rude.requests) == 2


def test_what_is_slow_and_ends_is_waited_for(rude, part):
    """Above the least speed nothing is cut, however long it takes."""

    def answer(server: RudeServer, connection: socket.socket) -> None:
        server.send(connection, headers(f"Content-Length: {len(CONTENT)}"))
        for place in range(0, len(CONTENT), 8192):
            server.send(connection, CONTENT[place : place + 8192])
            time.sleep(0.1)

    rude.answer = answer
    download((rude.address,), part, len(CONTENT), True, Patience(**{**PATIENCE, "window": 1.0}))
    assert part.read_bytes() == CONTENT
    assert len(rude.requests) == 1


def test_a_byte_an_answer_is_no_progress(rude, part):
    """Each answer breaks after one more byte than the one before."""

    def answer(server: RudeServer, connection: socket.socket) -> None:
        have = len(server.requests) - 1
        server.send(
            connection,
            headers(f"Content-Range: bytes {have}-99999/100000", "Content-Length: 100000", status="206 Partial Content")
            if have
            else headers("Content-Length: 100000", 'ETag: "v1"'),
        )
        server.send(connection, b"x")

    rude.answer = answer
    with pytest.raises(NetworkError, match="brought nothing new"):
        download((rude.address,), part, None, True, Patience(**{**PATIENCE, "attempts": 4}))
    assert len(rude.requests) == 4


def test_an_answer_without_an_end_is_bounded(rude, part):
    """Where the registry knows no size and the server says none."""

    def answer(server: RudeServer, connection: socket.socket) -> None:
        server.send(connection, headers())
        while True:
            server.send(connection, bytes(1 << 16))

    rude.answer = answer
    with pytest.raises(NetworkError, match=r"more than 3 MB without saying how much there is.*--most_gb"):
        download((rude.address,), part, None, True, Patience(**CALM, most_unannounced=3_000_000))
    assert rude.sent < 30_000_000 and not part.exists()


def test_an_answer_of_unknown_length_that_ends_is_taken(rude, part):
    def answer(server: RudeServer, connection: socket.socket) -> None:
        server.send(connection, headers() + CONTENT)

    rude.answer = answer
    download((rude.address,), part, None, False, Patience(**CALM))
    assert part.read_bytes() == CONTENT


def test_an_empty_file_is_taken(rude, part):
    rude.answer = lambda server, connection: server.send(connection, headers("Content-Length: 0"))
    download((rude.address,), part, None, False, Patience(**CALM))
    assert part.read_bytes() == b""


def test_the_body_of_a_redirect_is_not_read(rude, part):
    """It has no end, and would be kept in memory."""

    def answer(server: RudeServer, connection: socket.socket) -> None:
        if len(server.requests) > 1:
            server.send(connection, headers(f"Content-Length: {len(CONTENT)}") + CONTENT)
            return
        server.send(connection, headers("Location: /elsewhere", status="302 Found"))
        while True:
            server.send(connection, bytes(1 << 16))

    rude.answer = answer
    download((rude.address,), part, None, False, Patience(**CALM))
    assert part.read_bytes() == CONTENT
    assert rude.sent < 30_000_000


# Headers that are no numbers, and redirects to no address


def wire(text: str) -> bytes:
    """As headers are read: by the byte, where the text has only such characters."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


NUMBERS = ["²", "9" * 5000, "-1", "1e3", "", "٣", " ", "0x10"]


@pytest.mark.parametrize("number", NUMBERS)
def test_lengths_that_are_no_numbers(rude, part, number):
    """The length is unknown then; the whole answer is taken, or it is an error of the network."""
    given = wire(f"Content-Length: {number}\r\n") + b"\r\n" + CONTENT
    rude.answer = lambda server, connection: server.send(connection, HEAD + given)
    try:
        download((rude.address,), part, None, False, Patience(**CALM))
    except NetworkError:
        return
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("number", NUMBERS)
def test_waits_that_are_no_numbers(rude, part, number):
    waits: list[float] = []
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n" + wire(f"Retry-After: {number}\r\n\r\n")
    rude.answer = lambda server, connection: server.send(connection, head)
    patience = Patience(**{**CALM, "sleep": waits.append})
    with pytest.raises(NetworkError, match="answered 503"):
        download((rude.address,), part, None, False, patience)
    assert all(wait <= patience.longest_wait for wait in waits)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("first", ["0", "5"])
def test_ranges_that_are_no_numbers(rude, part, first, number):
    part.write_bytes(CONTENT[:100])
    lines = wire(f"Content-Range: bytes {first}-{number}/{number}\r\nContent-Length: 5\r\n\r\n")
    rude.answer = lambda server, connection: server.send(connection, b"HTTP/1.1 206 Partial\r\n" + lines + b"12345")
    with pytest.raises(NetworkError):
        download((rude.address,), part, None, True, Patience(**CALM))


@pytest.mark.parametrize(
    "location",
    [b"http://[::1", b"\xff\xfe", b"http://\xff\xfe/", b"http://x:99999999/", b"http://" + b"a" * 300 + b"/", b"//",
     b"http://a\x00b/", b"http://user:@:@/", b"javascript:x"],
)  # fmt: skip
def test_redirects_to_no_address(rude, part, location):
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    rude.answer = lambda server, connection: server.send(connection, head)
    with pytest.raises(NetworkError) as caught:
        download((rude.address,), part, None, False, Patience(**CALM))
    assert rude.address in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize("line", [b"", b"\xff\xfe", b"HTTP/9.9 200 OK", b"HTTP/1.1 abc OK", b"HTTP/1.1 99999 x",
                                  b"HTTP/1.1 404 \x1b[2Jhacked\xff"])  # fmt: skip
def test_first_lines_of_other_kinds(rude, part, line):
    rude.answer = lambda server, connection: server.send(connection, line + b"\r\n\r\n" + CONTENT)
    with pytest.raises(NetworkError) as caught:
        download((rude.address,), part, len(CONTENT) + 1, False, Patience(**CALM))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("note", ["[]", "7", "{", '{"address": 7}', '{"address": "ADDRESS", "validator": [1]}', "\xff"])
def test_a_damaged_note_of_a_partial_download(rude, part, note):
    """Then nothing tells which version the bytes are of, and they are fetched anew."""

    def answer(server: RudeServer, connection: socket.socket) -> None:
        server.send(connection, headers(f"Content-Length: {len(CONTENT)}") + CONTENT)

    rude.answer = answer
    part.write_bytes(b"?" * 100)
    part.with_name(part.name + ".json").write_text(note.replace("ADDRESS", rude.address), encoding="latin-1")
    download((rude.address,), part, len(CONTENT), False, Patience(**CALM))
    assert part.read_bytes() == CONTENT
