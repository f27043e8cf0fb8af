"""A folder of images, of which only those of the batch are opened."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import torch

from normscope.data.batch import Batch, choose_rows
from normscope.data.dataset import balanced_choice, require_at_least, seeded
from normscope.loading import LoadingError, one_line

if TYPE_CHECKING:
    from types import ModuleType

    from PIL.Image import Image

Normalize: TypeAlias = Literal["imagenet", "batch", "none"]
Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")  # Pillow must not guess: some of its other formats start programs
_MODES: Final[dict[int, str]] = {1: "L", 3: "RGB"}
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_IMAGENET: Final[dict[int, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    1: ((0.449,), (0.226,)),  # their averages, as there is no grey ImageNet
}


def image_folder(
    folder: str | os.PathLike[str],
    *,
    batch: int,
    seed: int = 0,
    size: int | None = None,
    channels: int = 3,
    normalize: Normalize = "imagenet",
    fewer: bool = False,
) -> Batch:
    """``(x − μ) / σ`` of each channel: images from a folder, of which only a batch is opened.

    Images are .jpg, .jpeg, .png, .bmp and .webp. In sub-folders, at any depth, each sub-folder of ``folder`` is a
    class, numbered in the order of the names; directly in ``folder`` they have no targets. What starts with a dot is
    passed over. The choice is random and, with classes, as balanced as they allow; it comes sorted by class and path.

    Args:
        folder: where they are.
        batch: how many.
        seed: decides which.
        size: height and width to bring them to: scaled (bilinear) to cover the square, then cropped at the centre.
            None if they all have one size.
        channels: 3 for colour (grey images get three equal channels), 1 for grey.
        normalize: ``"imagenet"``: μ = (0.485, 0.456, 0.406), σ = (0.229, 0.224, 0.225), what networks trained on
            ImageNet expect (0.449 and 0.226 for grey); ``"batch"``: those of this batch; ``"none"``: left in [0, 1].
        fewer: all of them will do where there are fewer than ``batch``.

    Returns:
        inputs ``(batch, channels, h, w)`` float32, targets ``(batch,)`` int64 or None.

    Raises:
        LoadingError: Pillow is not installed; no images, or both in the folder and in sub-folders; a class without
            any; fewer than ``batch``; images of different sizes and no ``size``; or one that is broken, larger than
            Pillow thinks safe, or has more than 8 bits a channel: the message says which.
        TypeError: a batch, size or seed is not an integer.
        ValueError: a batch or size below 1, channels other than 1 or 3, or an unknown normalization.
    """
    require_at_least(1, batch=batch, **({} if size is None else {"size": size}))
    if channels not in _MODES:
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    if normalize not in ("imagenet", "batch", "none"):
        raise ValueError(f"normalize must be 'imagenet', 'batch' or 'none', got {normalize!r}")
    pillow = _pillow(folder)
    paths, labels, classes = _listing(Path(folder))
    batch = min(batch, len(paths)) if fewer else batch
    if labels is None or batch > len(paths):
        chosen = choose_rows(len(paths), batch, seed, str(folder))
    else:
        chosen = balanced_choice(labels, batch, seeded(seed)).sort().values.tolist()
    images, resized = zip(*(_opened(pillow, paths[index], channels, size) for index in chosen), strict=True)
    _require_one_shape(images, [paths[index] for index in chosen])
    inputs, normalized = _normalized(torch.from_numpy(np.stack(images)).float() / 255, normalize)
    brought = f"brought to {size}×{size} (scaled, cropped at the centre), " if any(resized) else ""
    among = f" in {len(classes)} classes" if classes else ""
    description = (
        f"{batch} of the {len(paths)} images of {one_line(str(folder))}{among}, {brought}scaled to [0, 1]{normalized}"
    )
    targets = None if labels is None else labels[chosen]
    return Batch(inputs, targets, one_line(Path(folder).resolve().name), description)


def _pillow(folder: str | os.PathLike[str]) -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise LoadingError(
            f"{os.fspath(folder)}: reading images needs Pillow: pip install 'normscope[images]'"
        ) from error
    return Image


def _listing(folder: Path) -> tuple[list[Path], torch.Tensor | None, list[str]]:
    """The images in order, their classes ``(n,)``, and the names of those; None and [] without sub-folders."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    flat = [entry for entry in entries if _is_image(entry)]
    by_class = {entry.name: _images_below(entry) for entry in entries if entry.is_dir()}
    if not any(by_class.values()):
        if not flat:
            raise LoadingError(f"{folder} holds no images ({', '.join(_ENDINGS)}), nor do its sub-folders")
        return flat, None, []
    if flat:
        raise LoadingError(
            f"{folder} holds images ({flat[0].name}) and sub-folders of images: keep one, sub-folders are classes"
        )
    empty = [name for name, images in by_class.items() if not images]
    if empty:
        raise LoadingError(f"{folder / empty[0]} holds no images: every sub-folder is a class and needs some")
    paths = [path for images in by_class.values() for path in images]
    labels = [number for number, images in enumerate(by_class.values()) for _ in images]
    return paths, torch.tensor(labels, dtype=torch.int64, device="cpu"), list(by_class)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS and path.is_file()


def _images_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".")]
    return sorted(path for path in found if _is_image(path))


def _opened(pillow: ModuleType, path: Path, channels: int, size: int | None) -> tuple[Pixels, bool]:
    """One image, ``(channels, height, width)`` uint8, and whether it had another size."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(path, formats=_FORMATS) as image:
                image.load()
                if image.mode not in _EIGHT_BITS:
                    raise LoadingError(
                        f"{path} has more than 8 bits a channel (mode {image.mode}): convert it to 8 bits"
                    )
                resized = size is not None and image.size != (size, size)
                pixels = np.asarray(_fitted(image.convert(_MODES[channels]), size))
    except LoadingError:
        raise
    except Exception as error:  # decoders raise anything on bytes that are no image
        reason = one_line(str(error)) or type(error).__name__
        raise LoadingError(f"{path} is broken or no image: {reason}") from error
    return np.moveaxis(pixels.reshape(*pixels.shape[:2], channels), -1, 0), resized


def _fitted(image: Image, size: int | None) -> Image:
    if size is None:
        return image
    from PIL import Image as pillow
    from PIL import ImageOps

    return ImageOps.fit(image, (size, size), method=pillow.Resampling.BILINEAR)


def _require_one_shape(images: Sequence[Pixels], paths: list[Path]) -> None:
    for image, path in zip(images, paths, strict=True):
        if image.shape != images[0].shape:
            (_, h0, w0), (_, h1, w1) = images[0].shape, image.shape
            raise LoadingError(
                f"the images differ in size: {paths[0]} is {h0}×{w0} and {path} is {h1}×{w1} (height × width); "
                "say to which size to bring them, such as size=224"
            )


def _normalized(images: torch.Tensor, normalize: Normalize) -> tuple[torch.Tensor, str]:
    if normalize == "none":
        return images, ""
    if normalize == "imagenet":
        mean, std = map(torch.tensor, _IMAGENET[images.shape[1]])
        whose = "ImageNet"
    else:
        std, mean = torch.std_mean(images, (0, 2, 3), correction=0)
        whose = "this batch"
    if not (std > 0).all():
        raise LoadingError("a channel of the batch is constant, so it has no standard deviation: normalize='imagenet'")
    told = [", ".join(f"{value:.3f}" for value in values.tolist()) for values in (mean, std)]
    words = f", less the channel means {told[0]} and divided by the standard deviations {told[1]} of {whose}"
    return (images - mean.view(-1, 1, 1)) / std.view(-1, 1, 1), words
