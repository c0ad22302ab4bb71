import pytest

from common.errors import DataError, UsageError
from data.fetch import fetch, import_file
from data.store import Store
from tests.data.helpers import one_entry, zip_bytes
from tests.data.toy import TAR, contents, statuses, tar_entry


def test_import_recognises_by_checksum_and_leaves_the_file(server, tmp_path, place):
    entry = tar_entry(server, tmp_path)
    file = tmp_path / "renamed.bin"
    file.write_bytes(TAR)
    import_file(file, {"toy": entry}, place)
    assert (place / "toy" / "batches.meta").read_bytes() == b"meta"
    assert file.read_bytes() == TAR
    assert server.log == []


@pytest.mark.parametrize(
    ("file_name", "content", "name", "message"),
    [
        ("box.tar.gz", TAR[:-5], None, "is called like toy's archive, but size is .* cut or damaged"),
        ("x.bin", b"else", None, "no checksum that the registry knows"),
        ("x.bin", b"else", "toy", "is not box.tar.gz of toy"),
        ("x.bin", b"else", "nothing", "--as nothing names no file"),
    ],
)
def test_import_refuses(server, tmp_path, place, file_name, content, name, message):
    (tmp_path / file_name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        import_file(tmp_path / file_name, {"toy": tar_entry(server, tmp_path)}, place, name)
    assert not (place / "toy").exists()


def test_by_hand_entry_with_several_files_and_no_checksums(tmp_path, place):
    files = [{"file": f"run{i}.pth", "addresses": [f"http://x.test/{i}"]} for i in (1, 2)]
    entry = one_entry(tmp_path / "registry", files, how="by-hand")
    with pytest.raises(
        UsageError, match=r"run2.pth from http://x.test/2, then `python -m data import run2.pth --as toy/run2"
    ):
        fetch(entry, place)
    (tmp_path / "download").write_bytes(b"weights")
    with pytest.raises(UsageError, match="has 2 files, say which"):
        import_file(tmp_path / "download", {"toy": entry}, place, "toy")
    import_file(tmp_path / "download", {"toy": entry}, place, "toy/run2.pth")
    assert contents(place / "toy") == {"run2.pth": b"weights"}
    assert statuses(entry, place) == {"run1.pth": "missing", "run2.pth": "ok"}
    assert Store(place).state(entry) == "1 of 2 files here"


def test_a_zip_in_a_zip_is_counted(tmp_path, place):
    inner = zip_bytes({f"training/{i}.jpg": b"%d" % i for i in range(5)} | {"testing/0.jpg": b"t"})
    file = tmp_path / "outer.zip"
    archive = {"file": "outer.zip", "kind": "zip", "addresses": [], "root": "*", "nested": "inner.zip"}
    file.write_bytes(zip_bytes({"outer/inner.zip": inner}))
    good = one_entry(tmp_path / "good", {**archive, "counts": {"training": 5, "testing": 1}}, how="by-hand")
    bad = one_entry(tmp_path / "bad", {**archive, "counts": {"training": 6}}, how="by-hand")
    with pytest.raises(DataError, match="training holds 5 files, it must hold 6"):
        import_file(file, {"toy": bad}, place, "toy")
    import_file(file, {"toy": good}, place, "toy")
    assert len(contents(place / "toy" / "training")) == 5
    assert set(statuses(good, place).values()) == {"ok"}


def test_an_archive_packed_again_on_a_mac(tmp_path, place, capfd):
    """Its __MACOSX/ is no second folder, its ._ companions are none of the files that are counted."""
    files = {f"box/training/{i}.jpg": b"%d" % i for i in range(5)}
    files |= {"__MACOSX/box/training/._0.jpg": b"m", "box/training/._1.jpg": b"m", "box/.DS_Store": b"m"}
    (tmp_path / "box.zip").write_bytes(zip_bytes(files))
    archive = {"file": "box.zip", "kind": "zip", "addresses": [], "root": "*", "counts": {"training": 5}}
    entry = one_entry(tmp_path / "registry", archive, how="by-hand")
    import_file(tmp_path / "box.zip", {"toy": entry}, place, "toy")
    assert {path for path in contents(place / "toy") if "._" not in path} == {
        ".DS_Store",
        *(f"training/{i}.jpg" for i in range(5)),
    }
    assert set(statuses(entry, place).values()) == {"ok"}
    (place / "toy" / "training" / "Thumbs.db").touch()
    (place / "toy" / "@eaDir").mkdir()
    (place / "toy" / "@eaDir" / "0.jpg").touch()
    assert set(statuses(entry, place).values()) == {"ok"}
    (place / "toy" / "training" / "6.jpg").touch()
    assert statuses(entry, place)["6.jpg"] == "unexpected"


def test_a_folder_in_which_only_other_programs_left_something_is_empty(tmp_path, place):
    entry = one_entry(tmp_path / "registry", {"file": "box.zip", "kind": "zip", "addresses": []}, how="by-hand")
    (place / "toy").mkdir(parents=True)
    (place / "toy" / ".DS_Store").touch()
    assert not Store(place).is_there(entry, entry.archives[0])
    (place / "toy" / "a.jpg").touch()
    assert Store(place).is_there(entry, entry.archives[0])


def test_a_list_of_checksums_saved_on_windows(server, tmp_path, place):
    entry = tar_entry(server, tmp_path)
    (tmp_path / "box.tar.gz").write_bytes(TAR)
    import_file(tmp_path / "box.tar.gz", {"toy": entry}, place)
    path = place / "toy.sha256"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert set(statuses(entry, place).values()) == {"ok"}


def test_zips_of_a_mac_in_one_another(tmp_path, place):
    inner = zip_bytes({"training/1.jpg": b"1", "__MACOSX/training/._1.jpg": b"m"})
    (tmp_path / "outer.zip").write_bytes(zip_bytes({"inner.zip": inner, "__MACOSX/._inner.zip": b"m"}))
    archive = {"file": "outer.zip", "kind": "zip", "addresses": [], "nested": "inner.zip", "counts": {"training": 1}}
    entry = one_entry(tmp_path / "registry", archive, how="by-hand")
    import_file(tmp_path / "outer.zip", {"toy": entry}, place, "toy")
    assert (place / "toy" / "training" / "1.jpg").read_bytes() == b"1"
    (place / "toy" / "NAME").write_text("mine")
    assert set(statuses(entry, place).values()) == {"ok"}
