import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from common.errors import DataError
from data.extract import UnsafeArchive, extract, extract_nested
from tests.data.helpers import tar_bytes, zip_bytes

FILES = {"top/a.txt": b"alpha", "top/deep/b.bin": bytes(1000)}


def unpack(tmp_path: Path, content: bytes, kind: str):
    archive, folder = tmp_path / "archive", tmp_path / "out"
    archive.write_bytes(content)
    folder.mkdir()
    return extract(archive, kind, folder)


def tar_with(*members: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return stream.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def plain(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = 1
    return member


def zip_with(name: str, mode: int = 0) -> bytes:
    stream = io.BytesIO()
    info = zipfile.ZipInfo("placeholder")
    info.filename, info.external_attr = name, mode << 16
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, b"../../etc/passwd")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_contents_and_digests(tmp_path, kind):
    found = unpack(tmp_path, tar_bytes(FILES) if kind == "tar" else zip_bytes(FILES), kind)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in found} == FILES
    assert {name: digests.size for name, digests in found.items()} == {"top/a.txt": 5, "top/deep/b.bin": 1000}
    assert found["top/a.txt"].sha256 == "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"


@pytest.mark.parametrize(
    "members",
    [
        [plain("../evil")],
        [plain("a/../../evil")],
        [plain("/tmp/evil")],
        [plain("..\\evil")],
        [plain("C:/evil")],
        [plain("new\nline")],
        [special("link", tarfile.SYMTYPE, "/etc"), plain("link/passwd")],
        [special("link", tarfile.SYMTYPE, "inside")],
        [special("link", tarfile.LNKTYPE, "../../etc/passwd")],
        [special("pipe", tarfile.FIFOTYPE)],
        [special("device", tarfile.CHRTYPE)],
        [plain("twice"), plain("twice")],
    ],
    ids=lambda members: "+".join(repr(member.name) for member in members),
)
def test_tar_attacks(tmp_path, members):
    with pytest.raises(UnsafeArchive):
        unpack(tmp_path, tar_with(*members), "tar")
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_zip_slip(tmp_path, name):
    with pytest.raises(UnsafeArchive, match="would leave its folder"):
        unpack(tmp_path, zip_with(name), "zip")
    assert list((tmp_path / "out").iterdir()) == []


def test_zip_symbolic_link(tmp_path):
    with pytest.raises(UnsafeArchive, match="link or a device"):
        unpack(tmp_path, zip_with("link", stat.S_IFLNK | 0o777), "zip")


def test_encrypted_zip(tmp_path):
    content = bytearray(zip_bytes({"a": b"secret"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DataError, match="encrypted"):
        unpack(tmp_path, bytes(content), "zip")


def test_zip_that_would_fill_the_disk(tmp_path):
    content = bytearray(zip_bytes({"a": b"bomb"}))
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = (0xFFFFFF00).to_bytes(4, "little")
    monkey = pytest.MonkeyPatch()
    monkey.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9})())
    with monkey.context(), pytest.raises(DataError, match="needs about 4 GB"):
        unpack(tmp_path, bytes(content), "zip")
    monkey.undo()


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("damage", ["cut", "flip", "noise"])
def test_damaged_archives(tmp_path, kind, damage):
    content = bytearray((tar_bytes if kind == "tar" else zip_bytes)({"a": bytes(range(256)) * 400}))
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 0xFF
    else:
        content = bytearray(b"not an archive" * 50)
    with pytest.raises(DataError, match="obtain it again"):
        unpack(tmp_path, bytes(content), kind)


def test_macos_debris_is_left_out(tmp_path):
    assert list(unpack(tmp_path, zip_bytes({"a/x": b"1", "__MACOSX/a/._x": b"2"}), "zip")) == ["a/x"]


def test_a_zip_in_a_zip(tmp_path):
    found = unpack(tmp_path, zip_bytes({"top/inner.zip": zip_bytes({"x/1": b"1"}), "top/read.me": b"?"}), "zip")
    found = extract_nested("inner.zip", tmp_path / "out", found)
    assert sorted(found) == ["top/read.me", "top/x/1"]
    on_disk = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert on_disk == set(found)
    with pytest.raises(DataError, match=r"holds 0 files called inner\.zip"):
        extract_nested("inner.zip", tmp_path / "out", found)
