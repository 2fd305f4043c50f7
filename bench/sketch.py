"""How often is an image found again after it was encoded or resized, what does a sketch cost, and is the share right?

1. Found again: test images of CIFAR-10, cut by one pixel on each side, so that a second JPEG falls on another grid of
   blocks than the first; and squares of 120 to 400 pixels out of the two photographs that scikit-learn carries. Each is
   encoded as JPEG, resized, or made grey; the share whose fingerprint still matches is told.
2. The share: a dataset of which a known share is in another one, all of it encoded again at quality 85; how far the
   estimate is from the truth times what 1 found, and how often the interval holds the truth of exact copies.
3. By chance: images in one half of the digits of scikit-learn, and of the CIFAR-10 test images, that match one in the
   other half.
4. Cost: the time that sketching adds to reading and decoding the whole CIFAR-10 test file, as an upload is checked, and
   photographs of 300 x 300 pixels, as JPEG files.

Measured on 2026-11-21, one of 2 cores of an x86-64 server that others were using, Python 3.11.7, NumPy 2.4.6,
Pillow 13; 2,000 images of CIFAR-10 and 400 squares out of photographs; shares of images found again:

    changed by            CIFAR-10 30 x 30   photographs
    JPEG, quality 75            0.845            0.960
    JPEG, quality 85            0.900            0.978
    JPEG, quality 95            0.956            0.985
    2 times as large            0.897            0.980
    1.5 times, bicubic          0.903            0.970
    0.8 times                   0.866            0.965
    half as large               0.157            0.958
    to 32 x 32                  0.935            0.905
    grey                        0.980            0.995

    share, exact copies: intervals held 98 of 100 truths; error 0.002 +- 0.020
    share, encoded again at quality 85: 0.90 of the truth
    by chance: 0.000 of digits (898 against 899), 0.000 of CIFAR-10 (1,000 against 1,000)
    cost: 5.7 us beside 123 us to read and decode an image of CIFAR-10 (4.7 %); 124 us beside 747 us of a photograph

With --quick 500 images of each, and 10 draws.
"""

import io
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from bench.cifar import folder, images_of
from bench.report import Figure, parse_quick, report
from registry.dataset_file import limits_from, read_examples
from registry.dataset_formats.images import decode_image
from registry.settings import Settings
from registry.sketches import SketchBuilder, estimate_overlap, fingerprints, sketch_images

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels], Pixels]
IMAGES, QUICK_IMAGES, DRAWS, QUICK_DRAWS = 2_000, 500, 100, 10
TARGETS: dict[str, Figure] = {
    "cifar_jpeg_75": 0.8,
    "cifar_jpeg_95": 0.9,
    "photographs_jpeg_75": 0.9,
    "chance_most": 0.02,
    "covered": 0.93,
    "cost_share": 0.1,
}


def main() -> None:
    quick = parse_quick(__doc__)
    count, draws = (QUICK_IMAGES, QUICK_DRAWS) if quick else (IMAGES, DRAWS)
    small = np.ascontiguousarray(images_of("test", count).images[:, 1:-1, 1:-1])
    figures: dict[str, Figure] = {"images": count, "draws": draws}
    for kind, images in {"cifar": list(small), "photographs": squares(count // 5)}.items():
        figures |= {f"{kind}_{name}": found_again(images, change) for name, change in CHANGES.items()}
    figures |= known_shares(small, draws=draws)
    digits = (load_digits().images * 15).astype(np.uint8)[..., None]
    figures["chance_digits"], figures["chance_cifar"] = by_chance(digits), by_chance(small)
    figures["chance_most"] = max(float(figures["chance_digits"]), float(figures["chance_cifar"]))
    figures |= costs(2_000 if quick else 10_000)
    report(bench="sketch", figures=figures, targets=TARGETS, holds=holds(figures))


def holds(figures: Mapping[str, Figure]) -> bool:
    """Whether every target is met: cost and chance from below, the others from above."""
    small = {"chance_most", "cost_share"}
    return all(
        float(figures[name]) <= float(aim) if name in small else float(figures[name]) >= float(aim)
        for name, aim in TARGETS.items()
    )


def jpeg(quality: int) -> Change:
    """Encode as JPEG and decode."""
    return lambda image: decode_image(encoded(image, quality), item="image", pixel_limit=10**7)


def encoded(image: Pixels, quality: int) -> bytes:
    """A JPEG file."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=quality)
    return out.getvalue()


def resized(factor: float, how: Image.Resampling = Image.Resampling.BILINEAR) -> Change:
    """Make a picture so many times as large."""
    return lambda image: np.asarray(
        Image.fromarray(image).resize((round(image.shape[1] * factor), round(image.shape[0] * factor)), how)
    )


def grey(image: Pixels) -> Pixels:
    """Without colour, as an image of one channel."""
    return np.asarray(Image.fromarray(image).convert("L"))[..., None]


CHANGES: dict[str, Change] = {
    "jpeg_75": jpeg(75),
    "jpeg_85": jpeg(85),
    "jpeg_95": jpeg(95),
    "twice": resized(2.0),
    "one_and_a_half_bicubic": resized(1.5, Image.Resampling.BICUBIC),
    "four_fifths": resized(0.8),
    "half": resized(0.5),
    "to_32": lambda image: np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR)),
    "grey": grey,
}


def squares(count: int) -> list[Pixels]:
    """Squares of many sizes out of two photographs."""
    draws = np.random.default_rng(0)
    photographs = load_sample_images().images
    found = []
    for index in range(count):
        whole = photographs[index % len(photographs)]
        side = int(draws.integers(120, 401))
        top, left = (int(draws.integers(0, length - side + 1)) for length in whole.shape[:2])
        found.append(np.ascontiguousarray(whole[top : top + side, left : left + side]))
    return found


def found_again(images: Sequence[Pixels], change: Change) -> float:
    """The share of images that match themselves, changed."""
    matched = [alike(image, change(image)) for image in images]
    return round(float(np.mean(matched)), 3)


def alike(one: Pixels, other: Pixels) -> bool:
    """Whether two images are near-duplicates, as a sketch of the one finds those of the other."""
    if not len(fingerprints(one[None])):
        return False
    overlap = estimate_overlap(sketch_images([one]), sketch_images([other]))
    return overlap is not None and overlap.share > 0


def known_shares(images: Pixels, *, draws: int) -> dict[str, Figure]:
    """How far estimates are from known shares, of exact copies and of images encoded again."""
    generator = np.random.default_rng(1)
    again = [jpeg(85)(image) for image in images]
    half = len(images) // 2
    covered, errors, found = 0, [], []
    for _ in range(draws):
        mixed = generator.permutation(len(images))
        known = int(generator.integers(1, half))
        one, other = mixed[:half], mixed[half - known : 2 * half - known]
        where = sketch_images(images[other])
        copies = estimate_overlap(sketch_images(images[one]), where)
        encodings = estimate_overlap(sketch_images(again[index] for index in one), where)
        if copies is None or encodings is None:
            raise SystemExit("the sketches of so many images have nothing in common to compare")
        truth = known / half
        covered += copies.low <= truth <= copies.high
        errors.append(copies.share - truth)
        found.append((encodings.share, truth))
    shares = np.array(found)
    return {
        "covered": round(covered / draws, 3),
        "share_error_mean": round(float(np.mean(errors)), 4),
        "share_error_std": round(float(np.std(errors)), 4),
        "encoded_again_found": round(float(shares[:, 0].sum() / shares[:, 1].sum()), 3),
    }


def by_chance(images: Pixels) -> float:
    """The share of one half whose images match one in the other half."""
    mixed = np.random.default_rng(2).permutation(len(images))
    halves = (sketch_images(images[part]) for part in (mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]))
    overlap = estimate_overlap(*halves)
    return round(overlap.share, 4) if overlap is not None else 0.0


def costs(rows: int) -> dict[str, Figure]:
    """Microseconds an image, and what sketching adds to the processor's time of a check."""
    read, sketched = cost_of_a_check(rows)
    files = [encoded(np.asarray(Image.fromarray(one).resize((300, 300))), 90) for one in squares(60)]
    decoded, again = [], []
    for _ in range(5):
        begun = time.process_time()
        images = [decode_image(file, item="image", pixel_limit=10**7) for file in files]
        between = time.process_time()
        sketch_images(images)
        decoded.append(between - begun)
        again.append(time.process_time() - between)
    return {
        "check_us": round(1e6 * read / rows, 1),
        "sketch_us": round(1e6 * sketched / rows, 1),
        "cost_share": round(sketched / read, 3),
        "photograph_decode_us": round(1e6 * min(decoded) / len(files), 1),
        "photograph_sketch_us": round(1e6 * min(again) / len(files), 1),
    }


def cost_of_a_check(rows: int) -> tuple[float, float]:
    """Seconds of the processor to read and decode so many rows, and to sketch what was decoded."""
    images = []
    with (folder() / "cifar10-test.parquet").open("rb") as file:
        begun = time.process_time()
        for example in read_examples(file, limits=limits_from(Settings.load())):
            images.append(example.image)
            if len(images) == rows:
                break
        read = time.process_time() - begun
    builder = SketchBuilder()
    begun = time.process_time()
    for image in images:
        builder.add(image)
    builder.sketch()
    return read, time.process_time() - begun


if __name__ == "__main__":
    main()
