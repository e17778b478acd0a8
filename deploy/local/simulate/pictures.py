"""Draw the photos of the generated claims: a damaged car in a blurred place, small and cheap, no two alike."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

SIZE = (192, 144)
"""Width and height in pixels."""

_QUALITY, _WORSE_QUALITY = 75, 45
_MARGIN = 3  # pixels cut off on each side


def draw_jpeg(seed: int, number: int, which: int, treatment: str) -> bytes:
    """Draw one photo.

    Parameters
    ----------
    seed : int
        Seed of the book.
    number, which : int
        Claim, and which of its photos, from 0: what is on the photo.
    treatment : {'same', 're-encoded', 'cropped'}
        What was done to it since.

    Returns
    -------
    bytes
        A JPEG of 192 x 144 pixels, about 4 kB, the same for the same arguments and the same Pillow.
    """
    picture, quality = _draw(np.random.default_rng([seed, number, which])), _QUALITY
    if treatment == "cropped":
        width, height = SIZE
        picture = picture.resize(SIZE, box=(_MARGIN, _MARGIN, width - _MARGIN, height - _MARGIN))
    elif treatment == "re-encoded":
        quality = _WORSE_QUALITY
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _draw(rng: np.random.Generator) -> Image.Image:
    # A field of few colours, blurred, is what tells two photos apart at a glance and to a perceptual hash.
    field = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    picture = field.resize(SIZE, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    paint, dark = tuple(rng.integers(20, 236, 3).tolist()), (30, 30, 34)
    left, top, length = (int(rng.integers(low, high)) for low, high in ((8, 50), (50, 80), (95, 130)))
    roof, wheel = top - int(rng.integers(18, 30)), 12
    pen.polygon(
        [(left + 18, top), (left + 36, roof), (left + length - 34, roof), (left + length - 12, top)],
        fill=(150, 170, 190),
    )
    pen.rounded_rectangle((left, top, left + length, top + 34), 8, fill=paint)
    for hub in (left + 24, left + length - 24):
        pen.ellipse((hub - wheel, top + 34 - wheel, hub + wheel, top + 34 + wheel), fill=dark)
    for _ in range(int(rng.integers(2, 6))):  # dents and scratches
        x, y = left + int(rng.integers(0, length)), top + int(rng.integers(0, 34))
        pen.line(
            [(x, y), *((x + int(dx), y + int(dy)) for dx, dy in rng.integers(-16, 17, (3, 2)))], fill=dark, width=2
        )
    return picture
