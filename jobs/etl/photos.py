"""From the bytes of a file that claims to be a photo to what is kept of it: pixels alone, small, and a fingerprint.

Nobody knows who wrote the file, so nothing of it is believed: the format is told by its first bytes, only three of
Pillow's decoders are ever asked, and what comes out are pixels that were encoded anew. EXIF, XMP, colour profiles,
comments and whatever was appended to the picture are left behind with the file. A colour profile is not applied:
colours of a wide gamut come out a little paler, and its parser stays out of reach.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from dataclasses import dataclass

from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile

MAX_BYTES = 25 * 1024 * 1024
MAX_PIXELS = 50_000_000
"""Above what phones send; the largest take 108 megapixels, but send 12 to 50."""
PHOTO_SIDE, PHOTO_QUALITY = 1024, 85
THUMBNAIL_SIDE, THUMBNAIL_QUALITY = 256, 80
"""Longer side in pixels at most, and JPEG's quality."""
SAME_PICTURE = 7
"""Bits of 64 in which the fingerprints of two photos of one picture may differ. Measured on 2026-11-22 on 60 generated
scenes and 46 photographs and parts of such: 95 % or more come within them when compressed to quality 25, scaled to 400
pixels, made a fifth lighter or darker, greyed, or trimmed by 1 % on all sides; 80 % when trimmed by 2 %, 9 % by 5 %. No
two of 200 different scenes or of 145 different parts of photographs do; by the spread of their distances (mean 31.4,
standard deviation 4.2) a few in a thousand million pairs would."""
PLAIN = 16
"""Levels of grey, of 256, that a picture must span for its fingerprint to tell it from another."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF's tag 274 (CIPA DC-008, 4.6.4 A)."""
_ON_ITS_SIDE = range(5, 9)
_GRID, _FREQUENCIES = 32, 8
_COSINES = [[math.cos(math.pi * (2 * x + 1) * u / (2 * _GRID)) for x in range(_GRID)] for u in range(_FREQUENCIES)]


class UnfitPhotoError(Exception):
    """A file is no photo that can be kept; the message is the reason, in words."""


@dataclass(frozen=True)
class Photo:
    """What is kept of a photo.

    Attributes
    ----------
    width, height : int
        Pixels of the original, upright.
    phash : int or None
        Perceptual hash, see :func:`perceptual_hash`.
    photo, thumbnail : bytes
        JPEG, at most 1024 and 256 pixels on the longer side.
    """

    width: int
    height: int
    phash: int | None
    photo: bytes
    thumbnail: bytes


def place_of(path: str) -> tuple[str, str]:
    """Which claim a photo belongs to, and its name among the claim's photos.

    Parameters
    ----------
    path : str
        Below the line's ``photos/``.

    Raises
    ------
    UnfitPhotoError
        It lies in no claim's folder.

    Examples
    --------
    >>> place_of("C 17/front/left.jpg")
    ('C 17', 'front/left.jpg')
    """
    claim_id, _, name = path.partition("/")
    if not name or {"", ".", ".."} & {claim_id, *name.split("/")}:
        raise UnfitPhotoError("lies in no claim's folder; drop it at photos/<claim id>/<name>")
    return claim_id, name


def normalise(content: bytes) -> Photo:
    """Decode a photo and make of it what is kept.

    Call it where time and memory are limited, see :mod:`jobs.etl.decode`: a file may be made to take much of both.

    Raises
    ------
    UnfitPhotoError
        It is empty, too large, no JPEG, PNG or WebP, broken, animated, or an archive too.
    """
    if not content:
        raise UnfitPhotoError("empty")
    if len(content) > MAX_BYTES:
        raise UnfitPhotoError(too_large(len(content)))
    name, plugin = _format(content)
    try:
        if name == "WebP":  # whose plugin already sets room aside when it opens a file
            _check_size(*_webp_size(content))
        image = plugin(io.BytesIO(content))
        _check_size(*image.size)
        if getattr(image, "is_animated", False):
            raise UnfitPhotoError("animated; send a still picture")
        if _is_archive(content):
            raise UnfitPhotoError(f"a {name} and an archive at once")
        return _kept(image)
    except UnfitPhotoError:
        raise
    except MemoryError:
        raise UnfitPhotoError("takes more memory to decode than a photo may") from None
    # Decoders raise whatever comes to them: OSError, SyntaxError, ValueError, struct.error, zlib.error, ...
    except Exception as error:
        raise UnfitPhotoError(f"broken or cut short: it begins as a {name}, but cannot be decoded") from error


def too_large(size: int) -> str:
    """Reason to refuse a file of so many bytes."""
    return f"{size:,} bytes; a photo may have {MAX_BYTES:,}"


def perceptual_hash(image: Image.Image) -> int | None:
    """64 bits that stay nearly the same when a picture is scaled, compressed anew, or made brighter.

    Returns
    -------
    int or None
        From -2^63 to 2^63 - 1, as Postgres keeps it; None for a picture so plain that it looks like any other.

    Notes
    -----
    The lowest 8 by 8 frequencies of a discrete cosine transform of the picture at 32 by 32 greys, the constant one
    among them, each above their median or not: C. Zauner, Implementation and Benchmarking of Perceptual Image Hash
    Functions, 2010, section 3.2.1.
    """
    grey = image.convert("L").resize((_GRID, _GRID), Image.Resampling.LANCZOS).tobytes()
    if max(grey) - min(grey) < PLAIN:
        return None
    rows = [grey[start : start + _GRID] for start in range(0, len(grey), _GRID)]
    across = [[sum(map(float.__mul__, cosine, map(float, row))) for row in rows] for cosine in _COSINES]
    values = [sum(map(float.__mul__, cosine, column)) for cosine in _COSINES for column in across]
    ordered = sorted(values)
    median = (ordered[31] + ordered[32]) / 2
    bits = sum(1 << place for place, value in enumerate(values) if value > median)
    return bits - (bits >> 63 << 64)


def _format(content: bytes) -> tuple[str, type[ImageFile]]:
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG", JpegImagePlugin.JpegImageFile
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", PngImagePlugin.PngImageFile
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "WebP", WebPImagePlugin.WebPImageFile
    raise UnfitPhotoError("no JPEG, PNG or WebP")


def _webp_size(content: bytes) -> tuple[int, int]:
    """Pixels as the header declares them: RFC 9649, sections 2.5 to 2.7, and RFC 6386, section 9.1."""
    if content[12:16] == b"VP8X":
        width, wide, height, high = struct.unpack_from("<HBHB", content, 24)
        return (wide << 16 | width) + 1, (high << 16 | height) + 1
    if content[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", content, 26)
    return width & 0x3FFF, height & 0x3FFF


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnfitPhotoError(f"{width:,} by {height:,} pixels; a photo may have {MAX_PIXELS:,}")


def _is_archive(content: bytes) -> bool:
    """Whether a zip reader takes the file for a zip: that is found by its end."""
    try:
        return bool(zipfile.ZipFile(io.BytesIO(content)).filelist)
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return False


def _kept(image: ImageFile) -> Photo:
    (width, height), orientation = image.size, _orientation(image)
    image.draft(image.mode, (PHOTO_SIDE, PHOTO_SIDE))  # a JPEG is decoded at a fraction of its size
    small = _in_colour(image)
    small.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BILINEAR)
    # A new image: the old one has EXIF, profile and comments in its pocket.
    photo = Image.new("RGB", small.size, "white")
    photo.paste(small, mask=small if small.mode == "RGBA" else None)
    if orientation in _UPRIGHT:
        photo = photo.transpose(_UPRIGHT[orientation])
    if orientation in _ON_ITS_SIDE:
        width, height = height, width
    thumbnail = photo.copy()
    thumbnail.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    kept = (_jpeg(photo, PHOTO_QUALITY), _jpeg(thumbnail, THUMBNAIL_QUALITY))
    return Photo(width, height, perceptual_hash(thumbnail), *kept)


def _orientation(image: ImageFile) -> object:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # an EXIF that cannot be read says nothing; the picture beside it may be sound
        return None


def _in_colour(image: Image.Image) -> Image.Image:
    """Of any mode, as RGB or, where parts of it are transparent, as RGBA."""
    if image.mode.startswith("I"):  # 16 bits of grey, which a mere conversion would cut off at 255
        image = image.point(lambda grey: grey / 256).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
