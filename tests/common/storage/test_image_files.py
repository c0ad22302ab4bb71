"""One decoder for image files of any kind; whatever is wrong with one, the error names it."""

import io
import pickle
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from common.errors import UnreadableImage
from common.storage.image_files import decode, image_size, open_rgb, why_unreadable

COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((60, 48), 3)
OTHER = COLOURS.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def written(format_, image=COLOURS, **options):
    content = io.BytesIO()
    image.save(content, format_, **options)
    return content.getvalue()


def png16(pixels, colour_type):
    """A PNG of 16 bits, which Pillow does not write in colour."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def claims(width, height):
    """A JPEG whose header says another size than it has."""
    content = bytearray(written("JPEG"))
    place = content.find(b"\xff\xc0")
    content[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(content)


MODES = {"PNG": "RGB L 1 P RGBA LA", "TIFF": "RGB L 1 P RGBA LA CMYK", "JPEG": "RGB L 1 CMYK"}


@pytest.mark.parametrize("format_, mode", [(name, mode) for name, modes in MODES.items() for mode in modes.split()])
def test_every_mode_becomes_rgb_in_bytes(format_, mode):
    image = COLOURS.convert(mode)
    found = decode(written(format_, image))
    assert found.shape == (48, 60, 3) and found.dtype == np.uint8 and found.flags.writeable
    if format_ != "JPEG":
        np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "MPO"])
def test_of_an_animation_it_is_the_first_frame(format_):
    content = written(format_, save_all=True, append_images=[OTHER])
    found = decode(content).astype(int)
    assert np.abs(found - np.asarray(COLOURS)).mean() < 12 < np.abs(found - np.asarray(OTHER)).mean()
    assert why_unreadable(content) == ""


def test_of_sixteen_bits_the_upper_eight_are_kept():
    grey = np.asarray(COLOURS.convert("L")).astype(np.uint16) * 256 + 200
    for content in (written("PNG", Image.fromarray(grey)), written("TIFF", Image.fromarray(grey)), png16(grey, 0)):
        np.testing.assert_array_equal(decode(content)[:, :, 1], grey >> 8)
    np.testing.assert_array_equal(
        decode(png16(np.asarray(COLOURS).astype(np.uint16) * 256 + 9, 2)), np.asarray(COLOURS)
    )
    wide = b"P5 60 48 65535\n" + grey.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode(wide)[:, :, 0], grey >> 8)


def test_transparency_is_dropped_without_a_warning(recwarn):
    image = COLOURS.convert("P")
    content = written("PNG", image, transparency=bytes(range(256)))
    np.testing.assert_array_equal(decode(content), np.asarray(image.convert("RGB")))
    assert not recwarn.list


def test_the_orientation_in_exif_is_not_applied():
    exif = Image.Exif()
    exif[0x112] = 6  # lies on its side
    assert decode(written("JPEG", exif=exif)).shape == (48, 60, 3)


@pytest.mark.parametrize(
    "content, why",
    [
        (b"", "it is none of JPEG, PNG"),
        (b"<html>not found</html>", "it is none of JPEG, PNG"),
        (written("JPEG")[:-300], "truncated"),
        (claims(20000, 20000), "exceeds limit"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "it is none of JPEG, PNG"),
        (written("TIFF", Image.fromarray(np.ones((4, 4), np.float32))), "mode F: save it as RGB"),
        (written("TIFF", Image.fromarray(np.ones((4, 4), np.int32))), "mode I: save it as RGB"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, why):
    path = tmp_path / "a b.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"a b\.jpg cannot be read as an image \(.*\): get it again, or move"):
        decode(path)
    assert why in why_unreadable(path)
    with pytest.raises(UnreadableImage, match=r"^image 7 of x cannot"):
        open_rgb(content, "image 7 of x")


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    assert why_unreadable(tmp_path / "no.jpg") == "No such file or directory"
    assert why_unreadable(tmp_path) == "Is a directory"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "MPO", "GIF", "WEBP"])
@pytest.mark.parametrize("after", [b"", b"\0" * 9, b"x"])
def test_the_size_of_a_whole_file_and_of_one_with_bytes_after_its_end(tmp_path, format_, after):
    content = written(format_, **({"save_all": True, "append_images": [OTHER]} if format_ == "MPO" else {})) + after
    (tmp_path / "a.jpg").write_bytes(content)
    assert image_size(tmp_path / "a.jpg") == image_size(content) == (60, 48)


@pytest.mark.parametrize("format_, lost", [("JPEG", 3), ("JPEG", 30), ("PNG", 30), ("GIF", 30), ("WEBP", 30)])
def test_the_size_of_a_file_that_was_cut_off_is_not_told(tmp_path, format_, lost):
    (tmp_path / "a.jpg").write_bytes(written(format_)[:-lost])
    with pytest.raises(UnreadableImage, match=r"a\.jpg cannot be read"):
        image_size(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImage, match="image 7"):
        image_size(written(format_)[:-lost], "image 7")


def test_what_lies_between_header_and_end_is_not_read_for_the_size(tmp_path):
    content = written("JPEG")
    (tmp_path / "a.jpg").write_bytes(content[:-200] + content[-2:])
    assert image_size(tmp_path / "a.jpg") == (60, 48)
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(UnreadableImage, match=r"a\.jpg cannot be read"):
        image_size(tmp_path / "a.jpg")


def test_the_error_crosses_between_processes():
    with pytest.raises(UnreadableImage) as raised:
        decode(b"", "x")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.why) == (str(raised.value), raised.value.why)


def test_no_other_program_reads_a_file():
    """Pillow gives EPS to Ghostscript."""
    script = "import sys, common.storage.image_files\nassert 'PIL.EpsImagePlugin' not in sys.modules\n"
    script += (
        "try: common.storage.image_files.decode(b'%!PS-Adobe-3.0 EPSF-3.0')\nexcept Exception as error: print(error)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "it is none of" in out
