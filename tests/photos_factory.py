"""Photos that tests drop: generated scenes, each different, and files that only look like photos."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

from PIL import Image, ImageDraw


def scene(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Draw soft blots with some hard-edged things before them; another seed gives another scene."""
    draw = random.Random(seed)
    grain = [Image.frombytes("L", (6, 5), draw.randbytes(30)).resize((width, height)) for _ in "rgb"]
    image = Image.merge("RGB", grain)
    pencil = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = draw.randrange(width), draw.randrange(height)
        box = (left, top, left + draw.randint(20, width // 2), top + draw.randint(20, height // 2))
        pencil.ellipse(box, fill=(draw.randrange(256), draw.randrange(256), draw.randrange(256)))
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Write an image as a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def jpeg(seed: int) -> bytes:
    """One photo; another seed gives another."""
    return encoded(scene(seed))


def png(width: int, height: int, *chunks: tuple[bytes, bytes], data: bytes | None = None) -> bytes:
    """Write a PNG of zeros by hand, with more chunks before its pixels; `data` stands in for the packed pixels."""
    packed = zlib.compress(bytes((1 + 3 * width) * height)) if data is None else data
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
