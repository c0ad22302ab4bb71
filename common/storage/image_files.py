"""Image files of any origin as RGB in bytes: one decoder for checks, training, evaluation and preprocessing.

Of an animation, a camera's MPO or a TIFF of several pages it is the first frame; of 16 bits the upper 8; palettes,
grey, CMYK and 1-bit images become RGB as Pillow makes it; transparency is dropped. The orientation that a camera writes
into EXIF is not applied: torchvision's default loader and TensorFlow's decode_jpeg, which the authors' programs read
with, do not look at it. The readers of torchvision and TensorFlow are faster and may be tried first; what they refuse,
or give in another shape, is decoded here, so that every part of the suite accepts the same files.
"""

from __future__ import annotations

import io
import os
import stat

import numpy as np
from PIL import Image

from common.errors import UnreadableImage
from common.foreign_text import one_line

# Not all that Pillow opens: to read EPS it starts another program, and formats without a signature fit any damage.
# A camera's MPO is one of JPEG.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "DIB", "PPM", "ICO", "JPEG2000", "AVIF")
ENDS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # of nearly every JPEG, MPO and PNG
BITS_PER_SAMPLE = 258  # tag of TIFF

ImageFile = str | os.PathLike[str] | bytes


def open_rgb(file: ImageFile, name: str = "", *, draft: bool = False) -> Image.Image:
    """A file, or its content, as an RGB image.

    name: what the error calls it, else its path; draft: read to its end, but a JPEG at an eighth of its size, which is
    cheaper. Raises: UnreadableImage.
    """
    try:
        with _opened(file) as image:
            if draft:
                image.draft("RGB", (1, 1))
            return _rgb(image)
    except Exception as error:  # whatever a parser of Pillow's meets in a damaged file
        raise _unreadable(file, name, error) from error


def decode(file: ImageFile, name: str = "") -> np.ndarray:
    """A file, or its content, as uint8 [H, W, 3]. Raises: UnreadableImage naming it."""
    return np.array(open_rgb(file, name))


def image_size(file: ImageFile, name: str = "") -> tuple[int, int]:
    """(width, height) by the header. A file is read to its end only where its last bytes are not those of an image.

    So one that was cut off is found, and one with other bytes after its end is not refused; what is damaged in between
    is not seen. Raises: UnreadableImage naming the file.
    """
    try:
        with _opened(file) as image:
            _refuse_mode(image)
            size = image.size
            if not _tail(file).endswith(ENDS):
                image.draft("RGB", (1, 1))
                _rgb(image)
            return size
    except Exception as error:
        raise _unreadable(file, name, error) from error


def why_unreadable(file: ImageFile) -> str:
    """Why `decode` would refuse the file, or "": it is read to its end."""
    try:
        open_rgb(file, draft=True)
    except UnreadableImage as error:
        return error.why
    return ""


def _opened(file: ImageFile) -> Image.Image:
    if isinstance(file, bytes):
        return Image.open(io.BytesIO(file), formats=FORMATS)
    mode = os.stat(file).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a named pipe would be waited for
        raise ValueError("it is not a file")
    return Image.open(file, formats=FORMATS)


def _tail(file: ImageFile) -> bytes:
    if isinstance(file, bytes):
        return file[-8:]
    with open(file, "rb") as stream:
        stream.seek(-min(8, os.fstat(stream.fileno()).st_size), os.SEEK_END)
        return stream.read()


def _unreadable(file: ImageFile, name: str, error: Exception) -> UnreadableImage:
    why = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
    if isinstance(error, Image.UnidentifiedImageError):
        why = f"it is none of {', '.join(FORMATS)}"
    shown = name or ("an image" if isinstance(file, bytes) else os.fspath(file))
    found = UnreadableImage(f"{shown} cannot be read as an image ({why}): get it again, or move it away")
    found.why = why
    return found


def _refuse_mode(image: Image.Image) -> None:
    """Raises: ValueError for pixels whose values have no end that could be called white."""
    if image.mode in ("F", "LAB", "HSV") or (image.mode == "I" and image.format != "PPM"):
        raise ValueError(f"its pixels are of Pillow's mode {image.mode}: save it as RGB with 8 bits")


def _rgb(image: Image.Image) -> Image.Image:
    _refuse_mode(image)
    if image.mode.startswith("I"):
        # DEVIATION: Pillow, and the authors' loader with it, cuts 16 bits off at 255, which leaves white. TensorFlow
        # takes the upper 8 bits.
        bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]
        image = Image.fromarray((np.asarray(image) >> (bits - 8)).clip(0, 255).astype(np.uint8))
    elif image.mode in ("P", "PA", "RGBa") and (image.mode != "P" or "transparency" in image.info):
        image = image.convert("RGBA")  # else Pillow warns that the transparency is lost
    elif image.mode == "La":
        image = image.convert("LA")
    return image.convert("RGB")
