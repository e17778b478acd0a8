"""What is kept of a photo, and which files are none."""

from __future__ import annotations

import io
import itertools
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageCms, ImageEnhance

from jobs.etl.photos import MAX_BYTES, SAME_PICTURE, UnfitPhotoError, normalise, perceptual_hash, place_of
from tests.photos_factory import encoded, jpeg, png, scene

GPS, MAKE, ORIENTATION = 0x8825, 0x010F, 0x0112


def _image(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def _distance(one: Image.Image, other: Image.Image) -> int:
    first, second = perceptual_hash(one), perceptual_hash(other)
    assert first is not None and second is not None
    return ((first ^ second) & (2**64 - 1)).bit_count()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("evil.js", "alert(1)")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_is_kept(kind: str) -> None:
    """Of each format two JPEG are kept, at most 1024 and 256 pixels long, and the size of the original is told."""
    kept = normalise(encoded(scene(1, 1600, 1200), kind))
    assert (kept.width, kept.height) == (1600, 1200)
    photo, thumbnail = _image(kept.photo), _image(kept.thumbnail)
    assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (1024, 768))
    assert (thumbnail.format, thumbnail.mode, thumbnail.size) == ("JPEG", "RGB", (256, 192))
    assert kept.phash is not None
    assert -(2**63) <= kept.phash < 2**63


def test_a_small_photo_is_not_blown_up() -> None:
    """A photo smaller than that keeps its size, down to a single pixel."""
    assert _image(normalise(jpeg(1)).photo).size == (320, 240)
    assert _image(normalise(encoded(Image.new("RGB", (1, 1)), "PNG")).photo).size == (1, 1)
    assert _image(normalise(encoded(Image.new("RGB", (9000, 1)), "PNG")).photo).size == (1024, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_where_it_was_taken_is_gone(kind: str) -> None:
    """Nothing that stands beside the pixels is kept: EXIF with its place, XMP, profile, comment."""
    exif = Image.Exif()
    exif[MAKE] = "SECRET-CAMERA"
    exif.get_ifd(GPS)[2] = (48.0, 12.0, 34.5)
    exif.get_ifd(GPS)[29] = "SECRET-PLACE"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"comment": b"SECRET-COMMENT"} if kind == "JPEG" else {}
    content = encoded(scene(2), kind, exif=exif, icc_profile=profile, xmp=b"<x>SECRET-XMP</x>", **options)
    assert b"SECRET" in content
    kept = normalise(content)
    for stored in (kept.photo, kept.thumbnail):
        assert not any(word in stored for word in (b"SECRET", b"Exif", b"ICC_PROFILE", b"xap", b"lcms"))
        image = _image(stored)
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert not image.getexif()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_upright(orientation: int) -> None:
    """Each of the eight ways to hold a camera comes out as the same upright picture, with the same fingerprint."""
    upright = scene(3)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions, each the inverse of what EXIF asks for
    held = upright.transpose(Image.Transpose(undo[orientation])) if orientation in undo else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    kept = normalise(encoded(held, "PNG", exif=exif))
    assert (kept.width, kept.height) == upright.size
    assert _distance(_image(kept.photo), upright) <= 2


@pytest.mark.filterwarnings("ignore")
def test_an_unreadable_exif_harms_nothing() -> None:
    """A photo whose EXIF is broken, or says that it is held in a ninth way, is kept as it lies."""
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    loop = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03\xff\xff\xff\xff\0\0\0\x08" * 5000
    for odd in (exif.tobytes(), b"Exif\0\0garbage", loop[:65_000]):
        assert normalise(encoded(scene(4), exif=odd)).width == 320


def _grey_16() -> Image.Image:
    return Image.frombytes("I;16", (256, 64), b"".join(struct.pack("<H", x * 257) for x in range(256)) * 64)


@pytest.mark.parametrize(
    ("content", "left", "right"),
    [
        (encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), "PNG"), (255, 255, 255), (255, 255, 255)),
        (encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 128)), "WEBP", lossless=True), (255, 127, 127), None),
        (encoded(Image.new("LA", (64, 64), (0, 0)), "PNG"), (255, 255, 255), None),
        (encoded(Image.new("P", (64, 64)), "PNG", transparency=0), (255, 255, 255), None),
        (encoded(Image.new("RGB", (64, 64), "red").quantize(4), "PNG"), (255, 0, 0), None),
        (encoded(Image.new("L", (64, 64), 90)), (90, 90, 90), None),
        (encoded(Image.new("1", (64, 64), 1), "PNG"), (255, 255, 255), None),
        (encoded(Image.new("CMYK", (64, 64), (0, 255, 255, 0))), (255, 0, 0), None),
        (encoded(_grey_16(), "PNG"), (0, 0, 0), (255, 255, 255)),
    ],
    ids=["clear", "half clear", "clear grey", "clear palette", "palette", "grey", "bits", "cmyk", "16 bits"],
)
def test_every_mode_becomes_colour(content: bytes, left: tuple[int, ...], right: tuple[int, ...] | None) -> None:
    """Clear parts are white; palettes, greys of any depth and printers' colours look as they should."""
    image = _image(normalise(content).photo)
    for at, wanted in ((0, left), (image.width - 1, right or left)):
        found = image.getpixel((at, 30))
        assert isinstance(found, tuple)
        assert all(abs(a - b) <= 6 for a, b in zip(found, wanted, strict=True))


def _animated(kind: str) -> bytes:
    return encoded(scene(1), kind, save_all=True, append_images=[scene(2)])


UNFIT = {
    "empty": (b"", "empty"),
    "too many bytes": (b"\xff\xd8\xff" + bytes(MAX_BYTES), "a photo may have 26,214,400"),
    "text": (b"hello", "no JPEG, PNG or WebP"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', "no JPEG"),
    "html": (b"<!doctype html><img src=x onerror=alert(1)>", "no JPEG"),
    "zip": (_zip(), "no JPEG"),
    "gif": (encoded(scene(1), "GIF"), "no JPEG"),
    "tiff": (encoded(scene(1), "TIFF"), "no JPEG"),
    "bmp": (encoded(scene(1), "BMP"), "no JPEG"),
    "pdf before jpeg": (b"%PDF-1.7\n" + jpeg(1), "no JPEG"),
    "jpeg and zip": (jpeg(1) + _zip(), "a JPEG and an archive at once"),
    "png and zip": (encoded(scene(1), "PNG") + _zip(), "a PNG and an archive at once"),
    "jpeg in name": (b"\xff\xd8\xff", "broken or cut short: it begins as a JPEG"),
    "jpeg cut": (jpeg(1)[:-500], "broken or cut short: it begins as a JPEG"),
    "jpeg cut by one byte": (jpeg(1)[:-2], "broken"),
    "png cut": (encoded(scene(1), "PNG")[:-5000], "broken or cut short: it begins as a PNG"),
    "png without pixels": (png(50, 50, data=b""), "broken"),
    "webp cut": (encoded(scene(1), "WEBP")[:-500], "broken or cut short: it begins as a WebP"),
    "webp head": (b"RIFF\0\0\0\0WEBPVP8X", "broken"),
    "many pixels": (png(30_000, 30_000, data=zlib.compress(bytes(1 << 20))), "30,000 by 30,000 pixels"),
    "most pixels": (png(2**31 - 1, 2**31 - 1, data=b""), "pixels; a photo may have"),
    "webp of many pixels": (b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2, "16,384 by 16,384"),
    "no pixels": (png(0, 10, data=b""), "broken"),
    "text bomb": (png(9, 9, (b"zTXt", b"a\0\0" + zlib.compress(bytes(70 << 20)))), "broken"),
    "profile bomb": (png(9, 9, (b"iCCP", b"a\0\0" + zlib.compress(bytes(70 << 20)))), "broken"),
    "moving png": (_animated("PNG"), "animated; send a still picture"),
    "moving webp": (_animated("WEBP"), "animated; send a still picture"),
}


@pytest.mark.parametrize(("content", "reason"), UNFIT.values(), ids=UNFIT)
def test_what_is_no_photo(content: bytes, reason: str) -> None:
    """A file that is no sound still picture of the three formats is refused, in words that say why."""
    with pytest.raises(UnfitPhotoError, match=reason):
        normalise(content)


def test_what_follows_a_jpeg_is_left_behind() -> None:
    """A phone appends a film or a depth map to a photo: the photo is kept, what follows it is not."""
    assert normalise(jpeg(1) + b"\0ftypmp42SECRET" * 99) == normalise(jpeg(1))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("c1/a.jpg", ("c1", "a.jpg")),
        ("C 1/deep/er/ä b.jpg", ("C 1", "deep/er/ä b.jpg")),
        (" / ", (" ", " ")),
        ("a.jpg", None),
        ("../a.jpg", None),
        ("c1/../c2/a.jpg", None),
        ("c1//a.jpg", None),
        ("c1/", None),
        ("/a.jpg", None),
    ],
)
def test_places(path: str, place: tuple[str, str] | None) -> None:
    """The first folder names the claim; a file outside of one, or one that climbs out of it, is refused."""
    if place is None:
        with pytest.raises(UnfitPhotoError, match="lies in no claim's folder"):
            place_of(path)
    else:
        assert place_of(path) == place


CHANGES = {
    "compressed": lambda image: _image(encoded(image, quality=30)),
    "as WebP": lambda image: _image(encoded(image, "WEBP", quality=60)),
    "smaller": lambda image: image.resize((130, 100)),
    "lighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "grey": lambda image: image.convert("L"),
    "trimmed": lambda image: image.crop((3, 2, 317, 238)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_same_picture_is_known_again(change: Callable[[Image.Image], Image.Image]) -> None:
    """Nine of ten pictures are known again after what happens to a photo that is sent once more."""
    known = [_distance(image, change(image)) <= SAME_PICTURE for image in map(scene, range(30))]
    assert sum(known) >= 27


def test_different_pictures_are_told_apart() -> None:
    """No two of a hundred scenes are taken for the same."""
    hashes = [perceptual_hash(scene(seed)) for seed in range(100)]
    assert None not in hashes
    pairs = itertools.combinations([found for found in hashes if found is not None], 2)
    assert min(((one ^ other) & (2**64 - 1)).bit_count() for one, other in pairs) > SAME_PICTURE


def test_a_plain_picture_has_no_fingerprint() -> None:
    """A picture of nearly one grey looks like any other such, so it has no fingerprint."""
    assert normalise(encoded(Image.new("RGB", (64, 64), "white"))).phash is None


def test_a_real_photo(real_claims: Path) -> None:
    """A real photo is kept, and known again at half its size."""
    content = (real_claims / "photos" / "barcroft_car_damaged_by_tree.jpg").read_bytes()
    kept, image = normalise(content), _image(content)
    assert (kept.width, kept.height) == (1024, 1365)
    assert _image(kept.photo).size == (768, 1024)
    assert _distance(image, image.resize((512, 682))) <= SAME_PICTURE
