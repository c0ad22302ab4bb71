import hashlib
import re

import pytest

from common.errors import UsageError
from data.listing import markdown
from data.registry import load_registry
from tests.data.helpers import ROOT, write_registry

REGISTRY = load_registry()
ARCHIVES = [(entry, archive) for entry in REGISTRY.values() for archive in entry.archives]


def test_the_readme_table_is_the_registry():
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- python -m data list --markdown -->\n(.*)\n<!-- end -->", text, re.DOTALL)
    assert table and table[1] == markdown(REGISTRY)


def test_what_the_papers_need_is_there():
    assert set(REGISTRY) == {
        "cifar10",
        "cifar100",
        "digits",
        "sln-noise",
        "cifar-longtail",
        "webvision-mini",
        "animal-10n",
        "clothing1m",
        "imagenet",
        "imagenet-c",
        "imagenet-r",
        "imagenet-sketch",
        "stylized-imagenet",
        "moco-checkpoints",
    }
    assert len(REGISTRY["moco-checkpoints"].archives) == 27
    assert len({archive.addresses for archive in REGISTRY["moco-checkpoints"].archives}) == 27
    assert len(REGISTRY["sln-noise"].archives) == 6
    assert REGISTRY["animal-10n"].archives[0].counts == {"training": 50_000, "testing": 5_000}


@pytest.mark.parametrize(
    ("entry", "archive"), ARCHIVES, ids=lambda item: getattr(item, "file", getattr(item, "name", ""))
)
def test_checksums_have_the_form_of_checksums(entry, archive):
    for published in [archive.published, *archive.members.values()]:
        assert published.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", published.sha256)
        assert published.md5 is None or re.fullmatch(r"[0-9a-f]{32}", published.md5)
    assert all(re.match(r"https://\S+$", address) for address in archive.addresses)
    assert entry.how != "fetch" or archive.addresses
    assert ".." not in archive.into and not archive.into.startswith("/")


def test_every_entry_has_a_place_a_page_and_a_citation():
    places = [entry.folder + "/" + archive.into for entry, archive in ARCHIVES]
    assert len(set(places)) == len(places)
    assert all(entry.homepage.startswith("https://") and len(entry.citation) > 40 for entry in REGISTRY.values())


def test_the_published_noise_files(shared_data):
    for archive in REGISTRY["sln-noise"].archives:
        folder, _, mode = archive.into.partition("/")
        content = (shared_data / "sln-label-noise" / folder.upper() / mode).read_bytes()
        assert len(content) == archive.published.size
        assert hashlib.sha256(content).hexdigest() == archive.published.sha256
        assert content.count(b"\n") == 50_001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[dataset]\n", "is not a registry file"),
        ('[[dataset]]\nname = "a"\n', "is not a registry file"),
        ('[[dataset]]\nname = "a"\nhow = "magic"\n', "how = 'magic'"),
    ],
)
def test_broken_registries(tmp_path, text, message):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_registry(tmp_path)


def test_empty_and_double(tmp_path):
    with pytest.raises(UsageError, match="holds no registry"):
        load_registry(tmp_path / "none")
    write_registry(tmp_path / "double", {"name": "a"}, {"name": "a"})
    with pytest.raises(UsageError, match="the name 'a' is taken"):
        load_registry(tmp_path / "double")
    write_registry(tmp_path / "case", {"name": "toy"}, {"name": "Toy"})
    with pytest.raises(UsageError, match="the name 'Toy' is taken, names are unique without regard to case"):
        load_registry(tmp_path / "case")


def test_files_as_other_programs_leave_them(tmp_path):
    folder = write_registry(tmp_path / "entries", {"name": "toy", "archive": []})
    path = folder / "test.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    (folder / "._test.toml").write_bytes(b"\0\5\x16\7")
    assert list(load_registry(folder)) == ["toy"]
    path.write_bytes("[[dataset]]\nname = '数据'\n".encode("gbk"))
    load_registry.__globals__["_load"].cache_clear()
    with pytest.raises(UsageError, match=r"test\.toml, line 2: the bytes .* not of UTF-8"):
        load_registry(folder)
