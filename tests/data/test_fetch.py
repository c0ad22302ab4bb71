import errno
import json
import shutil
import subprocess
from typing import Any

import pytest

from common.errors import DataError
from data.checksums import Digests, Published
from data.fetch import fetch
from data.store import Store
from tests.data.helpers import members_of, one_entry, published, tar_bytes
from tests.data.toy import FILES, contents, statuses, tar_entry


def test_fetched_verified_recorded(server, tmp_path, place, patience, capsys):
    entry = tar_entry(server, tmp_path)
    fetch(entry, place, patience)
    assert contents(place / "toy") == {**FILES, "readme.html": b"hello"}
    assert "verified against the published checksum" in capsys.readouterr().out
    record = json.loads((place / "toy.record.json").read_text())["archives"]["box.tar.gz"]
    assert (
        record["checked"] == "published checksum"
        and record["files"] == 3
        and record["origin"] == server.url("/box.tar.gz")
    )
    assert statuses(entry, place) == dict.fromkeys([*FILES, "readme.html"], "ok")
    assert contents(place / ".work") == {"toy.lock": b""}


def test_hashes_are_readable_by_sha256sum(server, tmp_path, place, patience):
    fetch(tar_entry(server, tmp_path), place, patience)
    assert subprocess.run(["sha256sum", "--quiet", "-c", "toy.sha256"], cwd=place, check=False).returncode == 0


def test_second_fetch_does_nothing(server, tmp_path, place, patience, capsys):
    entry = tar_entry(server, tmp_path)
    fetch(entry, place, patience)
    fetch(entry, place, patience)
    assert len(server.log) == 1
    assert "exists and is verified: nothing to do" in capsys.readouterr().out


def test_damage_after_the_fetch_is_noticed(server, tmp_path, place, patience):
    entry = tar_entry(server, tmp_path)
    fetch(entry, place, patience)
    (place / "toy" / "batches.meta").write_bytes(b"mete")
    (place / "toy" / "readme.html").unlink()
    (place / "toy" / "extra").write_bytes(b"")
    assert statuses(entry, place) == {
        "data_batch_1": "ok",
        "batches.meta": "differs",
        "readme.html": "missing",
        "extra": "unexpected",
    }
    with pytest.raises(DataError, match=r"exists but is not the verified toy: .*batches.meta differs"):
        fetch(entry, place, patience)


def test_a_damaged_download_is_thrown_away_once(server, tmp_path, place, patience, capsys):
    fetch(tar_entry(server, tmp_path, "flip"), place, patience)
    assert "is damaged" in capsys.readouterr().out
    assert len(server.log) == 2 and server.log[1][1] is None
    assert (place / "toy" / "batches.meta").is_file()


def test_a_file_that_stays_wrong_never_gets_into_place(server, tmp_path, place, patience):
    entry = tar_entry(server, tmp_path, "flip", "flip")
    with pytest.raises(DataError, match=r"is not the published file .* twice in a row"):
        fetch(entry, place, patience)
    assert contents(place) == {".work/toy.lock": b""}


def test_a_damaged_partial_is_thrown_away(server, tmp_path, place, patience):
    entry = tar_entry(server, tmp_path)
    part = Store(place).partial(entry, entry.archives[0])
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * 50)
    fetch(entry, place, patience)
    assert [wanted for _, wanted, _, _ in server.log] == ["bytes=50-", None]
    assert (place / "toy" / "batches.meta").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": members_of({**FILES, "batches.meta": b"other"})}, "batches.meta in the archive differs"),
        ({"members": members_of({**FILES, "absent": b""})}, "the archive lacks absent"),
        ({"root": "crate"}, "holds no folder 'crate'"),
        ({"counts": {"deep": 1}}, "deep holds 0 files, it must hold 1"),
    ],
)
def test_content_that_is_not_as_published(server, tmp_path, place, patience, changes, message):
    with pytest.raises(DataError, match=message):
        fetch(tar_entry(server, tmp_path, **changes), place, patience)
    assert not (place / "toy").exists()
    assert not (place / ".work" / "toy" / "stage").exists()


def test_no_network(server, tmp_path, place, patience):
    entry = tar_entry(server, tmp_path, addresses=["http://127.0.0.1:9/box.tar.gz"])
    with pytest.raises(DataError) as caught:
        fetch(entry, place, patience)
    text = str(caught.value)
    assert "get it from http://127.0.0.1:9/box.tar.gz" in text
    assert f"put it at {place / 'box.tar.gz'}" in text
    assert f"`python -m data import {place / 'box.tar.gz'} --data_dir {place}`" in text


def test_first_use_is_recorded_and_compared(server, tmp_path, place, patience, capsys):
    unknown: dict[str, Any] = {"sha256": None, "size": None, "members": None}
    entry = tar_entry(server, tmp_path, **unknown)
    fetch(entry, place, patience)
    assert "NOT verified, no checksum is published" in capsys.readouterr().out
    assert "first use" in (place / "toy.record.json").read_text()
    assert set(statuses(entry, place).values()) == {"ok"}
    shutil.rmtree(place / "toy")
    server.files["/box.tar.gz"] = tar_bytes({"box/other": b"other"})
    with pytest.raises(DataError, match=r"on \d{4}-\d\d-\d\d it had [0-9a-f]{64}"):
        fetch(entry, place, patience)
    assert not (place / "toy").exists()


def test_a_folder_of_unknown_origin_is_not_taken_for_fetched(server, tmp_path, place, patience):
    (place / "toy").mkdir(parents=True)
    (place / "toy" / "x").write_bytes(b"")
    entry = tar_entry(server, tmp_path, sha256=None, members=None)
    with pytest.raises(DataError, match="no record of where it came from"):
        fetch(entry, place, patience)
    assert statuses(entry, place) == {"toy": "nothing to compare with"}


def test_official_files_put_there_by_hand_are_accepted(server, tmp_path, place, patience):
    (place / "toy").mkdir(parents=True)
    for name, content in FILES.items():
        (place / "toy" / name).write_bytes(content)
    fetch(tar_entry(server, tmp_path), place, patience)
    assert server.log == []


def test_too_little_space_is_said_before_anything_is_asked_for(server, tmp_path, place, patience, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100})())
    with pytest.raises(DataError, match=r"Fetching toy needs about .* has 100 B free: free some space"):
        fetch(tar_entry(server, tmp_path), place, patience)
    assert server.log == []


def test_disk_full_while_unpacking(server, tmp_path, place, patience, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    entry = tar_entry(server, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("data.extract._write", full)
        with pytest.raises(DataError, match="the disk is full"):
            fetch(entry, place, patience)
    assert not (place / "toy").exists()
    fetch(entry, place, patience)
    assert [wanted for _, wanted, _, _ in server.log] == [None]  # the verified download was kept


def test_what_a_killed_process_left_is_cleared(server, tmp_path, place, patience):
    entry = tar_entry(server, tmp_path)
    left = place / ".work" / "toy" / "stage" / "content"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"")
    fetch(entry, place, patience)
    assert "half" not in contents(place / "toy")


def test_one_archive_after_another(server, tmp_path, place, patience):
    parts = {name: tar_bytes({f"{name}/1.jpg": name.encode()}, "w") for name in ("blur", "noise")}
    archives = [
        {
            "file": f"{name}.tar",
            "kind": "tar",
            "into": name,
            "root": "*",
            "addresses": [server.add(f"/{name}", content, *([404] if name == "noise" else []))],
            **published(content),
        }
        for name, content in parts.items()
    ]
    entry = one_entry(tmp_path / "registry", archives)
    with pytest.raises(DataError, match="404"):
        fetch(entry, place, patience)
    assert Store(place).state(entry) == "1 of 2 files here"
    fetch(entry, place, patience)
    assert contents(place / "toy") == {"blur/1.jpg": b"blur", "noise/1.jpg": b"noise"}
    assert [path for path, *_ in server.log] == ["/blur", "/noise", "/noise"]
    assert set(statuses(entry, place).values()) == {"ok"}


def test_the_first_checksum_that_differs_is_named():
    found = Digests("a", "b", 3)
    assert Published().difference(found) is None
    assert Published(sha256="a", md5="c").difference(found) == "md5 is b, published is c"
