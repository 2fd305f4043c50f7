"""Small uploads that tests read: images, and zip, parquet, npz and safetensors files of them."""

import io
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from safetensors.numpy import save

from registry.dataset_file import DatasetLimits
from registry.preprocessing import Pixels

MEBIBYTE = 1024 * 1024
LIMITS = DatasetLimits(unpacked_bytes=64 * MEBIBYTE, examples=2_000, classes=50, image_pixels=1_000_000)


def pixels(*shape: int, seed: int = 0) -> Pixels:
    """Random pixels."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def image_bytes(image: Pixels | None = None, *, name: str = "PNG", mode: str | None = None) -> bytes:
    """An image file of the pixels, (h, w) or (h, w, 3)."""
    picture = Image.fromarray(pixels(8, 8, 3) if image is None else image)
    out = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(out, name)
    return out.getvalue()


def zip_bytes(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file with these entries in this order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def folders(*, classes: Sequence[str] = ("cat", "dog"), each: int = 3) -> dict[str, bytes]:
    """Images in folders of their classes."""
    return {
        f"{name}/{index}.png": image_bytes(pixels(8, 8, 3, seed=10 * number + index))
        for number, name in enumerate(classes)
        for index in range(each)
    }


def parquet_bytes(
    images: Sequence[bytes | None], labels: Sequence[object] | pa.Array | None, **options: object
) -> bytes:
    """A parquet file as the Hugging Face hub lays it out."""
    columns: dict[str, pa.Array] = {
        "img": pa.array(
            [None if data is None else {"bytes": data, "path": None} for data in images],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
    }
    if labels is not None:
        columns["label"] = labels if isinstance(labels, pa.Array) else pa.array(labels)
    return table_bytes(pa.table(columns), **options)


def table_bytes(table: pa.Table, **options: object) -> bytes:
    """A parquet file of a table."""
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def npz_bytes(**arrays: object) -> bytes:
    """An npz file."""
    out = io.BytesIO()
    np.savez_compressed(out, **{name: np.asarray(array) for name, array in arrays.items()})
    return out.getvalue()


def tensor_bytes(**arrays: object) -> bytes:
    """A safetensors file."""
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
