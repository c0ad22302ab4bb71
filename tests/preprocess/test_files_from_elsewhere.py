"""Trees that other programs wrote into: neither classes nor images of theirs come into what is made."""

import tarfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from common.errors import UsageError
from data.imagenet100 import WNIDS
from data.imagenet_c import CORRUPTIONS, SEVERITIES
from preprocess import imagenet_100_robustness, imagenet_100_subset, imagenet_texture_syn, shapes_textures
from preprocess.imagenet_source import DEVKIT, GROUND_TRUTH, open_source, validation_classes
from preprocess.texture_image import Recipe, try_texture
from tests import foreign_entries
from tests.preprocess.small_trees import class_tree, content, painted_tree


def test_a_subset_is_made_without_them(tmp_path, caplog):
    for split in ("train", "val"):
        folder = class_tree(tmp_path / "all" / split)
        foreign_entries.leave(folder, folder / WNIDS[2] / f"{WNIDS[2]}_0.JPEG")
    out = tmp_path / "out"
    arguments = [f"--imagenet_path={tmp_path / 'all'}", f"--imagenet100_path={out}", "--link=copy", "--jobs=1"]
    assert imagenet_100_subset.main(arguments) == 0
    assert len(content(out)) == 2 * 200
    (out / "train" / "@eaDir").mkdir()
    (out / "train" / WNIDS[0] / "._a.JPEG").touch()
    assert imagenet_100_subset.main(arguments) == 0
    said = [record.message for record in caplog.records if "another program" in record.message]
    assert len(said) == 2, said  # of train/ and of val/


def test_archives_unpacked_on_a_mac(tmp_path):
    for name in CORRUPTIONS:
        for level in SEVERITIES:
            (tmp_path / "c" / "blur" / name / str(level)).mkdir(parents=True)
    (tmp_path / "c" / "__MACOSX" / CORRUPTIONS[0]).mkdir(parents=True)
    (tmp_path / "c" / ".Trash-1000" / CORRUPTIONS[1]).mkdir(parents=True)
    assert set(imagenet_100_robustness.corrupted_parts(tmp_path / "c").values()) == {
        tmp_path / "c" / "blur" / name / str(level) for name in CORRUPTIONS for level in SEVERITIES
    }


def test_textures_are_made_of_photographs_alone(tmp_path):
    root = painted_tree(tmp_path / "small", 4)
    foreign_entries.leave(root / "train", next((root / "train").rglob("*.JPEG")))
    arguments = [f"--imagenet_path={root}", "--tool=builtin", "--jobs=1"]
    assert imagenet_texture_syn.main(arguments) == 0
    made = tmp_path / "small-texture"
    assert len(list(made.rglob("*.png"))) == 4
    foreign_entries.leave(made / "train", next((made / "train").rglob("*.png")))
    assert imagenet_texture_syn.main(arguments) == 0


def test_shapes_are_counted_without_them(tmp_path):
    arguments = [f"--path={tmp_path / 's'}", "--train=8", "--val=8", "--conflict=8"]
    code = shapes_textures.main(arguments)
    assert code == 0
    image = next((tmp_path / "s" / "train").rglob("*.png"))
    foreign_entries.leave(tmp_path / "s" / "train", image)
    assert shapes_textures.main(arguments) == 0


def test_a_photograph_of_another_kind_has_a_texture(tmp_path):
    image = Image.effect_noise((120, 100), 60).convert("RGB")
    (tmp_path / "in").mkdir()
    image.save(tmp_path / "in" / "a.JPEG", "GIF", save_all=True, append_images=[image.rotate(90)])
    (tmp_path / "in" / "b.JPEG").write_bytes(b"")
    assert try_texture(tmp_path / "in", tmp_path / "out", Recipe(), "a.JPEG") is None
    assert (tmp_path / "out" / "a.png").exists()
    assert "b.JPEG (it is none of" in (try_texture(tmp_path / "in", tmp_path / "out", Recipe(), "b.JPEG") or "")


def devkit(folder, truth, **parts):
    folder.mkdir(exist_ok=True)
    synsets = np.array([(1, "n01"), (2, "n02")], dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    savemat(folder / "meta.mat", {"synsets": synsets})
    (folder / GROUND_TRUTH).write_bytes(truth)
    with tarfile.open(folder / DEVKIT, "w:gz") as archive:
        for name in parts.get("names", ("meta.mat", GROUND_TRUTH)):
            archive.add(folder / name, f"data/{name}")
    return folder / DEVKIT


def test_the_devkit_as_other_programs_pack_it(tmp_path):
    for truth in (b"2\n1\n", b"2\r\n1\r\n", "2\n1\n".encode("utf-16"), b"\xef\xbb\xbf2\n1"):
        assert validation_classes(devkit(tmp_path, truth)) == ["n02", "n01"]


@pytest.mark.parametrize("truth, names", [(b"x\n", None), (b"3\n", None), (b"1\n", ("meta.mat",))])
def test_a_devkit_that_is_none_is_named(tmp_path, truth, names):
    path = devkit(tmp_path, truth, **({"names": names} if names else {}))
    with pytest.raises(UsageError, match=rf"{DEVKIT} is damaged \("):
        validation_classes(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError, match=rf"{DEVKIT} is damaged \("):
        validation_classes(path)


def test_a_folder_with_classes_inside_is_named(tmp_path):
    class_tree(tmp_path / "in" / "val", WNIDS[:2], 1)
    class_tree(tmp_path / "in" / "__MACOSX", WNIDS[:2], 1)
    (tmp_path / "in" / "train").mkdir()
    (tmp_path / "in").rename(tmp_path / "train")
    with pytest.raises(UsageError, match=r"holds no class folders .*; they are in val in it"):
        open_source(tmp_path).names("train", WNIDS)
