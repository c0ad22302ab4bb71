import errno
import io
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError
from data import download as module
from data.download import NetworkError, Patience, download
from tests.data.server import Server

CONTENT = np.random.default_rng(1).integers(0, 256, 300_000, dtype=np.uint8).tobytes()


def get(server: Server, part: Path, patience: Patience, *steps: str | int, size: int | None = len(CONTENT)) -> bytes:
    address = server.add("/file.bin", CONTENT, *steps)
    assert download((address,), part, size, True, patience) == address
    return part.read_bytes()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.bin.part"


def test_plain(server, part, patience):
    assert get(server, part, patience) == CONTENT


def test_resumes_where_the_connection_broke(server, part, patience):
    assert get(server, part, patience, "drop", "drop") == CONTENT
    assert [(wanted, condition) for _, wanted, condition, _ in server.log] == [
        (None, None),
        ("bytes=150000-", '"v1"'),
        ("bytes=225000-", '"v1"'),
    ]


def test_a_file_that_changed_meanwhile_is_not_joined_to_its_old_half(server, part, patience):
    def change(seconds: float) -> None:
        server.files["/file.bin"], server.etag = CONTENT[::-1], '"v2"'

    patience.sleep = change
    assert get(server, part, patience, "drop") == CONTENT[::-1]


def test_last_modified_serves_where_the_tag_is_weak(server, part, patience):
    server.etag = 'W/"v1"'
    assert get(server, part, patience, "drop") == CONTENT
    assert server.log[1][1:3] == ("bytes=150000-", None)


def test_no_half_is_kept_that_nothing_could_check(server, part, patience):
    server.etag = None
    address = server.add("/file.bin", CONTENT, "drop")
    download((address,), part, None, False, patience)
    assert part.read_bytes() == CONTENT
    assert server.log[1][1] is None


@pytest.mark.parametrize("step", ["no_range", "bad_range", 416, 500, 503, 429, "stall"])
def test_a_bad_answer_to_the_resumption(server, part, patience, step):
    assert get(server, part, patience, "drop", step) == CONTENT


def test_redirect(server, part, patience):
    assert get(server, part, patience, "redirect") == CONTENT


def test_complete_partial_is_not_asked_for_again(server, part, patience):
    part.write_bytes(CONTENT)
    assert get(server, part, patience) == CONTENT
    assert server.log == []


def test_complete_partial_of_unknown_length(server, part, patience):
    part.write_bytes(CONTENT)
    assert get(server, part, patience, size=None) == CONTENT
    assert server.log[0][1] == f"bytes={len(CONTENT)}-"


def test_too_long_partial_starts_anew(server, part, patience):
    part.write_bytes(CONTENT + b"x")
    assert get(server, part, patience) == CONTENT


def test_another_file_at_a_second_address_leaves_what_has_arrived(server, part, patience):
    server.add("/file.bin", CONTENT, *["break_at_half"] * 20)
    addresses = (server.url("/file.bin"), server.add("/other.bin", b"log in first"))
    with pytest.raises(NetworkError, match="offers 12 bytes"):
        download(addresses, part, len(CONTENT), True, patience)
    assert part.stat().st_size == len(CONTENT) // 2


def test_many_breaks_are_no_failure_while_something_arrives(server, part, patience):
    assert get(server, part, patience, *["drop"] * 8) == CONTENT


def test_a_server_that_always_breaks_at_the_same_place_ends_it(server, part, patience):
    server.add("/file.bin", CONTENT, *["break_at_half"] * 20)
    with pytest.raises(NetworkError, match="3 attempts in a row brought nothing new"):
        download((server.url("/file.bin"),), part, len(CONTENT), True, patience)
    assert len(server.log) == 4  # one that brings the first half, three that bring nothing new


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("short", "offers 299990 bytes"),
        ("long", "offers 300010 bytes"),
        ("html", "web page"),
        (404, "404"),
        ("unsafe", "cannot be used"),
    ],
)
def test_an_address_that_is_wrong_is_asked_once(server, part, patience, step, message):
    address = server.add("/file.bin", CONTENT, step)
    with pytest.raises(NetworkError, match=message):
        download((address,), part, len(CONTENT), True, patience)
    assert len(server.log) == 1
    assert not part.exists()


def test_the_next_address_is_tried(server, part, patience):
    first, second = server.add("/gone", b"", 404), server.add("/file.bin", CONTENT)
    assert download((first, second), part, len(CONTENT), True, patience) == second
    assert part.read_bytes() == CONTENT


def test_a_half_from_one_address_is_finished_by_another_only_with_a_checksum(server, part, patience):
    first, second = server.add("/a", CONTENT, "drop", 404), server.add("/b", CONTENT)
    download((first, second), part, None, True, patience)
    assert part.read_bytes() == CONTENT
    assert server.log[-1][:3] == ("/b", "bytes=150000-", None)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "foo://127.0.0.1:9", "http://"])
def test_a_proxy_that_is_none_of_http_is_said_to_be(server, part, patience, monkeypatch, proxy):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(NetworkError, match=r"ALL_PROXY.* has to be http://HOST:PORT, SOCKS is not supported: name"):
        get(server, part, patience)
    assert server.log == []


def test_no_server(part, patience):
    with pytest.raises(NetworkError, match="no connection, 3 attempts"):
        download(("http://127.0.0.1:9/file",), part, None, True, patience)


def test_patience_doubles_up_to_its_bound_and_obeys_the_server():
    waits: list[float] = []
    patience = Patience(first_wait=1, longest_wait=10, sleep=waits.append)
    for failures in range(1, 8):
        patience.wait(failures)
    for wait, longest in zip(waits, [1, 2, 4, 8, 10, 10, 10], strict=True):
        assert longest / 2 <= wait <= longest
    patience.wait(1, at_least=7)
    assert waits[-1] == 7


def test_full_disk_keeps_what_arrived(server, part, patience, monkeypatch):
    class FullDisk(io.FileIO):
        def write(self, block):
            if self.tell() >= 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(block)

    monkeypatch.setattr(module, "open", lambda path, mode, buffering: FullDisk(path, "ab"), raising=False)
    with pytest.raises(DataError, match=r"disk is full: 1\d\d kB of file.bin are kept"):
        get(server, part, patience)
    assert 100_000 <= part.stat().st_size < len(CONTENT)
    monkeypatch.undo()
    assert get(server, part, patience) == CONTENT
    assert server.log[-1][1] is not None


def test_space_is_looked_at_once_the_server_says_how_long_it_is(server, part, patience, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(DataError, match=r"needs about 300 kB, the disk of .* has 1 kB free"):
        get(server, part, patience, size=None)
