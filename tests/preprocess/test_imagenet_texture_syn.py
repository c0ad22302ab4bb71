import os
import signal
import sys
import time

import numpy as np
import pytest
from PIL import Image

from data.imagenet100 import WNIDS
from preprocess.imagenet_texture_syn import main
from tests.preprocess.small_trees import content, painted, painted_tree, photographs, run, stamps, start


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tree of photographs and its textures, made in one process."""
    root = painted_tree(tmp_path_factory.mktemp("made") / "photos")
    assert main(["--imagenet_path", str(root), "--tool=builtin", "--jobs=1"]) == 0
    return root


def textures_of(root):
    return content(root.with_name(root.name + "-texture"), "*.png")


def test_the_tree_mirrors_that_of_the_photographs(made):
    names = {name.replace(".JPEG", ".png") for name in content(made)}
    textures = made.with_name("photos-texture")
    assert set(textures_of(made)) == names
    for name in names:
        with Image.open(textures / name) as image:
            assert image.size == (224, 224) and image.mode == "RGB" and image.format == "PNG"


def test_textures_hang_on_seed_and_name_not_on_the_number_of_processes(made, tmp_path):
    other = painted_tree(tmp_path / "photos")
    (other / "NAME").write_text("painted\n")
    code, out, err = run("imangenet_texture_syn", "--imagenet-path", other, "--tool=builtin", "--jobs=2", inside=True)
    assert code == 0, err
    assert "6 textures of 6 photographs" in out
    assert (tmp_path / "photos-texture" / "NAME").read_text() == "painted_texture\n"
    assert textures_of(other) == textures_of(made)
    assert (
        main(["--imagenet_path", str(other), "--tool=builtin", "--imagenet_t_path", str(tmp_path / "b"), "--seed=1"])
        == 0
    )
    assert content(tmp_path / "b", "*.png") != textures_of(made)


def test_a_second_run_makes_nothing_and_a_lost_texture_comes_back(made, capsys):
    textures = made.with_name("photos-texture")
    before, old = stamps(textures), textures_of(made)
    assert main(["--imagenet_path", str(made), "--tool=builtin", "--jobs=1"]) == 0
    assert stamps(textures) == before
    lost = min(textures.rglob("*.png"))
    lost.unlink()
    (lost.parent / ".half.png.123.tmp").write_bytes(b"half")
    assert main(["--imagenet_path", str(made), "--tool=builtin", "--jobs=1"]) == 0
    assert "6 photographs, 5 have a texture" in capsys.readouterr().out
    assert textures_of(made) == old
    assert not list(textures.rglob(".*.tmp"))


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_and_gone_on_leaves_the_same_bytes(tmp_path, number):
    whole, root = (painted_tree(tmp_path / name / "photos", 14) for name in ("whole", "stopped"))
    arguments = ("--tool=builtin", "--jobs=2", "--imagenet_path")
    process = start("imagenet_texture_syn", *arguments, root, start_new_session=True)
    wait_for(lambda: process.poll() is not None or len(textures_of(root)) >= 2)
    process.send_signal(number)
    process.communicate()  # ends when the workers, which hold the pipe, are gone too
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert 2 <= len(textures_of(root)) < 14
    assert main([*arguments, str(root)]) == 0
    assert main(["--jobs=1", "--tool=builtin", "--imagenet_path", str(whole)]) == 0
    assert textures_of(root) == textures_of(whole)


def test_an_unreadable_photograph_is_named_and_the_others_are_made(tmp_path, capsys):
    root = painted_tree(tmp_path / "photos", 3)
    bad = root / "train" / WNIDS[0] / "bad.JPEG"
    bad.write_bytes(photograph_cut_short(tmp_path))
    assert main(["--imagenet_path", str(root), "--tool=builtin", "--jobs=1"]) == 1
    error = capsys.readouterr().err
    assert f"1 photographs cannot be read and have no texture: {bad}" in error
    assert len(textures_of(root)) == 3
    assert main(["--imagenet_path", str(root), "--tool=builtin", "--jobs=1", "--skip_unreadable"]) == 0
    assert "3 textures of 4 photographs" in capsys.readouterr().out


def photograph_cut_short(folder):
    painted(folder / "whole.jpg", 0)
    return (folder / "whole.jpg").read_bytes()[:600]


def test_the_external_program_is_used_where_it_is_installed(tmp_path, monkeypatch):
    tool = tmp_path / "bin" / "texture-synthesis"
    tool.parent.mkdir()
    tool.write_text(
        f"#!{sys.executable}\n"
        "import sys\nfrom PIL import Image\n"
        "arguments = sys.argv[1:]\n"
        "assert arguments[-3] == 'generate' and [Image.open(a).size for a in arguments[-2:]] == [(96, 96)] * 2\n"
        "value = dict(zip(arguments, arguments[1:]))\n"
        "assert value['--out-size'] == '224' and value['--threads'] == '1'\n"
        "Image.new('RGB', (224, 224), (int(value['--seed']) % 256, 7, 9)).save(value['--out'])\n"
    )
    tool.chmod(0o755)
    root = painted_tree(tmp_path / "photos", 2)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    assert main(["--imagenet_path", str(root), "--jobs=1"]) == 0
    first = textures_of(root)
    assert len(set(first.values())) == 2  # a seed each
    again = str(tmp_path / "again")
    assert main(["--imagenet_path", str(root), "--jobs=1", "--tool", str(tool), "--imagenet_t_path", again]) == 0
    assert content(tmp_path / "again", "*.png") == first


def test_an_external_program_that_fails_is_reported(tmp_path, capsys):
    tool = tmp_path / "broken"
    tool.write_text("#!/bin/sh\necho no texture today >&2\nexit 3\n")
    tool.chmod(0o755)
    root = painted_tree(tmp_path / "photos", 1)
    assert main(["--imagenet_path", str(root), "--jobs=1", "--tool", str(tool)]) == 1
    assert "ended with 3: no texture today" in capsys.readouterr().err
    assert textures_of(root) == {}


def test_mistakes(tmp_path, capsys):
    def refused(*arguments):
        assert main([*map(str, arguments)]) == 2
        return capsys.readouterr().err

    assert "there is no such folder" in refused("--imagenet_path", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "holds no .JPEG file" in refused("--imagenet_path", tmp_path / "empty")
    root = painted_tree(tmp_path / "photos", 2)
    assert "lie in one another" in refused("--imagenet_path", root, "--imagenet_t_path", root / "textures")
    assert "no such program" in refused("--imagenet_path", root, "--tool", "no-such-tool")
    assert "--jobs -1" in refused("--imagenet_path", root, "--jobs=-1")
    painted(root / "train" / "odd.jpg", 0)
    assert "do not end in .JPEG, e.g. train/odd.jpg" in refused("--imagenet_path", root)
    (root / "train" / "odd.jpg").unlink()
    assert main(["--imagenet_path", str(root), "--jobs=1", "--tool=builtin"]) == 0
    message = refused("--imagenet_path", root, "--jobs=1", "--tool=builtin", "--seed=2")
    assert "was begun with --seed 0" in message


def test_a_texture_without_its_photograph_is_named(tmp_path, capsys):
    root = painted_tree(tmp_path / "photos", 2)
    painted(tmp_path / "photos-texture" / "train" / "texture1_left.png", 0)
    assert main(["--imagenet_path", str(root), "--jobs=1", "--tool=builtin"]) == 0
    painted(tmp_path / "photos-texture" / "train" / "left.png", 0)
    assert main(["--imagenet_path", str(root), "--jobs=1", "--tool=builtin"]) == 1
    assert "1 textures in" in capsys.readouterr().err


def test_real_photographs(tmp_path):
    for file in photographs(3):
        folder = tmp_path / "photos" / "train" / file.name[:9]
        folder.mkdir(parents=True)
        (folder / file.name).symlink_to(file)
    assert main(["--imagenet_path", str(tmp_path / "photos"), "--jobs=1", "--tool=builtin"]) == 0
    for file in (tmp_path / "photos-texture").rglob("*.png"):
        assert np.asarray(Image.open(file)).std() > 5
