"""A slice of the campaign of damaged images: `make torture` tries ten thousand, with the readers of both frameworks."""

from common.storage.image_files import FORMATS, decode
from tests.torture.damaged_images import attack, originals


def test_damages_end_in_an_image_or_in_one_error_that_names_the_file():
    files = {name: content for name, content in originals(("JPEG", "PNG", "GIF", "TIFF", "BMP", "PPM", "ICO")).items()}
    assert {name.split()[0] for name in files} <= set(FORMATS) and len(files) > 30
    found = attack(1, 250, 60.0, files, {"common": decode})
    assert found["failures"] == []
    assert found["counts"]["accepted by the check"] > 20 < found["counts"]["refused by common"]


def test_a_reader_that_refuses_what_the_check_accepts_is_found():
    def refuses(path):
        raise ValueError("no")

    found = attack(1, 40, 60.0, originals(("PNG",)), {"x": refuses})
    assert any(failure.endswith("ValueError: no") for failure in found["failures"])
    found = attack(1, 40, 60.0, originals(("PNG",)), {"x": lambda path: decode(path)[:, :, :2]})
    assert any("x makes uint8" in failure for failure in found["failures"])
