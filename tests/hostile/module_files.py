"""Hostile module files: headers that lie, tensors of another architecture, manifests that ask too much."""

import json
import struct
from collections.abc import Callable, Mapping

import numpy as np

from registry.manifest_text import manifest_text
from tests.hostile.files import no_architecture, no_manifest, no_module, no_weights
from tests.registry.module_samples import input_module

Entry = dict[str, object]
Content = dict[str, object]


def raw_file(header: bytes, data: bytes = b"", *, size: int | None = None) -> bytes:
    """A file with this header, whatever it is, and the size of the header that is to be believed."""
    return struct.pack("<Q", len(header) if size is None else size) + header + data


def file_of(entries: Mapping[str, object], data: bytes = b"", *, metadata: object = None) -> bytes:
    """A file with these tensors; without metadata, those of a good module."""
    told = {"module": manifest_text(input_module().manifest)} if metadata is None else metadata
    return raw_file(json.dumps({"__metadata__": told, **entries}).encode(), data)


def tensor(start: int, end: int, *, shape: object = None, dtype: object = "F32") -> Entry:
    """One entry of a header; its shape fits its place unless another is given."""
    return {"dtype": dtype, "shape": [(end - start) // 4] if shape is None else shape, "data_offsets": [start, end]}


def changed(change: Callable[[dict[str, np.ndarray]], object]) -> bytes:
    """A good module whose tensors were changed, of whatever dtype."""
    tensors = dict(input_module().tensors)
    change(tensors)
    return with_tensors(tensors, manifest_text(input_module().manifest))


def with_tensors(tensors: Mapping[str, np.ndarray], manifest: str) -> bytes:
    """A well-formed safetensors file with any tensors and any manifest."""
    entries, data = {}, b""
    for name, values in tensors.items():
        dtype = {"f4": "F32", "f2": "F16", "f8": "F64", "i8": "I64"}[values.dtype.str[1:]]
        place = [len(data), len(data) + values.nbytes]
        entries[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": place}
        data += values.tobytes()
    return file_of(entries, data, metadata={"module": manifest})


def manifested(change: Callable[[Content], object]) -> bytes:
    """A good module whose manifest was changed as JSON."""
    content = json.loads(manifest_text(input_module().manifest))
    change(content)
    return with_tensors(input_module().tensors, json.dumps(content))


def blocks(*specs: Content) -> bytes:
    """A module whose architecture is a list of these blocks."""
    return manifested(lambda content: content.update(architecture={"blocks": list(specs)}))


def linear(inputs: int, outputs: int) -> Content:
    return {"block": "linear", "in_features": inputs, "out_features": outputs}


FLATTEN = {"block": "flatten"}


def too_many_features() -> bytes:
    """A module that says truly that its outputs have 5,000 features."""

    def widen(content: Content) -> None:
        content.update(architecture={"blocks": [FLATTEN, linear(64, 5000)]}, gives={"shape": [5000]})

    return manifested(widen)


GOOD = changed(lambda tensors: None)

HEADERS = (
    no_module("empty", "0 bytes", lambda: b""),
    no_module("shorter-than-a-header", "3 bytes", lambda: b"\x08\0\0"),
    no_module("header-larger-than-the-file", "cut off", lambda: raw_file(b"{}", size=3)),
    no_module("header-larger-than-memory", "cut off", lambda: raw_file(b"{}", size=2**63)),
    no_module("header-over-the-limit", "16,777,216", lambda: raw_file(b" " * 17 * 2**20)),
    no_module("header-not-an-object", "JSON object", lambda: raw_file(b"[]")),
    no_module("header-not-json", "JSON", lambda: raw_file(b"{'a'}")),
    no_module("header-not-utf8", "utf-8", lambda: raw_file(b'{"\xff": 1}')),
    no_module("header-with-a-key-twice", "twice", lambda: raw_file(b'{"a": 1, "a": 2}')),
    no_module("header-with-a-key-twice-by-escapes", "twice", lambda: raw_file(b'{"a": 1, "\\u0061": 2}')),
    no_module("header-with-nan", "NaN", lambda: raw_file(b'{"a": NaN}')),
    no_module("header-with-infinity", "-Infinity", lambda: raw_file(b'{"a": -Infinity}')),
    no_module("header-nested-deeply", "nested", lambda: raw_file(b'{"a":' * 200_000)),
    no_module("header-of-empty-objects", "parts", lambda: raw_file(b'{"a":[' + b"{}," * 2**21)),
    no_module("header-with-a-huge-number", "JSON", lambda: raw_file(b'{"a":' + b"9" * 9999 + b"}")),
    no_module("metadata-not-texts", "texts", lambda: file_of({}, metadata={"module": {}})),
    no_manifest("no-manifest", "'module'", lambda: file_of({}, metadata={"format": "pt"})),
)

PLACES = (
    no_module("tensor-of-no-object", "exactly dtype", lambda: file_of({"a": 1})),
    no_module(
        "tensor-with-another-key", "exactly dtype", lambda: file_of({"a": {**tensor(0, 4), "run": "x"}}, b"0" * 4)
    ),
    no_module("tensor-of-unknown-dtype", "OBJECT", lambda: file_of({"a": tensor(0, 4, dtype="OBJECT")}, b"0" * 4)),
    no_module("tensor-with-negative-side", "-1", lambda: file_of({"a": tensor(0, 4, shape=[-1])}, b"0" * 4)),
    no_module("tensor-with-fractional-side", "1.0", lambda: file_of({"a": tensor(0, 4, shape=[1.0])}, b"0" * 4)),
    no_module("tensor-with-true-as-side", "True", lambda: file_of({"a": tensor(0, 4, shape=[True])}, b"0" * 4)),
    no_module(
        "tensor-of-a-million-sides", "at most 16", lambda: file_of({"a": tensor(0, 4, shape=[1] * 17)}, b"0" * 4)
    ),
    no_module(
        "tensor-larger-than-its-place", "span 4", lambda: file_of({"a": tensor(0, 4, shape=[2**40, 2**40])}, b"0" * 4)
    ),
    no_module(
        "tensor-that-ends-before-it-begins", "span -4", lambda: file_of({"a": tensor(8, 4, shape=[0])}, b"0" * 8)
    ),
    no_module("tensors-that-overlap", "overlaps", lambda: file_of({"a": tensor(0, 8), "b": tensor(4, 12)}, b"0" * 12)),
    no_module("tensors-at-one-place", "overlaps", lambda: file_of({"a": tensor(0, 8), "b": tensor(0, 8)}, b"0" * 8)),
    no_module("tensors-with-a-gap", "no tensor", lambda: file_of({"a": tensor(0, 4), "b": tensor(8, 12)}, b"0" * 12)),
    no_module("bytes-behind-the-last-tensor", "no tensor", lambda: GOOD + b"PK\x03\x04"),
    no_module("cut-off-weights", "cut off", lambda: GOOD[:-4]),
    no_module("cut-off-header", "cut off", lambda: GOOD[:100]),
)

WEIGHTS = (
    no_weights("missing-tensor", "1.bias", lambda: changed(lambda tensors: tensors.pop("1.bias"))),
    no_weights("no-tensors", "missing", lambda: changed(lambda tensors: tensors.clear())),
    no_weights("unexpected-tensor", "extra", lambda: changed(lambda tensors: tensors.update(extra=np.zeros(1, "f4")))),
    no_weights(
        "tensor-of-wrong-shape", "(7,)", lambda: changed(lambda tensors: tensors.update({"1.bias": np.zeros(7, "f4")}))
    ),
    no_weights(
        "tensor-of-wrong-dtype", "F16", lambda: changed(lambda tensors: tensors.update({"1.bias": np.zeros(6, "f2")}))
    ),
    no_weights(
        "nan-weights", "1.bias", lambda: changed(lambda tensors: tensors.update({"1.bias": np.full(6, np.nan, "f4")}))
    ),
    no_weights(
        "infinite-weights",
        "1.bias",
        lambda: changed(lambda tensors: tensors.update({"1.bias": np.full(6, -np.inf, "f4")})),
    ),
    no_weights(
        "negative-variance",
        "negative",
        lambda: changed(lambda tensors: tensors.update({"2.running_var": np.full(6, -1, "f4")})),
    ),
)

MANIFESTS = (
    no_manifest("manifest-not-json", "JSON", lambda: file_of({}, metadata={"module": "import os"})),
    no_manifest("manifest-nested-deeply", "nested", lambda: file_of({}, metadata={"module": "[" * 100_000})),
    no_manifest(
        "manifest-with-a-key-twice",
        "twice",
        lambda: file_of({}, metadata={"module": '{"role": "input", "role": "output"}'}),
    ),
    no_manifest(
        "manifest-with-unknown-key",
        "/module/code",
        lambda: manifested(lambda content: content.update(code="import os")),
    ),
    no_manifest(
        "manifest-of-another-schema", "/module/schema", lambda: manifested(lambda content: content.update(schema=2))
    ),
    no_manifest("unknown-block", "os.system", lambda: blocks({"block": "os.system"})),
    no_manifest(
        "block-with-unknown-key", "/module/architecture/blocks/0/hook", lambda: blocks({**FLATTEN, "hook": "x"})
    ),
    no_manifest("more-blocks-than-allowed", "1000", lambda: blocks(*[FLATTEN] * 1001)),
    no_manifest(
        "a-side-beyond-its-bound",
        "/module/architecture/blocks/1/out_features",
        lambda: blocks(FLATTEN, linear(64, 2**40)),
    ),
    no_architecture("a-million-million-parameters", "1,099,512,676,352", lambda: blocks(FLATTEN, linear(2**20, 2**20))),
    no_architecture("shapes-that-do-not-fit", "block 1", lambda: blocks(FLATTEN, linear(65, 6))),
    no_manifest(
        "gives-something-else", "gives", lambda: manifested(lambda content: content.update(gives={"shape": [5]}))
    ),
    no_manifest(
        "takes-more-than-memory",
        "/module/takes",
        lambda: manifested(lambda content: content.update(takes={"shape": [2**20, 2**20]})),
    ),
    no_manifest(
        "attainable-only-by-tanh",
        "/module/feature_map",
        lambda: manifested(lambda content: content["feature_map"].update(k_min=-1)),
    ),
    no_manifest("features-over-the-limit", "at most 4,096", too_many_features),
)

MODULE_FILES = (*HEADERS, *PLACES, *WEIGHTS, *MANIFESTS)
