"""What holds for every file that claims to be a photo."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.etl.photos import UnfitPhotoError, normalise
from tests.photos_factory import encoded, scene

SOUND = [
    encoded(scene(1, 60, 40)),
    encoded(scene(1, 60, 40), progressive=True),
    encoded(scene(2, 60, 40).convert("CMYK")),
    encoded(scene(3, 60, 40), "PNG"),
    encoded(scene(3, 60, 40).quantize(16), "PNG", transparency=0),
    encoded(scene(4, 60, 40), "WEBP"),
    encoded(scene(4, 60, 40).convert("RGBA"), "WEBP", lossless=True),
]


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(SOUND),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=6)), max_size=4),
    st.integers(0, 4000),
)
def test_whatever_it_holds(sound: bytes, changes: list[tuple[int, bytes]], kept: int) -> None:
    """A photo that is changed and cut anywhere is a sound, small JPEG without anything beside it, or is refused."""
    content = bytearray(sound)
    for place, change in changes:
        content[place % len(content) : place % len(content) + len(change)] = change
    try:
        found = normalise(bytes(content[: max(kept, 1)] if kept % 2 else content))
    except UnfitPhotoError as error:
        assert str(error)
        return
    for stored, side in ((found.photo, 1024), (found.thumbnail, 256)):
        image = Image.open(io.BytesIO(stored), formats=["JPEG"])
        image.load()
        assert max(image.size) <= side
        assert image.mode == "RGB"
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert found.width > 0 < found.height


@settings(deadline=None)
@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8X", b""]), st.binary(max_size=300))
def test_garbage(start: bytes, rest: bytes) -> None:
    """Any bytes at all are refused, whatever format they pretend to be."""
    with pytest.raises(UnfitPhotoError):
        normalise(start + rest)
