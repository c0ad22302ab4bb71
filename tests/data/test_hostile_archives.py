"""Archives that are damaged where no checksum is published, oddly named, or made to exhaust memory and time."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from common.errors import DataError
from data.checksums import hash_file
from data.extract import DamagedArchive, UnsafeArchive, extract
from data.fetch import fetch, import_file
from data.store import Store
from data.verify import verify
from tests.data.helpers import one_entry, tar_bytes, zip_bytes
from tests.data.toy import contents

FILES = {"top/a.txt": b"alpha" * 50, "top/b.bin": bytes(range(256)) * 12, "top/c": b""}
PACKED = {mode: tar_bytes(FILES, f"w:{mode}") for mode in ("gz", "bz2", "xz")}


def unpack(tmp_path: Path, content: bytes, kind: str = "tar") -> dict[str, bytes]:
    """What lies on the disk afterwards; it is compared with the digests."""
    number = len(list(tmp_path.iterdir()))
    archive, folder = tmp_path / f"archive{number}", tmp_path / f"out{number}"
    archive.write_bytes(content)
    folder.mkdir()
    found = extract(archive, kind, folder)
    assert {path: hash_file(folder / path) for path in found} == found
    return contents(folder)


def flipped(content: bytes, place: int, bit: int = 0) -> bytes:
    place %= len(content)
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


# Damage


@pytest.mark.parametrize("mode", PACKED)
def test_a_whole_one_is_unpacked(tmp_path, mode):
    assert unpack(tmp_path, PACKED[mode]) == FILES


@pytest.mark.parametrize("mode", PACKED)
@pytest.mark.parametrize("damage", ["check sum", "cut", "content"])
def test_the_check_sum_of_the_compression_is_compared(tmp_path, mode, damage):
    """It is at the end, behind everything that a reader of the tar needs."""
    content = PACKED[mode]
    harmed = {"check sum": flipped(content, -5), "cut": content[:-3], "content": flipped(content, len(content) // 2)}
    with pytest.raises(DamagedArchive, match=r"not a readable tar archive .*: obtain it again"):
        unpack(tmp_path, harmed[damage])


@pytest.mark.parametrize("name", [*PACKED, "zip"])
def test_every_wrong_bit_is_found_or_harmless(tmp_path, name):
    """300 of them, at random places: an error of ours, or the content as it was."""
    kind = "zip" if name == "zip" else "tar"
    content, draws, caught = zip_bytes(FILES) if name == "zip" else PACKED[name], random.Random(0), 0
    for _ in range(300):
        try:
            found = unpack(tmp_path, flipped(content, draws.randrange(len(content)), draws.randrange(8)), kind)
        except DataError:
            caught += 1
        else:
            # A zip holds its members' names twice, and no check sum of them.
            assert sorted(found.values()) == sorted(FILES.values()) if name == "zip" else found == FILES
    assert caught > 200


def test_a_tar_that_was_cut_between_two_members(tmp_path):
    whole = tar_bytes(FILES, "w")
    assert unpack(tmp_path, whole) == FILES
    with pytest.raises(DamagedArchive, match="no header and no end"):
        unpack(tmp_path, whole[: 512 + 512])  # a.txt takes a header and a record


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    whole = tar_bytes(FILES, "w")
    with pytest.raises(DamagedArchive, match="no header and no end"):
        unpack(tmp_path, flipped(whole, 1024 + 3))


def test_an_archive_without_a_file(tmp_path):
    for kind, content in (("tar", tar_bytes({})), ("zip", zip_bytes({})), ("tar", b""), ("zip", b"")):
        with pytest.raises(DamagedArchive):
            unpack(tmp_path, content, kind)


def test_a_damaged_download_is_fetched_once_more_and_never_installed(server, tmp_path, place, patience, capsys):
    harmed = flipped(PACKED["gz"], -6)
    address = server.add("/box.tar.gz", harmed)
    archive = {"file": "box.tar.gz", "kind": "tar", "addresses": [address], "root": "top"}
    entry = one_entry(tmp_path / "registry", archive)
    with pytest.raises(DataError, match=r"is not whole .*CRC.*, twice in a row"):
        fetch(entry, place, patience)
    assert contents(place) == {".work/toy.lock": b""}
    assert [status for _, status in verify(entry, place)] == ["missing"]
    assert len(server.log) == 2
    server.files["/box.tar.gz"] = PACKED["gz"]
    server.etag = '"v2"'
    fetch(entry, place, patience)
    assert contents(place / "toy") == {name.removeprefix("top/"): content for name, content in FILES.items()}


@pytest.mark.parametrize("harm", [lambda content: flipped(content, 60), lambda content: content[:-30]])
@pytest.mark.parametrize("name", ["weights.pth", "labels.txt.gz", "labels.txt.bz2", "labels.txt.xz"])
def test_a_plain_file_that_holds_check_sums_is_compared_with_them(tmp_path, place, name, harm):
    """torch's files are zips; a list may be compressed."""
    packed = {
        "weights.pth": zip_bytes({"data.pkl": bytes(range(256))}),
        "labels.txt.gz": gzip.compress(bytes(range(256))),
        "labels.txt.bz2": bz2.compress(bytes(range(256))),
        "labels.txt.xz": lzma.compress(bytes(range(256))),
    }[name]
    entry = one_entry(tmp_path / "registry", {"file": name, "addresses": []}, how="by-hand")
    (tmp_path / "mine").write_bytes(harm(packed))
    with pytest.raises(DamagedArchive, match="obtain it again"):
        import_file(tmp_path / "mine", {"toy": entry}, place, "toy")
    assert Store(place).state(entry) == "not here"
    (tmp_path / "mine").write_bytes(packed)
    import_file(tmp_path / "mine", {"toy": entry}, place, "toy")
    assert (place / "toy" / name).read_bytes() == packed


def test_a_plain_file_that_only_begins_like_an_archive_is_taken(tmp_path, place):
    for number, content in enumerate((b"BZh is how my labels begin", b"", b"PK", b"\x1f\x8b", b"label,noisy\n")):
        entry = one_entry(tmp_path / f"registry{number}", {"file": f"{number}.txt", "addresses": []}, how="by-hand")
        (tmp_path / "mine").write_bytes(content)
        import_file(tmp_path / "mine", {"toy": entry}, place, "toy")
        assert (place / "toy" / f"{number}.txt").read_bytes() == content


# Names


def tar_of(*members: tuple[str, bytes], format: int = tarfile.GNU_FORMAT, **changes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_the_entry_of_the_folder_itself(tmp_path):
    """As `tar czf x.tgz .` writes it, and as some programs write it into a zip."""
    stream = io.BytesIO()
    (tmp_path / "in" / "top").mkdir(parents=True)
    (tmp_path / "in" / "top" / "a").write_bytes(b"alpha")
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.add(tmp_path / "in", arcname=".")
    assert unpack(tmp_path, stream.getvalue()) == {"top/a": b"alpha"}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("./", b"")
        archive.writestr("./top/a", b"alpha")
    assert unpack(tmp_path, stream.getvalue(), "zip") == {"top/a": b"alpha"}


def test_a_file_that_is_called_like_the_folder_itself(tmp_path):
    with pytest.raises(UnsafeArchive):
        unpack(tmp_path, tar_of((".", b"x")))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_member_without_a_name(tmp_path, kind):
    if kind == "tar":
        content = tar_of(("", b"x"))
    else:
        stream, info = io.BytesIO(), zipfile.ZipInfo("x")
        info.filename = ""
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(info, b"x")
        content = stream.getvalue()
    with pytest.raises(DataError, match=r"has no name|not a readable"):
        unpack(tmp_path, content, kind)


def test_a_name_that_is_not_utf_8(tmp_path):
    """A sentence that every terminal can print."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", encoding="gbk", format=tarfile.GNU_FORMAT) as tar:
        member = tarfile.TarInfo("日本/1.jpg")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(DataError, match="is not UTF-8: unpack it by hand") as caught:
        unpack(tmp_path, stream.getvalue())
    assert "/1.jpg" in str(caught.value)
    str(caught.value).encode()
    flagged = zip_bytes({"ä": b"x"}).replace("ä".encode(), b"\xff\xfe")
    with pytest.raises(DamagedArchive, match="not a readable zip archive") as caught:
        unpack(tmp_path, flagged, "zip")
    str(caught.value).encode()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_in_other_scripts_are_kept(tmp_path, kind):
    files = {"图片/naïve ñ.jpg": b"x", "top/a b'c.txt": b"y"}
    assert unpack(tmp_path, tar_bytes(files) if kind == "tar" else zip_bytes(files), kind) == files


# Made to exhaust


def header(name: str, kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


LONG_NAME = header("././@LongLink", tarfile.GNUTYPE_LONGNAME, 10) + padded(b"long name\0")
PAX = header("pax", tarfile.XHDTYPE, 11) + padded(b"11 a=12345\n")
LAST = header("a", tarfile.REGTYPE, 1) + padded(b"x") + bytes(1024)


@pytest.mark.parametrize(
    "content",
    [
        LONG_NAME * 3000 + LAST,
        PAX * 3000 + LAST,
        header("././@LongLink", tarfile.GNUTYPE_LONGNAME, 10**9) + bytes(10**6),
        header("pax", tarfile.XHDTYPE, 10**9) + bytes(10**6),
        header("pax", tarfile.XGLTYPE, 10**9) + bytes(10**6),
        header("pax", tarfile.XHDTYPE, 10**6) + padded(b"1000000 path=" + b"a" * (10**6 - 13)) + LAST,
    ],
    ids=[
        "long names",
        "pax headers",
        "a long name",
        "a pax header",
        "a global pax header",
        "a pax header that is there",
    ],
)
def test_headers_are_bounded(tmp_path, content):
    with pytest.raises(DamagedArchive, match="headers of more than 66 kB"):
        unpack(tmp_path, gzip.compress(content, 1))


def test_what_takes_tarfile_the_square_of_its_length(tmp_path):
    content = header("pax", tarfile.XHDTYPE, 65000) + padded(b"1" * 65000)
    before = time.process_time()
    with pytest.raises(DamagedArchive, match="more digits than any name"):
        unpack(tmp_path, gzip.compress(content + LAST, 1))
    assert time.process_time() - before < 1


@pytest.mark.parametrize("way", ["header", "pax"])
def test_a_size_below_zero_ends(tmp_path, way):
    """tarfile would go back, and read the same member for ever."""
    content = (
        header("a", tarfile.REGTYPE, -1024) + LAST
        if way == "header"
        else tar_of(("a", b"x"), format=tarfile.PAX_FORMAT, pax_headers={"size": "-2048"})
    )
    with pytest.raises(DamagedArchive):
        unpack(tmp_path, content)


def test_a_sparse_file_is_refused(tmp_path):
    """A terabyte of nothing in half a kilobyte."""
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a", "GNU.sparse.realsize": "9" * 12}
    content = tar_of(("a", b"0\n" + bytes(510)), format=tarfile.PAX_FORMAT, pax_headers=sparse)
    with pytest.raises(UnsafeArchive, match="sparse"):
        unpack(tmp_path, content)


def test_padding_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("data.extract._LONGEST_PADDING", 10**6)
    assert unpack(tmp_path, LAST + bytes(10**5)) == {"a": b"x"}
    with pytest.raises(DamagedArchive, match="more than 1 MB after its end"):
        unpack(tmp_path, gzip.compress(LAST + bytes(2 * 10**6), 1))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_every_damaged_compression_of_a_zip(tmp_path, method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a", bytes(range(256)) * 4)
    content = stream.getvalue()
    assert unpack(tmp_path, content, "zip") == {"a": bytes(range(256)) * 4}
    caught = 0
    for place in range(31, 31 + 60):  # from the name on: properties, then data
        try:
            found = unpack(tmp_path, flipped(content, place, place % 8), "zip")
        except DamagedArchive:
            caught += 1
        else:
            assert found == {"a": bytes(range(256)) * 4}
    assert caught > 40
