"""Backbones as data: a closed list of names, and what can be told of their files without torch."""

import io

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from registry.architectures.backbone_names import TORCHVISION_NAMES
from registry.architectures.contracts import (
    MAX_BACKBONE_TENSORS,
    TensorEntrySpec,
    TensorType,
    check_tensors,
    parameter_count,
)
from registry.architectures.specs import ArchitectureSpec, BackboneSpec, TimmSpec, TorchvisionSpec
from registry.errors import InvalidArchitectureError, InvalidWeightsError
from registry.manifest import FeatureMap, ModuleManifest, Preprocessing, Role
from registry.module_file import check_module_file, module_bytes, size_of
from registry.wrapping import WrapRequest

ARCHITECTURE: TypeAdapter[ArchitectureSpec] = TypeAdapter(ArchitectureSpec)


def manifest(spec: BackboneSpec) -> ModuleManifest:
    return ModuleManifest(
        role=Role.INPUT,
        architecture=spec,
        takes=TensorType(shape=(3, 8, 8)),
        gives=TensorType(shape=(4, 1, 1)),
        preprocessing=Preprocessing(colour="rgb", height=8, width=8, mean=(0.5,) * 3, std=(0.5,) * 3),
        feature_map=FeatureMap(activation="identity", pooling="average", k_min=0.0),
    )


@pytest.mark.parametrize("spec", [TorchvisionSpec(backbone="vit_b_16", parameters=7, image_size=384, start=1, stop=2)])
def test_a_backbone_is_read_back_from_its_json(spec: BackboneSpec) -> None:
    assert ARCHITECTURE.validate_json(ARCHITECTURE.dump_json(spec)) == spec


@pytest.mark.parametrize("name", ["resnet51", "fasterrcnn_resnet50_fpn", "quantized_resnet18", "../resnet18", ""])
def test_other_names_of_torchvision_are_refused_with_the_list(name: str) -> None:
    with pytest.raises(ValidationError, match=r"resnet18.*wide_resnet50_2"):
        ARCHITECTURE.validate_python({"library": "torchvision", "backbone": name, "parameters": 0})
    with pytest.raises(ValidationError, match=r"resnet18.*wide_resnet50_2"):
        WrapRequest(library="torchvision", backbone=name)


@pytest.mark.parametrize(
    "name", ["hf_hub:evil/model", "hf-hub:evil/model", "local-dir:/tmp/x", "../x", "a/b", "A", "", "a" * 129, "a.b.c"]
)
def test_names_of_hubs_and_paths_are_no_names_of_timm(name: str) -> None:
    with pytest.raises(ValidationError):
        ARCHITECTURE.validate_python({"library": "timm", "backbone": name, "parameters": 0})


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(ValidationError, match="start 2 and stop 2 are no part"):
        TorchvisionSpec(backbone="resnet18", parameters=0, start=2, stop=2)


def test_another_library_is_refused() -> None:
    with pytest.raises(ValidationError, match="library"):
        ARCHITECTURE.validate_python({"library": "hub", "backbone": "resnet18", "parameters": 0})


def test_the_list_has_every_network_for_classification() -> None:
    assert len(TORCHVISION_NAMES) == len(set(TORCHVISION_NAMES)) == 80


def test_parameters_are_what_the_spec_says_and_the_file_must_agree() -> None:
    spec = TimmSpec(backbone="resnet50.a1_in1k", parameters=6)
    assert parameter_count(spec) == 6
    entries = {"w": TensorEntrySpec((2, 3)), "bn.running_mean": TensorEntrySpec((9,))}
    assert check_tensors(spec, entries) == ()
    (fault,) = check_tensors(spec, {"w": TensorEntrySpec((7,))})
    assert fault.detail == "the tensors hold 7 trained values, but the architecture says 6 parameters"


@pytest.mark.parametrize("dtype", ["I64", "F16"])
def test_tensors_of_other_types_are_refused(dtype: str) -> None:
    spec = TimmSpec(backbone="resnet50", parameters=1)
    (fault,) = check_tensors(spec, {"bn.num_batches_tracked": TensorEntrySpec((), dtype)})
    assert fault.pointer == "/tensors/bn.num_batches_tracked"
    assert f"is {dtype} (); weights are F32" in fault.detail


def test_the_number_of_tensors_is_bounded() -> None:
    spec = TimmSpec(backbone="resnet50", parameters=0)
    entries = {str(index): TensorEntrySpec((0,)) for index in range(MAX_BACKBONE_TENSORS + 1)}
    (fault,) = check_tensors(spec, entries)
    assert fault.detail == "the file has 10,001 tensors; at most 10,000 are allowed"


def test_a_file_of_a_backbone_is_checked_without_building_it() -> None:
    spec = TorchvisionSpec(backbone="resnet18", parameters=4)
    data = module_bytes(manifest(spec), {"conv1.weight": np.ones((2, 2), dtype=np.float32)})
    with pytest.raises(InvalidWeightsError, match="hold 3 trained values"):
        module_bytes(manifest(spec), {"conv1.weight": np.ones(3, dtype=np.float32)})
    with pytest.raises(InvalidWeightsError, match="NaN"):
        module_bytes(manifest(spec), {"conv1.weight": np.full(4, np.nan, dtype=np.float32)})
    with io.BytesIO(data) as file, pytest.raises(InvalidArchitectureError, match="4 parameters"):
        check_module_file(file, size_bytes=size_of(file), parameter_limit=3, features_limit=2048)


def test_cuts_and_modules_must_agree() -> None:
    assert WrapRequest(library="timm", backbone="resnet50", cuts=(1, 3), modules=3).cuts == (1, 3)
    with pytest.raises(ValidationError, match="2 cuts make 3 modules, not 2"):
        WrapRequest(library="timm", backbone="resnet50", cuts=(1, 3), modules=2)
    with pytest.raises(ValidationError, match="cuts must increase"):
        WrapRequest(library="timm", backbone="resnet50", cuts=(3, 1))
    with pytest.raises(ValidationError, match="only torchvision has presets"):
        WrapRequest(library="timm", backbone="resnet50", preset="DEFAULT")
