"""Paths, registries and data folders that are not as they should be: one sentence and an exit code."""

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import DataError, UsageError
from common.paths import data_dir, user_path
from data.cli import main
from data.fetch import import_file
from data.registry import load_registry
from data.store import Store
from tests.damages import Damage, put, without
from tests.data.helpers import members_of, one_entry, published, tar_bytes, write_registry
from tests.data.server import Server
from tests.data.toy import statuses

LONG = "n" * 300
FILES = {"a": b"alpha", "b": b"beta"}
TAR = tar_bytes({f"box/{name}": content for name, content in FILES.items()})
FILE = b"label,noisy\n1,2\n"


@pytest.fixture
def registry(server: Server, tmp_path: Path) -> Path:
    box = {"file": "box.tar.gz", "kind": "tar", "root": "box", "addresses": [server.add("/box", TAR)]}
    return write_registry(
        tmp_path / "registry",
        {"name": "box", "archive": [{**box, "members": members_of(FILES), **published(TAR)}]},
        {"name": "plain", "archive": [{"file": "labels.csv", "addresses": [server.add("/labels", FILE)]}]},
    )


@pytest.fixture
def say(registry: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command; returns its exit code and the one sentence that it ends with."""

    def run(*arguments: object, folder: Path | str = place) -> tuple[int, str]:
        code = main([*map(str, arguments), "--registry", str(registry), "--data_dir", str(folder)])
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert len(lines) <= 1 and all(line.startswith("error: ") for line in lines)
        return code, lines[0] if lines else out

    return run


# Paths


@pytest.mark.parametrize("verb", [["fetch", "plain"], ["verify", "plain"], ["list"]])
def test_a_data_folder_with_a_name_that_is_too_long(say, verb, tmp_path):
    code, line = say(*verb, folder=tmp_path / LONG)
    assert code == 1 and "File name too long" in line and "check the path" in line and len(line) < 600


def test_a_file_with_a_name_that_is_too_long(say, tmp_path):
    code, line = say("import", tmp_path / LONG, "--as", "plain")
    assert code == 2 and "File name too long" in line and len(line) < 600


def test_a_registry_with_a_name_that_is_too_long(capsys):
    assert main(["list", "--registry", LONG]) == 2
    assert "File name too long" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["list", "--data_dir", "~nobody-of-this-name/x"], ["list", "--registry", "~nobody-of-this-name/x"],
    ["import", "~nobody-of-this-name/x"],
])  # fmt: skip
def test_the_home_of_nobody(arguments, capsys):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "no home folder for ~nobody-of-this-name" in err and "write the path out" in err


def test_the_home_of_somebody(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x") == data_dir("~/x") == tmp_path / "x"
    with pytest.raises(UsageError):
        user_path("~nobody-of-this-name")


# Registries


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"[[dataset", b"a = " + b"[" * 100_000, b"", b"dataset = 7\n"])
def test_a_file_of_the_registry_that_is_none(tmp_path, content, capsys):
    path = tmp_path / "x.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    assert main(["list", "--registry", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert str(path) in err and "is not a registry file" in err and len(err.splitlines()) == 1


VALUES: list[Any] = [7, "../x", "/x", [], [7], {}, True, 1.5]
ARCHIVE = ("archive", 0)


def shapes(keys: str, values: list[Any], *path: Any) -> dict[str, Damage]:
    return {f"{key} {value!r} {path}": put(value, *path, key) for key in keys.split() for value in values}


SHAPES = {
    **shapes("name how folder", VALUES),
    **shapes("title homepage citation licence note", [7, [], {}, True]),
    **shapes("archive", [7, "x", {}, [7], ["x"], [[]], [{}]]),
    **shapes("file kind into root nested sha256 md5", VALUES, *ARCHIVE),
    **shapes("size", [-1, 2**63, "9", True, []], *ARCHIVE),
    **shapes("addresses", [7, "x", {}, [7], []], *ARCHIVE),
    **shapes("members counts", [7, "x", [], {"a": "x"}, {"a": []}, {"../a": {}}], *ARCHIVE),
    **{f"no {key}": without(key) for key in ("name", "title", "how", "folder", "homepage", "citation")},
    **{f"no {key}": without(*ARCHIVE, key) for key in ("file", "addresses")},
    **shapes("colour", ["x"]),
    **shapes("colour", ["x"], *ARCHIVE),
}


@pytest.mark.parametrize("damage", SHAPES.values(), ids=SHAPES.keys())
def test_an_entry_of_another_shape(tmp_path, damage):
    raw: dict[str, Any] = {
        "name": "box", "title": "t", "how": "fetch", "folder": "box", "homepage": "h", "citation": "c",
        "archive": [{"file": "box.tar", "addresses": ["http://x.test"], "kind": "tar"}],
    }  # fmt: skip
    (tmp_path / "x.toml").write_text(toml([raw]))
    assert list(load_registry(tmp_path)) == ["box"]
    damage(raw)
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "x.toml").write_text(toml([raw]))
    with pytest.raises(UsageError, match="is not a registry file"):
        load_registry(folder)


def toml(entries: list[dict[str, Any]]) -> str:
    """Entries as inline tables."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{ " + ", ".join(f"{json.dumps(key)} = {value(inner)}" for key, inner in item.items()) + " }"
        if isinstance(item, list):
            return "[" + ", ".join(map(value, item)) + "]"
        return json.dumps(item)

    return f"dataset = {value(entries)}\n"


# A hurt data folder


@contextlib.contextmanager
def without_rights(folder: Path, mode: int) -> Iterator[None]:
    """Inside, this process has those rights to the folder that `mode` gives to others."""
    was = os.geteuid()
    folder.chmod(mode)
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)
        folder.chmod(0o755)


@pytest.fixture
def open_to_all(registry: Path) -> Iterator[Path]:
    """A folder that every user can reach, with a registry in it; pytest's own are for one user."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(registry, Path(folder) / "registry")
        yield Path(folder)


def test_a_folder_that_may_not_be_written(open_to_all, capsys):
    place = open_to_all / "cache"
    (place / ".work" / "plain").mkdir(parents=True)
    (place / ".work" / "plain" / "labels.csv.part").write_bytes(FILE[:4])
    options = ["--registry", str(open_to_all / "registry"), "--data_dir", str(place)]
    with without_rights(place, 0o555):
        assert main(["fetch", "plain", *options]) == 1
        err = capsys.readouterr().err
        assert "Permission denied" in err and str(place) in err and len(err.splitlines()) == 1
        assert main(["list", *options]) == 0
        assert "partial download" in capsys.readouterr().out


def test_what_is_there_is_fetched_from_a_folder_that_is_only_read(open_to_all, capsys):
    place = open_to_all / "cache"
    options = ["--registry", str(open_to_all / "registry"), "--data_dir", str(place)]
    assert main(["fetch", "box", "plain", *options]) == 0
    shutil.rmtree(place / ".work")
    with without_rights(place, 0o555):
        assert main(["fetch", "box", "plain", *options]) == 0
    assert capsys.readouterr().out.count("exists and is verified: nothing to do") == 2


@pytest.mark.parametrize(
    "verb", [["fetch", "plain"], ["verify", "plain"], ["list"], ["import", "FILE", "--as", "plain"]]
)
def test_a_folder_that_may_not_be_entered(open_to_all, capsys, verb):
    closed = open_to_all / "closed"
    closed.mkdir()
    options = ["--registry", str(open_to_all / "registry"), "--data_dir", str(closed)]
    with without_rights(closed, 0o000):
        code = main([*(str(closed / "x") if word == "FILE" else word for word in verb), *options])
    err = capsys.readouterr().err
    assert code == (2 if verb[0] == "import" else 1), err
    assert "Permission denied" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("verb", [["fetch", "plain"], ["import", "FILE", "--as", "plain"]])
def test_a_disk_that_takes_no_new_file(say, monkeypatch, tmp_path, number, verb):
    """No inodes left, a read-only file system, a broken disk."""
    (tmp_path / "mine").write_bytes(FILE)

    def mkdir(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "the-folder")

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", mkdir)
        code, line = say(*(tmp_path / "mine" if word == "FILE" else word for word in verb))
    assert code == 1
    assert ("inodes" if number in (errno.ENOSPC, errno.EDQUOT) else os.strerror(number)) in line


def test_a_file_where_the_work_folder_should_be(say, place):
    (place / ".work").mkdir(parents=True)
    (place / ".work" / "plain").write_text("")
    code, line = say("fetch", "plain")
    assert code == 1 and str(place / ".work" / "plain") in line


@pytest.mark.parametrize("name", ["labels.csv.part", "labels.csv.part.json"])
def test_a_folder_where_a_file_of_the_download_should_be(say, place, name):
    (place / ".work" / "plain" / name).mkdir(parents=True)
    code, line = say("fetch", "plain")
    assert code == 1 and "s a directory" in line and name in line


RECORDS = ["[]", "7", "{}", '{"archives": []}', '{"archives": {"labels.csv": []}}', '{"archives": {"labels.csv": {}}}',
           '{"archives": {"labels.csv": {"sha256": 7, "date": "x"}}}', "\xff", "[" * 100_000]  # fmt: skip


@pytest.mark.parametrize("content", RECORDS)
def test_a_damaged_record(say, place, content):
    """It is not taken for none: the first download's checksum would be forgotten silently."""
    assert say("fetch", "plain")[0] == 0
    path = place / "plain.record.json"
    path.write_text(content, encoding="latin-1")
    for verb in (["fetch", "plain"], ["verify", "plain"], ["verify"]):
        code, line = say(*verb)
        assert code == 1 and str(path) in line and "delete it" in line, verb
    code, text = say("list")
    assert code == 0 and "its record is damaged" in text
    path.unlink()
    (place / "plain" / "labels.csv").unlink()
    assert say("fetch", "plain")[0] == 0


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]\n", b"0123  x\n", b"g" * 64 + b"  x\n", b"0" * 64 + b"\n"])
def test_a_damaged_list_of_checksums(say, place, content):
    assert say("fetch", "plain")[0] == 0
    (place / "plain.sha256").write_bytes(content)
    code, line = say("verify", "plain")
    assert code == 1 and "plain.sha256 is damaged" in line


def test_names_that_a_terminal_cannot_show_end_nothing(say, tmp_path):
    """A file whose name is not UTF-8, as Linux allows."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    path.write_bytes(FILE)
    code, text = say("import", path, "--as", "plain")
    assert code == 0 and "NOT verified" in text


def test_list_into_a_pipe_that_was_closed(registry, monkeypatch):
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", closed)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert main(["list", "--registry", str(registry)]) == 0


# A plain file that was imported


def test_what_is_edited_later_is_not_the_data_sets(registry, place, tmp_path):
    (tmp_path / "mine").write_bytes(FILE)
    entries = load_registry(registry)
    import_file(tmp_path / "mine", entries, place, "plain")
    with open(tmp_path / "mine", "ab") as file:
        file.write(b"3,4\n")
    assert (place / "plain" / "labels.csv").read_bytes() == FILE
    assert statuses(entries["plain"], place) == {"labels.csv": "ok"}


def test_a_link_is_followed_and_not_kept(registry, place, tmp_path):
    (tmp_path / "real").write_bytes(FILE)
    (tmp_path / "mine").symlink_to(tmp_path / "real")
    import_file(tmp_path / "mine", load_registry(registry), place, "plain")
    copy = place / "plain" / "labels.csv"
    assert stat.S_ISREG(copy.lstat().st_mode) and not copy.samefile(tmp_path / "real")


def test_a_file_that_changes_while_it_is_copied(registry, place, tmp_path, monkeypatch):
    (tmp_path / "mine").write_bytes(FILE)

    def changed(folder: Path, needed: int, purpose: str) -> None:
        if purpose.startswith("copying"):
            (tmp_path / "mine").write_bytes(FILE + b"3,4\n")

    monkeypatch.setattr("data.install.require_space", changed)
    with pytest.raises(DataError, match="changed while it was copied"):
        import_file(tmp_path / "mine", load_registry(registry), place, "plain")
    assert not (place / "plain").exists()


@pytest.mark.parametrize("same_disk", [True, False])
def test_a_file_is_moved_where_that_is_asked_for(registry, place, tmp_path, monkeypatch, same_disk):
    (tmp_path / "mine").write_bytes(FILE)
    if not same_disk:
        rename = os.rename

        def across(source: Path, target: Path) -> None:
            if source == tmp_path / "mine":
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            rename(source, target)

        monkeypatch.setattr("os.rename", across)
    code = main(["import", str(tmp_path / "mine"), "--as", "plain", "--move", "--registry", str(registry),
                 "--data_dir", str(place)])  # fmt: skip
    assert code == 0
    assert (place / "plain" / "labels.csv").read_bytes() == FILE and not (tmp_path / "mine").exists()


def test_a_group_reads_all_that_one_of_it_made(say, place, tmp_path):
    (tmp_path / "mine").write_bytes(FILE)
    (tmp_path / "mine").chmod(0o600)
    umask = os.umask(0o002)
    try:
        assert say("fetch", "box")[0] == say("import", tmp_path / "mine", "--as", "plain", "--move")[0] == 0
    finally:
        os.umask(umask)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in place.rglob("*")}
    assert {path: mode for path, mode in modes.items() if mode != (0o775 if path.is_dir() else 0o664)} == {}


def test_an_archive_that_is_unpacked_stays_where_it_is(registry, place, tmp_path):
    (tmp_path / "mine").write_bytes(TAR)
    import_file(tmp_path / "mine", load_registry(registry), place, move=True)
    assert (tmp_path / "mine").read_bytes() == TAR and (place / "box" / "a").read_bytes() == b"alpha"


def test_a_wrong_file_of_an_entry_without_addresses(tmp_path, place):
    entry = one_entry(tmp_path / "r", {"file": "x.tar", "addresses": [], "sha256": "0" * 64}, how="by-hand")
    (tmp_path / "x.tar").write_bytes(b"cut")
    with pytest.raises(UsageError, match=r"get it again from http://x\.test"):
        import_file(tmp_path / "x.tar", {"toy": entry}, place)
    assert Store(place).state(entry) == "not here"
