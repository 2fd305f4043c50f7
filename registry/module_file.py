"""Module files: one safetensors file that holds a module's weights and, in its header, its manifest.

Nothing in such a file can run code. A file is judged from its header alone, by arithmetic, before anything
large is read; the weights themselves are read in bounded pieces, only to see that they are finite. The same
module always makes the same bytes.
"""

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, assert_never

import numpy as np

from kernel_methods.kernels import pooled_features
from registry.architectures.contracts import (
    Bounds,
    TensorEntrySpec,
    TensorType,
    check_parameters,
    check_tensors,
    gives,
)
from registry.architectures.specs import (
    BlocksSpec,
    LeNet5Spec,
    MlpSpec,
    ResNetSpec,
    TimmSpec,
    TorchvisionSpec,
)
from registry.errors import (
    Fault,
    InvalidArchitectureError,
    InvalidManifestError,
    InvalidModuleFileError,
    InvalidWeightsError,
)
from registry.fault_list import FaultList, escaped
from registry.manifest import ModuleManifest
from registry.manifest_text import manifest_text, parse_manifest
from registry.names import Digest
from registry.records import BlobInfo
from registry.tensor_file import (
    HEADER_LIMIT_BYTES,
    Floats,
    StoredTensor,
    TensorFileError,
    TensorHeader,
    chunks_of,
    read_floats,
    read_tensor_header,
    size_of,
    write_tensor_file,
)

MANIFEST_KEY = "module"
VARIANCES = "running_var"
NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class ModuleHeader:
    """What the beginning of a module file says; tensors in the order of their bytes, placed from ``data_start``."""

    manifest: ModuleManifest
    tensors: Mapping[str, StoredTensor]
    data_start: int


@dataclass(frozen=True, slots=True)
class PipelinePart:
    """One module in memory: what it says of itself, and its weights by name."""

    manifest: ModuleManifest
    tensors: Mapping[str, Floats]


@contextmanager
def told_as_module_errors() -> Iterator[None]:
    """Turn what is wrong with a safetensors file into an InvalidModuleFileError."""
    try:
        yield
    except TensorFileError as error:
        raise InvalidModuleFileError(f"not a module file: {error}") from error


def read_header(file: BinaryIO, *, size_bytes: int, header_limit_bytes: int = HEADER_LIMIT_BYTES) -> ModuleHeader:
    """Read the header of a module file and the manifest in it; no weights are read.

    Args:
        file: seekable.
        size_bytes: size of the whole file.
        header_limit_bytes: largest header that is read.

    Raises:
        InvalidModuleFileError: the file is not well-formed safetensors, or its header is over the limit.
        InvalidManifestError: the manifest is missing or breaks its schema; a fault for each place.
    """
    with told_as_module_errors():
        header = read_tensor_header(file, size_bytes=size_bytes, header_limit_bytes=header_limit_bytes)
    return ModuleHeader(_manifest_of(header), header.tensors, header.data_start)


def _manifest_of(header: TensorHeader) -> ModuleManifest:
    text = header.metadata.get(MANIFEST_KEY)
    if text is None:
        raise InvalidManifestError(
            f"the header's __metadata__ has no key {MANIFEST_KEY!r}; "
            "write module files with `registry.module_file`, which puts the manifest there",
            faults=[Fault(f"/{MANIFEST_KEY}", "is missing", "invalid_manifest")],
        )
    return parse_manifest(text)


def check_module_file(file: BinaryIO, *, size_bytes: int, parameter_limit: int, features_limit: int) -> ModuleManifest:
    """Check everything about a module file: its header, its manifest, its arithmetic, its tensors, its weights.

    Args:
        file: seekable.
        size_bytes: size of the whole file.
        parameter_limit: most trained values.
        features_limit: widest feature map.

    Returns:
        The manifest, which may be trusted from here on.

    Raises:
        InvalidModuleFileError: the file is not well-formed safetensors.
        InvalidManifestError: the manifest breaks its schema, or says other than its architecture does.
        InvalidArchitectureError: the architecture does not fit together, or is over a bound.
        InvalidWeightsError: tensors differ from those of the architecture, or hold NaN or infinity.
    """
    header = read_header(file, size_bytes=size_bytes)
    _check_header(header, parameter_limit=parameter_limit, features_limit=features_limit)
    _check_values(file, header)
    return header.manifest


def _check_header(header: ModuleHeader, *, parameter_limit: int, features_limit: int) -> None:
    """Everything that can be told without reading a weight."""
    _check_gives(header.manifest, parameter_limit=parameter_limit)
    _check_features(header.manifest, features_limit=features_limit)
    _check_tensors(header)


def _check_gives(manifest: ModuleManifest, *, parameter_limit: int) -> None:
    """Raises InvalidManifestError unless `gives` is what the architecture derives from `takes`."""
    try:
        derived = _derived_gives(manifest, bounds=Bounds(parameters=parameter_limit))
    except InvalidArchitectureError as error:
        faults = [Fault(f"/module{fault.pointer}", fault.detail, fault.code) for fault in error.faults]
        raise InvalidArchitectureError(error.detail, faults=faults) from error
    if derived != manifest.gives:
        detail = f"gives says {manifest.gives}, but the architecture gives {derived} for {manifest.takes}"
        raise InvalidManifestError(detail, faults=[Fault("/module/gives", detail, "invalid_manifest")])


def _derived_gives(manifest: ModuleManifest, *, bounds: Bounds) -> TensorType:
    """What the module gives by arithmetic; what it says itself where only building it could tell."""
    spec = manifest.architecture
    match spec:
        case TorchvisionSpec() | TimmSpec():
            check_parameters(spec, bounds=bounds)
            return manifest.gives
        case BlocksSpec() | LeNet5Spec() | MlpSpec() | ResNetSpec():
            return gives(spec, manifest.takes, bounds=bounds)
        case _:
            assert_never(spec)


def _check_features(manifest: ModuleManifest, *, features_limit: int) -> None:
    """Raises InvalidManifestError when the feature map does not fit the outputs, or is wider than the limit."""
    if manifest.feature_map is None:
        return
    pooling = manifest.feature_map.pooling
    try:
        features = pooled_features(manifest.gives.shape, pooling)
    except ValueError as error:
        fault = Fault("/module/feature_map/pooling", str(error), "invalid_manifest")
        raise InvalidManifestError(str(error), faults=[fault]) from error
    if features > features_limit:
        detail = (
            f"pooling {pooling!r} of outputs {manifest.gives.shape} leaves {features:,} features; at most "
            f"{features_limit:,} are scored: choose pooling 'average', 'average-2x2' or a narrower module"
        )
        fault = Fault("/module/feature_map/pooling", detail, "invalid_manifest")
        raise InvalidManifestError(detail, faults=[fault])


def _check_tensors(header: ModuleHeader) -> None:
    """Raises InvalidWeightsError with every difference between the file's tensors and the architecture's."""
    entries = {name: TensorEntrySpec(tensor.shape, tensor.dtype) for name, tensor in header.tensors.items()}
    faults = FaultList("invalid_weights")
    for fault in check_tensors(header.manifest.architecture, entries):
        faults.add(fault.pointer, fault.detail)
    if faults.count:
        raise InvalidWeightsError(
            f"the tensors are not those of the architecture: {faults.told()}", faults=faults.faults()
        )


def _check_values(file: BinaryIO, header: ModuleHeader) -> None:
    """Raises InvalidWeightsError naming every tensor with NaN, infinity or a negative variance."""
    faults = FaultList("invalid_weights")
    for name, tensor in header.tensors.items():
        start, end = header.data_start + tensor.start, header.data_start + tensor.end
        with told_as_module_errors():
            wrong = _wrong_values(chunks_of(file, start=start, end=end), variances=name.endswith(VARIANCES))
        if wrong:
            faults.add(f"/tensors/{escaped(name)}", f"tensor {name[:200]!r} holds {wrong}")
    if faults.count:
        raise InvalidWeightsError(
            f"the weights cannot be used: {faults.told()}; train again, with a smaller learning rate",
            faults=faults.faults(),
        )


def _wrong_values(chunks: Iterable[bytes], *, variances: bool) -> str:
    """What in a tensor's values no network can run with; empty where all is well."""
    for chunk in chunks:
        values = np.frombuffer(chunk, dtype="<f4")
        if not np.isfinite(values).all():
            return "NaN or infinity"
        if variances and (values < 0).any():
            return "negative variances"
    return ""


def write_module(file: BinaryIO, manifest: ModuleManifest, tensors: Mapping[str, Floats]) -> None:
    """Write a module into an open file; the same module always makes the same bytes. Nothing is checked."""
    ordered = {name: tensors[name] for name in sorted(tensors)}
    write_tensor_file(file, ordered, metadata={MANIFEST_KEY: manifest_text(manifest)})


def module_bytes(manifest: ModuleManifest, tensors: Mapping[str, Floats]) -> bytes:
    """A module file in memory, checked. Raises as `check_module_file` does, without its limits."""
    file = io.BytesIO()
    write_module(file, manifest, tensors)
    _check_own(file)
    return file.getvalue()


def write_module_file(path: Path, manifest: ModuleManifest, tensors: Mapping[str, Floats]) -> BlobInfo:
    """Write a module file, check it, and only then put it in its place.

    Args:
        path: where the file goes; one that is there is replaced.
        manifest: what the module says of itself.
        tensors: float32 weights by name, as `registry.architectures.contracts.tensors` wants them.

    Returns:
        Digest and size of the file.

    Raises:
        InvalidModuleFileError, InvalidArchitectureError: the two do not make a module; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w+b") as file:
            write_module(file, manifest, tensors)
            _check_own(file)
            os.fsync(file.fileno())
        info = BlobInfo(digest=file_digest(Path(unfinished)), size_bytes=Path(unfinished).stat().st_size)
        Path(unfinished).chmod(0o644)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return info


def _check_own(file: BinaryIO) -> None:
    file.flush()
    check_module_file(file, size_bytes=size_of(file), parameter_limit=NO_LIMIT, features_limit=NO_LIMIT)


def read_tensors(source: BinaryIO | Path) -> dict[str, Floats]:
    """All weights of a module file by name. Raises InvalidModuleFileError."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read_tensors(file)
    with told_as_module_errors():
        header = read_tensor_header(source, size_bytes=size_of(source))
        return read_floats(source, header.tensors, data_start=header.data_start)


def read_module(path: Path) -> PipelinePart:
    """Manifest and weights of a module file, fully checked; needs no server. Raises as `check_module_file` does."""
    with path.open("rb") as file:
        _check_own(file)
        header = read_header(file, size_bytes=size_of(file))
        return PipelinePart(header.manifest, read_tensors(file))


def file_digest(path: Path) -> Digest:
    """Identity of a file's bytes."""
    with path.open("rb") as file:
        return Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
