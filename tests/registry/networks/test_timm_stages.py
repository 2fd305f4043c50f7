"""Backbones of timm: by names of its own registry, never fetched; skipped where timm is not installed."""

from importlib.util import find_spec

import pytest
import torch

from registry.architectures.contracts import TensorType
from registry.architectures.specs import TimmSpec
from registry.errors import InvalidArchitectureError
from registry.networks.backbones import build_backbone, counted, left_out, library_network, measure, stages_of
from registry.networks.build import load
from registry.networks.embed import forward
from registry.networks.timm_stages import pretrained_settings

pytestmark = pytest.mark.skipif(find_spec("timm") is None, reason="timm, the extra 'timm', is not installed")


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "swin_tiny_patch4_window7_224"])
def test_stages_one_after_the_other_are_the_whole_network(name: str) -> None:
    whole = counted(TimmSpec(backbone=name, parameters=0))
    network = library_network(whole, filled=True).eval()
    weights = {key: tensor for key, tensor in network.state_dict().items() if tensor.is_floating_point()}
    outputs = images = torch.randn(2, 3, 224, 224)
    for index in range(len(stages_of(whole).stages)):
        part = counted(whole.model_copy(update={"start": index, "stop": index + 1}))
        own = {key: weights[key] for key in build_backbone(part).weights()}
        outputs = forward(load(part, own), outputs)
    assert torch.allclose(outputs, forward(network, images), atol=1e-5)
    assert measure(whole, TensorType(shape=(3, 224, 224))).contract.gives.shape == outputs.shape[1:]


def test_a_name_that_timm_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidArchitectureError, match="has no network 'resnet51'"):
        counted(TimmSpec(backbone="resnet51", parameters=0))


def test_classifiers_and_images_are_what_timm_says() -> None:
    assert "fc." in left_out(TimmSpec(backbone="resnet18", parameters=0))
    settings = pretrained_settings("vit_tiny_patch16_224")
    assert (settings.size, settings.fixed, settings.mean) == (224, True, (0.5, 0.5, 0.5))
