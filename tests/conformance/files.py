"""Files made by hand, from what the contract says of them and nothing else: modules, images, datasets."""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SIDE = 8
FEATURES = 4
LABELS = ("cat", "dog")

Manifest = dict[str, object]
Arrays = Mapping[str, np.ndarray]

DTYPES = {"|u1": "U8", "<f4": "F32", "<i8": "I64"}


def digest_of(data: bytes) -> str:
    """Identity of bytes, as the contract writes it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def safetensors(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file: the length of its header, the header as JSON, the arrays one after the other."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    data = b""
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        place = [len(data), len(data) + values.nbytes]
        header[name] = {"dtype": DTYPES[values.dtype.str], "shape": list(values.shape), "data_offsets": place}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def input_manifest(**changes: object) -> Manifest:
    """The manifest of an input module for colour images of 8 x 8 pixels."""
    return {
        "schema": 1,
        "role": "input",
        "architecture": {"blocks": [{"block": "flatten"}, _linear(3 * SIDE * SIDE, FEATURES)]},
        "takes": {"shape": [3, SIDE, SIDE]},
        "gives": {"shape": [FEATURES]},
        "preprocessing": {"colour": "rgb", "height": SIDE, "width": SIDE, "mean": [0.5] * 3, "std": [0.5] * 3},
        "feature_map": {"activation": "relu", "k_min": 0.0},
        "description": "made by the conformance suite",
        "license": "CC0-1.0",
        "tags": ["conformance"],
        **changes,
    }


def output_manifest(below: str, **changes: object) -> Manifest:
    """The manifest of an output module that stands on an input module."""
    blocks = [{"block": "relu"}, {"block": "unit_norm"}, _linear(FEATURES, len(LABELS))]
    return {
        "schema": 1,
        "role": "output",
        "architecture": {"blocks": blocks},
        "takes": {"shape": [FEATURES]},
        "gives": {"shape": [len(LABELS)]},
        "labels": list(LABELS),
        "below": below,
        **changes,
    }


def _linear(inputs: int, outputs: int) -> Manifest:
    return {"block": "linear", "in_features": inputs, "out_features": outputs}


def module_file(manifest: Manifest, *, seed: int = 0) -> bytes:
    """The file of a module whose last block is its only linear one, with weights drawn by the seed."""
    blocks = manifest["architecture"]["blocks"]
    place, linear = len(blocks) - 1, blocks[-1]
    draw = np.random.default_rng(seed)
    weight = draw.normal(size=(linear["out_features"], linear["in_features"])).astype("<f4")
    bias = draw.normal(size=linear["out_features"]).astype("<f4")
    tensors = {f"{place}.weight": weight, f"{place}.bias": bias}
    return safetensors(tensors, {"module": json.dumps(manifest)})


def input_module(seed: int = 0, **changes: object) -> bytes:
    """The file of an input module."""
    return module_file(input_manifest(**changes), seed=seed)


def output_module(below: bytes, seed: int = 0, **changes: object) -> bytes:
    """The file of an output module on top of another module's file."""
    return module_file(output_manifest(digest_of(below), **changes), seed=seed)


def png(seed: int = 0, side: int = SIDE) -> bytes:
    """A colour image in PNG, written by hand."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, 3 * side), dtype=np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">LLBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def zip_dataset(seed: int = 0, *, each: int = 3) -> bytes:
    """A zip of two class folders."""
    names = [f"{label}/{number}.png" for label in LABELS for number in range(each)]
    return zipped({name: png(1000 * seed + place) for place, name in enumerate(names)})


def parquet_dataset(seed: int = 0, *, each: int = 3) -> bytes:
    """The same as a parquet table with a column of encoded images and one of labels."""
    labels = [label for label in LABELS for _ in range(each)]
    images = [png(1000 * seed + place) for place in range(len(labels))]
    out = io.BytesIO()
    pq.write_table(pa.table({"image": pa.array(images, pa.binary()), "label": labels}), out)
    return out.getvalue()


def arrays(seed: int = 0, *, each: int = 3) -> dict[str, np.ndarray]:
    """The same as arrays of pixels and labels."""
    labels = np.repeat(np.arange(len(LABELS)), each)
    shape = (len(labels), SIDE, SIDE, 3)
    return {"images": np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), "labels": labels}


def npz_dataset(seed: int = 0) -> bytes:
    """The arrays in an npz file."""
    return zipped({f"{name}.npy": _npy(values) for name, values in arrays(seed).items()})


def safetensors_dataset(seed: int = 0) -> bytes:
    """The arrays in a safetensors file."""
    return safetensors(arrays(seed))


def _npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    return out.getvalue()


def recipe(dataset: str, *, labels: Sequence[str] = LABELS) -> Manifest:
    """The least training recipe."""
    return {"task": {"dataset": dataset, "classes": {label: [label] for label in labels}}, "family": "mlp"}
