"""Backbones of torchvision: built without weights, equal to the library's own, and whole again after every cut."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn
from torchvision import models

from registry.architectures.backbone_names import TORCHVISION_NAMES
from registry.architectures.contracts import Bounds, TensorType
from registry.architectures.specs import BackboneSpec, TimmSpec, TorchvisionSpec
from registry.errors import InvalidArchitectureError, InvalidWeightsError, SettingsError
from registry.networks.backbones import build_backbone, counted, measure, stages_of
from registry.networks.build import load
from registry.networks.embed import forward

HEADS = {
    "alexnet": "avgpool",
    "convnext_tiny": "classifier.2",
    "densenet121": "features.norm5",
    "efficientnet_b0": "avgpool",
    "googlenet": "avgpool",
    "inception_v3": "avgpool",
    "maxvit_t": "classifier.3",
    "mnasnet0_5": "layers.16",
    "mobilenet_v2": "features.18",
    "mobilenet_v3_small": "avgpool",
    "regnet_y_400mf": "avgpool",
    "resnet18": "avgpool",
    "shufflenet_v2_x0_5": "conv5",
    "squeezenet1_1": "classifier",
    "swin_t": "avgpool",
    "swin_v2_t": "avgpool",
    "vgg11_bn": "avgpool",
    "vit_b_32": "heads",
}
"""A network of every kind, and where its own forward pass has the features: before this, or after a body's end."""

FAST = ("mnasnet0_5", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vit_b_32")
EVERY_KIND = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in HEADS]
FEATURES_AFTER = ("densenet121", "mnasnet0_5", "mobilenet_v2", "shufflenet_v2_x0_5")
SIDES = {"inception_v3": 96, "maxvit_t": 224, "swin_t": 64, "swin_v2_t": 64, "vit_b_32": 64}
BUILT_FOR = {"maxvit_t": 224, "vit_b_32": 64}


def whole(name: str) -> TorchvisionSpec:
    return counted(TorchvisionSpec(backbone=name, parameters=0, image_size=BUILT_FOR.get(name)))


def parts(spec: BackboneSpec) -> list[BackboneSpec]:
    count = len(stages_of(spec).stages)
    return [counted(spec.model_copy(update={"start": index, "stop": index + 1})) for index in range(count)]


def takes(name: str) -> TensorType:
    side = SIDES.get(name, 64)
    return TensorType(shape=(3, side, side))


def random_network(name: str) -> nn.Module:
    arguments: dict[str, object] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    arguments |= {"image_size": BUILT_FOR[name]} if name == "vit_b_32" else {}
    torch.manual_seed(0)
    network = models.get_model(name, weights=None, **arguments).eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.1, 0.1)
            nn.init.uniform_(part.running_var, 0.9, 1.1)
    return network


def own_features(network: nn.Module, name: str, images: torch.Tensor) -> torch.Tensor:
    """What the library's own forward pass has before its classifier."""
    seen: list[torch.Tensor] = []
    place = network.get_submodule(HEADS[name])
    if name in FEATURES_AFTER:
        place.register_forward_hook(lambda part, before, after: seen.append(after.clone()))
    else:
        place.register_forward_pre_hook(lambda part, before: seen.append(before[0].clone()))
    with torch.no_grad():
        network(images)
    return seen[0]


@pytest.mark.parametrize("name", EVERY_KIND)
def test_stages_one_after_the_other_give_the_librarys_own_features(name: str) -> None:
    network = random_network(name)
    images = torch.randn(2, *takes(name).shape)
    outputs = images
    for spec in parts(whole(name)):
        needed = dict.fromkeys(build_backbone(spec).weights())
        own = {key: tensor for key, tensor in network.state_dict().items() if key in needed}
        outputs = forward(load(spec, own), outputs)
    assert torch.equal(outputs, own_features(network, name, images))


@pytest.mark.parametrize("name", FAST)
def test_cutting_loses_nothing(name: str) -> None:
    _check_cuts(name, takes(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION_NAMES)
def test_every_name_of_the_list_can_be_built_and_cut(name: str) -> None:
    side = models.get_model_weights(name).DEFAULT.transforms().crop_size[0]
    _check_cuts(name, TensorType(shape=(3, side, side)), built_for=side)


def _check_cuts(name: str, images: TensorType, *, built_for: int | None = None) -> None:
    sized = name.startswith(("vit_", "maxvit_"))
    size = (built_for or BUILT_FOR.get(name)) if sized else None
    spec = counted(TorchvisionSpec(backbone=name, parameters=0, image_size=size))
    one = measure(spec, images)
    pieces, costs = parts(spec), 0
    for piece in pieces:
        measured = measure(piece, images)
        images, costs = measured.contract.gives, costs + measured.multiply_adds
    assert sum(piece.parameters for piece in pieces) == spec.parameters
    assert (images, costs) == (one.contract.gives, one.multiply_adds)


def test_outputs_are_relus_where_the_feature_map_says_so() -> None:
    for name in ("resnet18", "mobilenet_v2", "squeezenet1_1", "shufflenet_v2_x0_5"):
        assert stages_of(whole(name)).last == "relu"
        outputs = own_features(random_network(name), name, torch.randn(2, 3, 64, 64))
        assert outputs.min() >= 0


def test_building_draws_no_number_and_leaves_no_weight_unset_unseen() -> None:
    before = torch.random.get_rng_state()
    module = build_backbone(whole("swin_t"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.isnan(tensor).all() for tensor in module.weights().values())
    indices = [buffer for name, buffer in module.named_buffers() if name.endswith("relative_position_index")]
    assert indices
    assert all(index.min() >= 0 and index.max() < 169 for index in indices)


def test_weights_are_the_librarys_names_without_classifier_and_counts() -> None:
    names = set(build_backbone(whole("resnet18")).weights())
    own = {name for name in models.resnet18(weights=None).state_dict() if not name.startswith("fc.")}
    assert names == {name for name in own if not name.endswith("num_batches_tracked")}


def test_weights_that_do_not_fit_are_named() -> None:
    spec = whole("squeezenet1_1")
    weights = {name: torch.zeros_like(tensor) for name, tensor in build_backbone(spec).weights().items()}
    assert not load(spec, weights).training
    renamed = {("x" if name == "features.0.bias" else name): tensor for name, tensor in weights.items()}
    with pytest.raises(InvalidWeightsError, match=r"2 tensors do not fit.*'features.0.bias' is missing"):
        load(spec, renamed)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": 5}, "says 5 parameters, but torchvision builds it with 11,176,512"),
        ({"start": 3, "stop": 9}, r"stages 0 to 4; start 3 and stop 9 are no part"),
        ({"image_size": 64}, "not built for one size"),
        ({"parameters": 10**10}, "10,000,000,000 parameters; at most"),
    ],
)
def test_a_spec_that_lies_is_refused_before_anything_is_held(changes: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=said):
        build_backbone(whole("resnet18").model_copy(update=changes))


def test_images_of_another_size_are_refused_where_a_network_has_one() -> None:
    with pytest.raises(InvalidArchitectureError, match="cannot run on"):
        measure(whole("vit_b_32"), TensorType(shape=(3, 96, 96)))
    with pytest.raises(InvalidArchitectureError, match="cannot build vit_b_32"):
        counted(TorchvisionSpec(backbone="vit_b_32", parameters=0, image_size=65))


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (Bounds(activations=1000), "values in its largest tensor"),
        (Bounds(multiply_adds=1000), "multiply-adds an example"),
        (Bounds(parameters=1000), "parameters"),
    ],
)
def test_a_backbone_over_a_bound_is_refused_without_running_it(bounds: Bounds, said: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=f"{said}; at most 1,000"):
        measure(whole("resnet18"), TensorType(shape=(3, 1024, 1024)), bounds=bounds)


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed")
def test_without_timm_the_error_names_the_extra() -> None:
    with pytest.raises(SettingsError, match="install the extra 'timm'"):
        build_backbone(TimmSpec(backbone="resnet18", parameters=0))
