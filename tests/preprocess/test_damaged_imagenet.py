"""ImageNet's archives with a damaged header inside: no class loses images silently."""

import io
import tarfile

import pytest

from common.errors import UsageError
from preprocess.imagenet_source import TRAIN_ARCHIVE, open_source
from tests.data.helpers import tar_bytes

WNIDS = ("n01", "n02")


def train_archive() -> bytes:
    inner = {f"{wnid}.tar": tar_bytes({f"{wnid}_{n}.JPEG": bytes([n]) * 600 for n in range(3)}, "w") for wnid in WNIDS}
    return tar_bytes(inner, "w")


def test_every_damaged_header_is_one_sentence(tmp_path):
    path, whole = tmp_path / TRAIN_ARCHIVE, train_archive()
    path.write_bytes(whole)
    source = open_source(tmp_path)
    names = source.names("train", WNIDS)
    assert names == {wnid: [f"{wnid}_{n}.JPEG" for n in range(3)] for wnid in WNIDS}
    assert source.read("train", "n02", "n02_1.JPEG") == bytes([1]) * 600
    with tarfile.open(fileobj=io.BytesIO(whole)) as outer:
        inner = [member.offset_data for member in outer]
    headers = [0, *(start + 512 * step for start in inner for step in (0, 3, 6))]  # a header and two records each
    for header in headers:
        path.write_bytes(whole[: header + 5] + b"?" + whole[header + 6 :])
        with pytest.raises(UsageError, match=r"ILSVRC2012_img_train\.tar is not a whole archive"):
            open_source(tmp_path).names("train", WNIDS)
