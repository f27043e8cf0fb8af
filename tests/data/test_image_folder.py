"""Image folders: classes, sizes, normalization, and images that are broken."""

from __future__ import annotations

import os
import random
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from normscope.data import image_folder, open_data
from normscope.loading import LoadingError
from reference import data as reference

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def pixels(number: int, height: int = 5, width: int = 4) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: str, values: np.ndarray) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def channels_first(values: np.ndarray) -> list[list[list[int]]]:
    return np.moveaxis(values, -1, 0).tolist()


@pytest.fixture
def flat(here):
    for number in range(6):
        save(f"photos/{number}.png", pixels(number))
    return "photos"


@pytest.fixture
def classes(here):
    """Four of a, seven of b (below it, too), three of c."""
    for name, count in (("a", 4), ("b", 6), ("c", 3)):
        for number in range(count):
            save(f"tree/{name}/{number}.png", pixels(ord(name) * 10 + number))
    save("tree/b/deeper/9.png", pixels(7))
    return "tree"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("normalize", ["imagenet", "batch", "none"])
def test_normalization_pixel_by_pixel(flat, normalize, channels):
    batch = image_folder(flat, batch=6, normalize=normalize, channels=channels)
    images = [pixels(number) for number in range(6)]
    if channels == 1:
        images = [np.asarray(Image.fromarray(image).convert("L"))[..., None] for image in images]
    mean, std = IMAGENET if channels == 3 else ([0.449], [0.226])
    if normalize == "batch":
        whole = np.stack(images).reshape(-1, channels) / 255
        mean, std = whole.mean(0).tolist(), whole.std(0).tolist()
    elif normalize == "none":
        mean, std = [0.0] * channels, [1.0] * channels
    for found, image in zip(batch.inputs, images, strict=True):
        torch.testing.assert_close(
            found.double(), reference.normalize(channels_first(image), mean, std), rtol=0, atol=1e-5
        )
    assert batch.targets is None
    assert batch.inputs.dtype == torch.float32
    told = ", ".join(f"{value:.3f}" for value in mean)
    assert batch.description.startswith("6 of the 6 images of photos, scaled to [0, 1]")
    assert (f"less the channel means {told} and divided by" in batch.description) == (normalize != "none")


def test_a_flat_folder_is_drawn_at_random_and_in_order(flat):
    batch = image_folder(flat, batch=3, seed=4, normalize="none")
    rows = sorted(random.Random(4).sample(range(6), 3))
    expected = np.stack([pixels(row) for row in rows]) / 255
    torch.testing.assert_close(batch.inputs.double(), torch.from_numpy(np.moveaxis(expected, -1, 1)), rtol=0, atol=1e-6)


def test_classes_are_sub_folders_in_the_order_of_their_names(classes):
    batch = image_folder(classes, batch=14, normalize="none")
    assert batch.targets.tolist() == [0] * 4 + [1] * 7 + [2] * 3
    assert "14 of the 14 images of tree in 3 classes" in batch.description
    numbers = [970 + n for n in range(4)] + [980 + n for n in range(6)] + [7] + [990 + n for n in range(3)]
    expected = torch.from_numpy(np.stack([pixels(number) for number in numbers])).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(batch.inputs, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 2, 3, 7, 9, 10])
def test_a_batch_is_balanced(classes, count, seed):
    targets = image_folder(classes, batch=count, seed=seed).targets.tolist()
    counts = [targets.count(label) for label in range(3)]
    assert targets == sorted(targets)
    assert all(c == max(counts) or c >= max(counts) - 1 or c == size for c, size in zip(counts, (4, 7, 3), strict=True))


def test_the_seed_decides_which(classes):
    first, again, other = (image_folder(classes, batch=5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)


def test_only_those_of_the_batch_are_opened(classes):
    whole = image_folder(classes, batch=3, seed=3)
    for path in Path(classes).rglob("*.png"):
        content = path.read_bytes()
        path.write_bytes(b"broken")
        try:
            image_folder(classes, batch=3, seed=3)
        except LoadingError:
            path.write_bytes(content)
    assert sum(path.read_bytes() == b"broken" for path in Path(classes).rglob("*.png")) == 11
    assert torch.equal(image_folder(classes, batch=3, seed=3).inputs, whole.inputs)


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "bmp", "webp"])
def test_formats(ending, here):
    smooth = np.broadcast_to(np.linspace(0, 255, 16, dtype=np.uint8)[:, None, None], (16, 12, 3))
    save(f"one/a.{ending}", np.ascontiguousarray(smooth))
    batch = image_folder("one", batch=1, normalize="none")
    expected = torch.from_numpy(smooth.copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(batch.inputs[0], expected, rtol=0, atol=0.06)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_modes_become_colour(mode, here):
    grey = np.repeat(np.array([[0, 255], [255, 0]], np.uint8)[..., None], 3, -1)
    image = Image.fromarray(grey).convert(mode)
    Path("one").mkdir()
    image.save("one/a.jpg" if mode == "CMYK" else "one/a.png")
    found = image_folder("one", batch=1, normalize="none").inputs
    expected = torch.from_numpy(grey).permute(2, 0, 1) / 255
    torch.testing.assert_close(found[0], expected, rtol=0, atol=0.1)  # JPEG is not exact


def test_a_palette_with_transparency_is_quiet(here):
    image = Image.fromarray(pixels(1)).convert("P")
    Path("one").mkdir()
    image.save("one/a.png", transparency=bytes(range(200)))
    assert image_folder("one", batch=1).inputs.shape == (1, 3, 5, 4)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 8), (8, 24), (4, 6), (3, 2)])
def test_size_covers_and_crops_at_the_centre(height, width, here):
    """A gradient along the longer side keeps its middle; the other side is scaled to fit."""
    along_height = height >= width
    length = max(height, width)
    ramp = np.linspace(0, 255, length)
    image = ramp[:, None] * np.ones(width) if along_height else np.ones(height)[:, None] * ramp
    save("one/a.png", np.repeat(image.astype(np.uint8)[..., None], 3, -1))
    found = image_folder("one", batch=1, size=8, normalize="none").inputs[0, 0]
    assert found.shape == (8, 8)
    assert found.mean().item() == pytest.approx(0.5, abs=0.02)
    line = found[:, 0] if along_height else found[0]
    assert (line.diff() >= 0).all()
    shown = min(height, width) / length  # share of the ramp that is left
    ends = (0.5 - shown / 2, 0.5 + shown / 2)
    assert line[0].item() == pytest.approx(ends[0], abs=0.08 + shown / 8)
    assert line[-1].item() == pytest.approx(ends[1], abs=0.08 + shown / 8)


def test_images_of_different_sizes(flat):
    save("photos/2.png", pixels(2, 7, 4))
    message = (
        r"^the images differ in size: photos/0.png is 5×4 and photos/2.png is 7×4 \(height × width\); say .* size=224$"
    )
    with pytest.raises(LoadingError, match=message):
        image_folder(flat, batch=6)
    batch = image_folder(flat, batch=6, size=3)
    assert batch.inputs.shape == (6, 3, 3, 3)
    assert "brought to 3×3 (scaled, cropped at the centre), scaled to [0, 1]" in batch.description


def test_what_is_passed_over(flat):
    before = image_folder(flat, batch=6)
    for name in ("photos/.hidden.png", "photos/notes.txt", "photos/.cache/x.png", "photos/empty/readme.md"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("no image")
    assert torch.equal(image_folder(flat, batch=6).inputs, before.inputs)
    with pytest.raises(LoadingError, match="holds 6 samples"):
        image_folder(flat, batch=7)


def test_what_is_passed_over_below_a_class(classes):
    before = image_folder(classes, batch=14)
    for name in ("a/.hidden.png", "b/.cache/x.png", "c/deeper/.x/y.png"):
        Path(classes, name).parent.mkdir(parents=True, exist_ok=True)
        Path(classes, name).write_text("no image")
    assert torch.equal(image_folder(classes, batch=14).inputs, before.inputs)
    with pytest.raises(LoadingError, match="holds 14 samples"):
        image_folder(classes, batch=15)


# --- what is refused ----------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    """A PNG that says it is that large, and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def encoded(ending: str) -> bytes:
    save(f"whole.{ending}", pixels(3, 64, 64))
    return Path(f"whole.{ending}").read_bytes()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(executed) (w) file\nshowpage\n"
BROKEN = {
    "empty": (lambda: b"", "a.png", ""),
    "text": (lambda: b"<html>not found</html>", "a.jpg", ""),
    "half a png": (lambda: encoded("png")[:3000], "a.png", ""),
    "half a jpg": (lambda: encoded("jpg")[:1500], "a.jpg", ""),
    "half a bmp": (lambda: encoded("bmp")[:3000], "a.bmp", ""),
    "half a webp": (lambda: encoded("webp")[:1500], "a.webp", ""),
    "only a header": (lambda: encoded("png")[:20], "a.png", ""),
    "too large": (lambda: png(100_000, 100_000), "a.png", "Image size .* exceeds limit"),
    "large": (lambda: png(10_000, 10_000), "a.png", "Image size .* exceeds limit"),
    "postscript": (lambda: POSTSCRIPT, "a.png", "cannot identify image file"),
    "another format": (lambda: b"P6 4 5 255\n" + bytes(60), "a.png", "cannot identify image file"),
    "escape codes": (lambda: b"\x1b[31m\n\n", "a.png", ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_image_is_named(case, flat):
    content, name, reason = BROKEN[case]
    Path(f"photos/{name}").write_bytes(content())
    with pytest.raises(LoadingError, match=rf"^photos/{name} is broken or no image: {reason}") as caught:
        image_folder(flat, batch=7)
    assert "\n" not in str(caught.value)


def test_more_than_eight_bits_are_not_cut_silently(here):
    Path("one").mkdir()
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save("one/a.png")
    with pytest.raises(
        LoadingError, match=r"^one/a.png has more than 8 bits a channel \(mode I.*\): convert it to 8 bits$"
    ):
        image_folder("one", batch=1)


def both() -> None:
    save("f/a/1.png", pixels(1))
    save("f/1.png", pixels(1))


def empty_class() -> None:
    save("f/a/1.png", pixels(1))
    Path("f/b").mkdir()


FOLDERS = {
    "nothing": (lambda: Path("f").mkdir(), r"^f holds no images \(.jpg, .jpeg, .png, .bmp, .webp\), nor do its"),
    "both": (both, r"^f holds images \(1.png\) and sub-folders of images: keep one, sub-folders are classes$"),
    "empty class": (empty_class, r"^f/b holds no images: every sub-folder is a class and needs some$"),
    "constant": (lambda: save("f/1.png", np.zeros((3, 3, 3), np.uint8)), r"^a channel of the batch is constant, so it"),
    "too few": (lambda: [save(f"f/{n}.png", pixels(n)) for n in range(3)], r"^a batch of 9 .* but f holds 3 samples$"),
    "too few in classes": (
        lambda: [save(f"f/{n}/a.png", pixels(n)) for n in range(3)], r"^a batch of 9 .* but f holds 3 samples$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_folders_that_are_refused(case, here):
    make, message = FOLDERS[case]
    make()
    with pytest.raises(LoadingError, match=message):
        image_folder("f", batch=9 if "too few" in case else 1, normalize="batch" if case == "constant" else "imagenet")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch": 0}, ValueError, "batch must be at least 1, got 0"),
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": 2.5}, TypeError, "size must be an integer, got 2.5"),
        ({"channels": 4}, ValueError, "channels must be 1 or 3, got 4"),
        ({"normalize": "max"}, ValueError, "normalize must be 'imagenet', 'batch' or 'none', got 'max'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_options_that_are_refused(classes, options, error, message):
    with pytest.raises(error, match=message):
        image_folder(classes, **{"batch": 2, **options})


def test_without_pillow(flat, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(LoadingError, match=r"^photos: reading images needs Pillow: pip install 'normscope\[images\]'$"):
        open_data(flat, batch=2)


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_classes_may_be_links(classes):
    Path("linked").mkdir()
    for name in "abc":
        Path(f"linked/{name}").symlink_to(Path(f"tree/{name}").resolve())
    assert torch.equal(image_folder("linked", batch=14).inputs, image_folder(classes, batch=14).inputs)
