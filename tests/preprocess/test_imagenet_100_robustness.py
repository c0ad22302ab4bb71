import pytest

from data.imagenet100 import WNIDS
from data.imagenet_c import CORRUPTIONS, SEVERITIES
from preprocess.imagenet_100_robustness import main
from tests.preprocess.small_trees import class_tree, content, run

OTHERS = ("n01440764", "n15075141")


def make(name, source, target, *more):
    return main(["--set", name, "--source_path", str(source), "--subset_path", str(target), *more])


@pytest.mark.parametrize("name", ["imagenet-sketch", "stylized-imagenet"])
def test_sets_with_all_classes(name, tmp_path, capsys):
    source = class_tree(tmp_path / "whole" / "val" if name.startswith("sty") else tmp_path / "whole", (*WNIDS, *OTHERS))
    for _ in range(2):
        assert make(name, tmp_path / "whole", tmp_path / "subset") == 0
        assert "200 images of 100 classes" in capsys.readouterr().out
    assert content(tmp_path / "subset") == {
        path: data for path, data in content(source).items() if path.split("/")[0] in WNIDS
    }


def test_a_missing_class_is_named(tmp_path, capsys):
    class_tree(tmp_path / "whole", WNIDS[1:])
    assert make("imagenet-sketch", tmp_path / "whole", tmp_path / "subset") == 2
    assert f"lacks 1 of the 100 classes: {WNIDS[0]}" in capsys.readouterr().err


def test_renditions_have_some_of_the_classes(tmp_path, capsys):
    there = (*WNIDS[10:29], *OTHERS)
    class_tree(tmp_path / "whole", there, ending=".jpg")
    assert make("imagenet-r", tmp_path / "whole", tmp_path / "subset", "--link=hardlink") == 0
    out = capsys.readouterr().out
    assert f"19 of its 21 classes are among the 100: {WNIDS[10]}, " in out
    assert "38 images of 19 classes" in out
    assert {path.name for path in (tmp_path / "subset").iterdir()} == set(WNIDS[10:29])


def test_renditions_of_other_classes_only(tmp_path, capsys):
    class_tree(tmp_path / "whole", OTHERS)
    assert make("imagenet-r", tmp_path / "whole", tmp_path / "subset") == 2
    assert "none of them one of the 100" in capsys.readouterr().err


def corrupted(root, grouped):
    """All corruptions and severities, empty but for two: the rest are links to one of them."""
    one = class_tree(root.parent / "one", (*WNIDS, *OTHERS), images=1)
    for number, name in enumerate((*CORRUPTIONS, "speckle_noise")):
        folder = root / f"group{number % 4}" / name if grouped else root / name
        folder.mkdir(parents=True)
        for level in SEVERITIES:
            (folder / str(level)).symlink_to(one)
    return root


@pytest.mark.parametrize("grouped", [True, False])
def test_corruptions_as_unpacked_side_by_side_or_by_archive(grouped, tmp_path, capsys):
    source = corrupted(tmp_path / "whole", grouped)
    assert make("imagenet-c", source, tmp_path / "subset") == 0
    assert "7,500 images of 100 classes" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "subset").iterdir()} == set(CORRUPTIONS)
    assert len(list((tmp_path / "subset" / "fog" / "3").iterdir())) == 100


def test_a_missing_severity_is_named(tmp_path, capsys):
    source = corrupted(tmp_path / "whole", False)
    (source / "fog" / "3").unlink()
    assert make("imagenet-c", source, tmp_path / "subset") == 2
    assert "lacks 1 of the 75 corruptions and severities that the mean is over: fog/3" in capsys.readouterr().err
    assert not (tmp_path / "subset").exists()


def test_as_a_program(tmp_path):
    class_tree(tmp_path / "whole", WNIDS[:3])
    arguments = ("--set=imagenet-r", "--source-path", tmp_path / "whole", "--subset-path", tmp_path / "subset")
    code, out, err = run("imagenet_100_robustness", *arguments)
    assert code == 0, err
    assert "3 of its 3 classes" in out
