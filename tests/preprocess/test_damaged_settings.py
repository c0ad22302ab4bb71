"""The settings that a tree says it was made with are damaged: one sentence that names the file."""

import pytest

from preprocess import imagenet_texture_syn, shapes_textures
from tests.preprocess.small_trees import class_tree

DAMAGES = [b"\xff\xfe", b"[" * 100_000, b"[]", b"7", b"{"]


@pytest.mark.parametrize("content", DAMAGES)
def test_textures(tmp_path, content, capsys):
    class_tree(tmp_path / "in" / "train", ("n01",), 1)
    path = tmp_path / "in-texture" / imagenet_texture_syn.SETTINGS
    path.parent.mkdir()
    path.write_bytes(content)
    assert imagenet_texture_syn.main([f"--imagenet_path={tmp_path / 'in'}", "--tool=builtin"]) == 2
    assert f"{path} is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("content", DAMAGES)
def test_shapes(tmp_path, content, capsys):
    path = tmp_path / shapes_textures.SETTINGS
    path.write_bytes(content)
    assert shapes_textures.main([f"--path={tmp_path}"]) == 2
    assert f"{path} is damaged" in capsys.readouterr().err
