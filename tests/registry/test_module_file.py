import io
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load

from registry.errors import InvalidArchitectureError, InvalidManifestError, InvalidWeightsError
from registry.manifest_text import manifest_text, parse_manifest
from registry.module_file import (
    check_module_file,
    file_digest,
    module_bytes,
    read_header,
    read_module,
    read_tensors,
    write_module_file,
)
from registry.records import PublishedModule
from registry.tensor_file import CHUNK_BYTES
from tests.registry.module_samples import input_module, output_module


def check(data, parameter_limit=10**9, features_limit=4096):
    return check_module_file(
        io.BytesIO(data), size_bytes=len(data), parameter_limit=parameter_limit, features_limit=features_limit
    )


def with_manifest(part, change):
    """The module's file, its manifest changed as JSON, without any check."""
    content = json.loads(manifest_text(part.manifest))
    change(content)
    return parse_manifest(json.dumps(content))


def same(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


def test_a_written_module_is_read_back_whole(tmp_path):
    part = input_module()
    info = write_module_file(tmp_path / "deep" / "module.safetensors", part.manifest, part.tensors)
    read = read_module(tmp_path / "deep" / "module.safetensors")
    assert read.manifest == part.manifest
    assert same(read.tensors, part.tensors)
    assert info.digest == file_digest(tmp_path / "deep" / "module.safetensors")
    assert info.size_bytes == (tmp_path / "deep" / "module.safetensors").stat().st_size


def test_the_safetensors_library_reads_the_file(tmp_path):
    part = input_module()
    write_module_file(tmp_path / "module.safetensors", part.manifest, part.tensors)
    with safe_open(tmp_path / "module.safetensors", framework="numpy") as opened:
        assert json.loads(opened.metadata()["module"])["role"] == "input"
        assert same({name: opened.get_tensor(name) for name in opened.keys()}, part.tensors)  # noqa: SIM118


def test_the_same_module_makes_the_same_bytes_in_whatever_order_its_tensors_come():
    part = input_module()
    backwards = {name: np.asfortranarray(part.tensors[name]) for name in reversed(part.tensors)}
    assert module_bytes(part.manifest, part.tensors) == module_bytes(part.manifest, backwards)


def test_bytes_in_memory_and_in_a_file_are_the_same(tmp_path):
    part = output_module()
    write_module_file(tmp_path / "module.safetensors", part.manifest, part.tensors)
    assert (tmp_path / "module.safetensors").read_bytes() == module_bytes(part.manifest, part.tensors)


@given(features=st.integers(1, 40), seed=st.integers(0, 2**32), description=st.text(max_size=200))
@settings(max_examples=25, deadline=None)
def test_any_module_survives_a_round_trip(features, seed, description):
    part = input_module(features=features, seed=seed)
    manifest = part.manifest.model_copy(update={"description": description.encode(errors="ignore").decode()})
    data = module_bytes(manifest, part.tensors)
    assert check(data) == manifest
    assert same(read_tensors(io.BytesIO(data)), part.tensors)
    assert same(load(data), part.tensors)


def test_what_publishing_added_is_not_written():
    part = input_module()
    published = PublishedModule(
        **dict(part.manifest),
        namespace="a",
        name="b",
        version=1,
        digest="sha256:" + "0" * 64,
        size_bytes=1,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert module_bytes(published, part.tensors) == module_bytes(part.manifest, part.tensors)


def test_a_header_tells_where_every_tensor_is():
    part = input_module()
    data = module_bytes(part.manifest, part.tensors)
    header = read_header(io.BytesIO(data), size_bytes=len(data))
    assert header.manifest == part.manifest
    for name, tensor in header.tensors.items():
        stored = data[header.data_start + tensor.start : header.data_start + tensor.end]
        assert np.array_equal(np.frombuffer(stored, "<f4").reshape(tensor.shape), part.tensors[name])


def test_a_module_that_is_none_is_not_written_and_leaves_nothing_behind(tmp_path):
    part = input_module()
    tensors = {**part.tensors, "1.bias": np.full(6, np.nan, dtype=np.float32)}
    with pytest.raises(InvalidWeightsError, match=r"1\.bias"):
        write_module_file(tmp_path / "module.safetensors", part.manifest, tensors)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path):
    (tmp_path / "module.safetensors").write_bytes(b"before")
    part = input_module()
    with pytest.raises(InvalidWeightsError):
        write_module_file(tmp_path / "module.safetensors", part.manifest, {})
    assert (tmp_path / "module.safetensors").read_bytes() == b"before"


def test_every_wrong_tensor_is_a_fault_with_a_pointer():
    part = input_module()
    tensors = {name: part.tensors[name] for name in part.tensors if name != "1.bias"}
    tensors["1.weight"] = np.zeros((6, 63), dtype=np.float32)
    tensors["9/x"] = np.zeros(1, dtype=np.float32)
    with pytest.raises(InvalidWeightsError) as caught:
        module_bytes(part.manifest, tensors)
    assert {fault.pointer for fault in caught.value.faults} == {
        "/tensors/1.bias",
        "/tensors/1.weight",
        "/tensors/9~1x",
    }


def test_many_faults_are_told_as_twenty_and_a_count():
    part = input_module()
    tensors = {f"no{index}": np.zeros(1, dtype=np.float32) for index in range(40)}
    with pytest.raises(InvalidWeightsError) as caught:
        module_bytes(part.manifest, {**part.tensors, **tensors})
    assert len(caught.value.faults) == 21
    assert caught.value.faults[-1].detail == "and 20 more"


def change_block(content):
    content["architecture"]["blocks"][1]["in_features"] = "many"


def change_kind(content):
    content["architecture"]["blocks"][2] = {"block": "python", "code": "1"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (change_block, "/module/architecture/blocks/1/in_features"),
        (change_kind, "/module/architecture/blocks/2"),
        (lambda content: content.update(colour="red"), "/module/colour"),
        (lambda content: content.pop("role"), "/module/role"),
        (lambda content: content["feature_map"].update(k_min=7), "/module/feature_map"),
        (lambda content: content.update(architecture={"family": "mlp", "arguments": {"widths": [3]}}),
         "/module/architecture/arguments/in_features"),
    ],
)  # fmt: skip
def test_a_fault_of_the_manifest_points_to_its_place(change, pointer):
    with pytest.raises(InvalidManifestError) as caught:
        with_manifest(input_module(), change)
    assert pointer in [fault.pointer for fault in caught.value.faults]


def test_gives_must_be_what_the_architecture_gives():
    part = input_module()
    manifest = with_manifest(part, lambda content: content["gives"].update(shape=[7]))
    with pytest.raises(InvalidManifestError, match=r"\[7\].*\[6\]") as caught:
        module_bytes(manifest, part.tensors)
    assert caught.value.faults[0].pointer == "/module/gives"


def test_a_block_that_does_not_fit_is_told_with_its_place():
    part = input_module()

    def misfit(content):
        content["architecture"]["blocks"][2]["features"] = 5

    with pytest.raises(InvalidArchitectureError) as caught:
        module_bytes(with_manifest(part, misfit), part.tensors)
    assert caught.value.faults[0].pointer == "/module/architecture/blocks/2"


def test_a_feature_map_wider_than_the_limit_is_refused_with_a_remedy():
    part = input_module()
    data = module_bytes(part.manifest, part.tensors)
    with pytest.raises(InvalidManifestError, match="choose pooling 'average'") as caught:
        check(data, features_limit=5)
    assert caught.value.faults[0].pointer == "/module/feature_map/pooling"
    assert check(data, features_limit=6) == part.manifest


def test_more_parameters_than_the_limit_are_refused():
    part = input_module()
    data = module_bytes(part.manifest, part.tensors)
    with pytest.raises(InvalidArchitectureError, match="at most 100"):
        check(data, parameter_limit=100)


def test_negative_variances_are_refused():
    part = input_module()
    tensors = {**part.tensors, "2.running_var": np.full(6, -1, dtype=np.float32)}
    with pytest.raises(InvalidWeightsError, match=r"2\.running_var.*negative variances"):
        module_bytes(part.manifest, tensors)


def test_nan_is_found_beyond_the_first_chunk():
    part = input_module(features=20_000)
    assert part.tensors["1.weight"].nbytes > CHUNK_BYTES
    weights = part.tensors["1.weight"].copy()
    weights[-1, -1] = np.inf
    with pytest.raises(InvalidWeightsError, match=r"1\.weight"):
        module_bytes(part.manifest, {**part.tensors, "1.weight": weights})
