"""Weights that a user has become modules: hostile and foreign files are refused, the rest is published and scored."""

import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from client.zoo import Zoo
from registry.architectures.contracts import TensorType
from registry.errors import InvalidArchitectureError, InvalidInputError, InvalidWeightsError
from registry.manifest import Role
from registry.module_file import PipelinePart, read_module
from registry.networks.build import load
from registry.networks.embed import forward
from registry.rankings import ReusabilityQuestion
from registry.wrapping import WrapRequest
from tests.api.serving import Service, serving
from tests.trainer.serving import digits_file, working
from trainer.backbone_preprocessing import image_settings
from trainer.backbone_weights import read_weights
from trainer.verification import fault_of
from trainer.wrapping import wrap_backbone

Weights = dict[str, Tensor]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return models.resnet18(weights=None, num_classes=7).eval()


@pytest.fixture
def state(network: nn.Module) -> Weights:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def saved(weights: Weights, folder: Path) -> Path:
    file = folder / "weights.safetensors"
    save_file(weights, file)
    return file


def wrapped(weights: Weights, folder: Path, *, backbone: str = "resnet18", **changes: object) -> list[PipelinePart]:
    request = WrapRequest(library="torchvision", backbone=backbone, **changes)
    files = wrap_backbone(request, saved(weights, folder), out=folder / "out", name="net")
    return [read_module(file) for file in files]


def run(parts: list[PipelinePart], images: Tensor) -> Tensor:
    for part in parts:
        weights = {name: torch.from_numpy(values) for name, values in part.tensors.items()}
        images = forward(load(part.manifest.architecture, weights), images)
    return images


def layer4(network: nn.Module, images: Tensor) -> Tensor:
    seen: list[Tensor] = []
    hook = network.get_submodule("layer4").register_forward_hook(lambda part, before, after: seen.append(after))
    with torch.no_grad():
        network(images)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("cut", [{}, {"modules": 2}, {"modules": 4}, {"cuts": (3,)}])
def test_a_wrapped_network_gives_what_the_library_gives(network, state, tmp_path, cut):
    parts = wrapped(state, tmp_path, image_size=64, **cut)
    images = torch.randn(2, 3, 64, 64)
    assert len(parts) == max(cut.get("modules", 1), len(cut.get("cuts", ())) + 1)
    assert torch.equal(run(parts, images), layer4(network, images))


def test_the_manifest_takes_over_what_torchvision_says(state, tmp_path):
    (part,) = wrapped(state, tmp_path, license="BSD-3-Clause")
    manifest = part.manifest
    assert (manifest.role, manifest.takes.shape, manifest.gives.shape) == (Role.INPUT, (3, 224, 224), (512, 7, 7))
    assert manifest.preprocessing.mean == (0.485, 0.456, 0.406)
    assert (manifest.preprocessing.crop, manifest.preprocessing.resampling) == (0.875, "bilinear")
    assert (manifest.feature_map.activation, manifest.feature_map.pooling) == ("relu", "average")
    assert (manifest.architecture.parameters, manifest.license) == (11_176_512, "BSD-3-Clause")
    assert manifest.tags == ("torchvision",)


def test_what_the_user_says_of_images_goes_first(state, tmp_path):
    (part,) = wrapped(state, tmp_path, image_size=96, mean=(0.5, 0.4, 0.3), std=(1.0, 1.0, 1.0))
    assert part.manifest.preprocessing.shape == (3, 96, 96)
    assert part.manifest.preprocessing.mean == (0.5, 0.4, 0.3)


def test_parts_stand_on_each_other(state, tmp_path):
    wrapped(state, tmp_path, image_size=32, modules=3)
    files = [tmp_path / "out" / f"net-{ending}.safetensors" for ending in ("input", "hidden-1", "hidden-2")]
    manifests = [read_module(file).manifest for file in files]
    assert [manifest.role for manifest in manifests] == [Role.INPUT, Role.HIDDEN, Role.HIDDEN]
    assert [above.takes for above in manifests[1:]] == [below.gives for below in manifests[:-1]]
    assert all(manifest.below is not None for manifest in manifests[1:])


def test_half_precision_is_raised_to_single(state, tmp_path):
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    (part,) = wrapped(halves, tmp_path, image_size=32)
    assert {values.dtype.name for values in part.tensors.values()} == {"float32"}


def test_a_vision_transformers_weights_tell_their_image_size():
    positions = {"encoder.pos_embedding": torch.zeros(1, 1 + 12 * 12, 1024)}
    request = WrapRequest(library="torchvision", backbone="vit_l_32")
    settings = image_settings(request, positions)
    assert (settings.size, settings.fixed) == (384, True)
    with pytest.raises(InvalidInputError, match="for images of 384 pixels, not 224"):
        image_settings(request.model_copy(update={"image_size": 224}), positions)


def test_the_preprocessing_is_that_of_weights_for_the_same_size():
    swag = image_settings(WrapRequest(library="torchvision", backbone="vit_b_16", image_size=384), {})
    assert (swag.size, swag.crop, swag.resampling) == (384, 1.0, "bicubic")
    named = WrapRequest(library="torchvision", backbone="resnet50", preset="IMAGENET1K_V1")
    assert image_settings(named, {}).crop == 0.875


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_what_torchvision_does_within_a_network_is_said_as_preprocessing(name):
    settings = image_settings(WrapRequest(library="torchvision", backbone=name), {})
    pixels = torch.rand(1, 3, 4, 4)
    imagenet = (pixels - torch.tensor(IMAGENET_MEAN)[:, None, None]) / torch.tensor(IMAGENET_STD)[:, None, None]
    inside = models.get_model(name, weights=None, init_weights=False, transform_input=True)._transform_input(imagenet)
    assert torch.allclose((pixels - settings.mean[0]) / settings.std[0], inside, atol=1e-5)


def test_names_from_before_torchvision_renamed_them_are_known(tmp_path):
    old = {
        "encoder.layers.encoder_layer_0.mlp.linear_1.weight": torch.zeros(1),
        "encoder.layers.encoder_layer_0.mlp.linear_2.bias": torch.zeros(1),
        "features.denseblock1.denselayer2.norm.1.weight": torch.zeros(1),
    }
    assert sorted(read_weights(saved(old, tmp_path))) == [
        "encoder.layers.encoder_layer_0.mlp.0.weight",
        "encoder.layers.encoder_layer_0.mlp.3.bias",
        "features.denseblock1.denselayer2.norm1.weight",
    ]


class Payload:
    """What a hostile pickle would run."""

    def __reduce__(self):
        return (Path.touch, (Path("was-run"),))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_is_never_opened_whatever_it_is_called(suffix, legacy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"weights.{suffix}"
    torch.save({"x": torch.zeros(1)}, file)
    if legacy:
        file.write_bytes(pickle.dumps(Payload()))
    request = WrapRequest(library="torchvision", backbone="resnet18")
    with pytest.raises(InvalidWeightsError, match=r"is a pickle.*convert it with: python -c .*weights_only=True"):
        wrap_backbone(request, file, out=tmp_path / "out", name="net")
    assert not (tmp_path / "was-run").exists()


def test_other_bytes_are_no_safetensors_file(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(InvalidWeightsError, match="is not a safetensors file"):
        wrap_backbone(WrapRequest(library="torchvision", backbone="resnet18"), file, out=tmp_path / "out", name="net")


def test_tensors_that_do_not_fit_are_named_and_nothing_is_written(state, tmp_path):
    state["module.conv1.weight"] = state.pop("conv1.weight")
    with pytest.raises(InvalidWeightsError, match=r"not the weights of resnet18.*'conv1.weight' is missing") as refusal:
        wrapped(state, tmp_path)
    assert [fault.pointer for fault in refusal.value.faults] == [
        "/tensors/conv1.weight",
        "/tensors/module.conv1.weight",
    ]
    assert not (tmp_path / "out").exists()


def test_weights_of_another_network_are_refused(state, tmp_path):
    with pytest.raises(InvalidWeightsError, match=r"not the weights of resnet50.*and [0-9]+ more"):
        wrapped(state, tmp_path, backbone="resnet50")


def test_weights_with_nan_are_refused(state, tmp_path):
    state["conv1.weight"][0, 0, 0, 0] = torch.nan
    with pytest.raises(InvalidWeightsError, match="NaN"):
        wrapped(state, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"modules": 5}, InvalidArchitectureError, "it makes 1 to 4 modules"),
        ({"cuts": (2, 4)}, InvalidArchitectureError, r"cuts are 1 to 3, got \[2, 4\]"),
        ({"preset": "SWAG"}, InvalidInputError, "choose one of IMAGENET1K_V1"),
        ({"image_size": 1}, None, ""),
    ],
)
def test_what_cannot_be_cut_or_is_not_known_is_refused(state, tmp_path, changes, error, said):
    if error is None:
        assert wrapped(state, tmp_path, **changes)[0].manifest.gives.shape == (512, 1, 1)
        return
    with pytest.raises(error, match=said):
        wrapped(state, tmp_path, **changes)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        yield running


def test_a_wrapped_network_is_published_and_scored_by_a_worker(service, state, tmp_path):
    url = str(service.http.base_url)
    wrapped(state, tmp_path, image_size=32, modules=2)
    (tmp_path / "digits.npz").write_bytes(digits_file(60))
    with Zoo(url, cache=tmp_path / "cache") as zoo, working(url, tmp_path / "worker"):
        below, above = (
            zoo.modules.publish(f"ada/resnet18-{ending}", tmp_path / "out" / f"net-{ending}.safetensors")
            for ending in ("input", "hidden-1")
        )
        assert above.below == below.digest
        deadline = time.monotonic() + 60
        while zoo.modules.show(above.ref).verification.state == "unverified" and time.monotonic() < deadline:
            time.sleep(0.1)
        assert zoo.modules.show(above.ref).verification.state == "verified"
        dataset = zoo.datasets.publish(tmp_path / "digits.npz")
        task = zoo.tasks.create(dataset.digest, {"low": ("0", "1", "2"), "high": ("3", "4", "5")})
        score = zoo.queries.reusability(ReusabilityQuestion(module=above.ref, task=task.id))
        assert -1 <= score.score <= 1


def test_a_worker_measures_a_backbone_before_it_runs_it(state, tmp_path):
    (part,) = wrapped(state, tmp_path, image_size=32)
    assert fault_of(part) is None
    lies = part.manifest.model_copy(update={"gives": TensorType(shape=(512, 2, 2))})
    assert "its manifest says float32[512,2,2]" in fault_of(PipelinePart(lies, part.tensors))
    giant = part.manifest.model_copy(update={"takes": TensorType(shape=(3, 2300, 2300))})
    assert "values in its largest tensor" in fault_of(PipelinePart(giant, part.tensors))
