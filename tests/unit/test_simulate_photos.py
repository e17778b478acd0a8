"""The photos of the generated claims."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from deploy.local.simulate import BookError, simulate
from deploy.local.simulate import pictures as drawing
from deploy.local.simulate.photos import TREATMENTS
from deploy.local.simulate.pictures import SIZE, draw_jpeg
from tests.book_factory import START, all_bytes, read_book

CLAIMS, WEEKS = 2000, 8
NEAR = 12
"""Bits of 64 within which two difference hashes are taken for one photo."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a small book with the photos of a tenth of its claims."""
    folder = tmp_path_factory.mktemp("book")
    simulate(folder, CLAIMS, WEEKS, 7, START, photos=0.1)
    return folder


def _difference_hash(jpeg: bytes) -> np.ndarray:
    """Whether each of 8 x 8 fields is darker than the one to its right."""
    grey = Image.open(BytesIO(jpeg)).convert("L").resize((9, 8), Image.Resampling.LANCZOS)
    fields = np.asarray(grey).astype(int)
    return (fields[:, :-1] < fields[:, 1:]).ravel()


def _distance(one: bytes, other: bytes) -> int:
    return int((_difference_hash(one) != _difference_hash(other)).sum())


def test_claims_have_as_many_photos_as_they_say(folder: Path) -> None:
    """The folder of each claim with photos holds as many as its column says; a tenth of the claims have them."""
    rows = pl.concat(
        pl.read_csv(path, encoding="utf8-lossy", truncate_ragged_lines=True, infer_schema=False)
        for path in (folder / "claims").iterdir()
    )
    told = dict(rows.filter(pl.col("photos").is_not_null()).select("claim_id", "photos").iter_rows())
    found = {claim.name: sorted(path.name for path in claim.iterdir()) for claim in (folder / "photos").iterdir()}
    assert len(found) == pytest.approx(CLAIMS * 0.1 * 0.92, rel=0.2)
    for claim, names in found.items():
        assert names == [f"{n + 1}.jpg" for n in range(len(names))]
        assert claim not in told or str(len(names)) == told[claim]


def test_photos_are_small_jpegs(folder: Path) -> None:
    """Each photo opens as a JPEG of 192 x 144 pixels in few kilobytes."""
    for path in list((folder / "photos").glob("*/*.jpg"))[:50]:
        with Image.open(path) as photo:
            photo.load()
            assert (photo.format, photo.size) == ("JPEG", SIZE)
        assert path.stat().st_size < 10_000


def test_photos_change_nothing_else(folder: Path, tmp_path: Path) -> None:
    """The book without photos has the same other files, and with photos it is the same again."""
    simulate(tmp_path / "without", CLAIMS, WEEKS, 7, START)
    book, without = all_bytes(folder), all_bytes(tmp_path / "without")
    assert without == {name: content for name, content in book.items() if not name.startswith("photos")}
    assert simulate(folder, CLAIMS, WEEKS, 7, START, photos=0.1).photos == len(book) - len(without)
    assert all_bytes(folder) == book


def test_used_photos_are_found_by_their_looks(folder: Path) -> None:
    """The last photo of a claim that took one is near the first of the other claim."""
    truth = pl.read_csv(folder / "truth.csv").drop_nulls("photo_from")
    pairs = [
        (folder / "photos" / source / "1.jpg", max((folder / "photos" / claim).iterdir()))
        for claim, source in truth.select("claim_id", "photo_from").iter_rows()
        if (folder / "photos" / claim).exists()
    ]
    assert len(pairs) >= 2  # of about three
    assert all(_distance(source.read_bytes(), taken.read_bytes()) <= NEAR for source, taken in pairs)


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_treated_photo_is_near_itself(treatment: str) -> None:
    """A photo that was encoded again or cropped keeps its perceptual hash to a few bits, but not its bytes."""
    originals, treated = ([draw_jpeg(7, n, 0, how) for n in range(60)] for how in ("same", treatment))
    assert all(_distance(*pair) <= NEAR for pair in zip(originals, treated, strict=True))
    assert (originals == treated) == (treatment == "same")


def test_photos_of_different_claims_are_unlike() -> None:
    """Two photos that nobody re-used are taken for one less than once in a thousand pairs."""
    hashes = np.array([_difference_hash(draw_jpeg(7, n, n % 3, "same")) for n in range(200)])
    distances = (hashes[:, None] != hashes).sum(axis=2)[np.triu_indices(200, 1)]
    assert (distances <= NEAR).mean() < 0.001


def test_photos_are_used_again_by_others_and_now_and_then_by_the_same_claimant() -> None:
    """A photo comes from an earlier claim; somebody else's points to fraud, the claimant's own does not."""
    claims = read_book()
    source = claims.select(photo_from="claim_id", owner="claimant_id", theirs="photos")
    used = claims.join(source, on="photo_from").with_columns(own=pl.col("owner") == pl.col("claimant_id"))
    assert (used["photo_from"] < used["claim_id"]).all()
    assert (used["photos"] >= 1).all() and (used["theirs"] >= 2).all()
    taken, own = used.filter(~pl.col("own")), used.filter("own")
    assert 0.15 < taken["is_fraud"].mean() < 0.4
    assert len(own) > 50
    assert own["is_fraud"].mean() < 0.1


def test_photos_of_another_book_are_refused(folder: Path) -> None:
    """A folder with photos that the new book would not overwrite is refused and left as it was."""
    before = all_bytes(folder)
    for other in ({"photos": 0.05}, {"photos": 0.0}):
        with pytest.raises(BookError, match=r"photos of another book, such as C\d+/\d\.jpg: empty it first"):
            simulate(folder, CLAIMS, WEEKS, 7, START, **other)
    assert all_bytes(folder) == before


def test_failure_leaves_no_half_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails at a photo leaves whole photos only."""
    drawn = iter(range(10))

    def fail_on_fifth(*what: object) -> bytes:
        if next(drawn) == 4:
            raise KeyboardInterrupt
        return b"whole"

    monkeypatch.setattr(drawing, "draw_jpeg", fail_on_fifth)
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path, CLAIMS, WEEKS, 7, START, photos=1.0)
    files = all_bytes(tmp_path)
    assert len(files) == 4
    assert set(files.values()) == {b"whole"}
