"""The stages of torchvision's networks for classification; every name comes from the allow-list of specs."""

import torch
from torch import Tensor, nn
from torchvision import models  # type: ignore[import-untyped]

from registry.architectures.backbone_names import TorchvisionName
from registry.networks.stages import Stages, Step, in_turn, numbered

AUXILIARY = ("googlenet", "inception_v3")
"""Networks with classifiers at their sides, too, which serve training only."""

MOBILENET_ENDS = {13: (2, 4, 9, 13), 17: (2, 4, 7, 13, 17), 19: (2, 4, 7, 14, 19)}
"""Of MobileNetV3 small, MobileNetV3 large and MobileNetV2, by the number of their blocks: before each stride of 2."""

TRANSFORMER_STAGES = 4


def build_torchvision(name: TorchvisionName, *, image_size: int | None) -> nn.Module:
    """A network as torchvision builds it without weights, classifier and all; nothing is downloaded.

    Args:
        name: from the allow-list.
        image_size: side of the images in pixels where the network is built for one size; None is its usual one.

    Raises:
        ValueError: the network cannot be built for such images.
    """
    if name in AUXILIARY:
        return _built(name, init_weights=False)
    if image_size is None:
        return _built(name)
    if name.startswith("vit_"):
        return _built(name, image_size=image_size)
    if name.startswith("maxvit_"):
        return _built(name, input_size=(image_size, image_size))
    raise ValueError(f"{name} is not built for one size of images; leave image_size out")


def _built(name: TorchvisionName, **arguments: bool | int | tuple[int, int]) -> nn.Module:
    network: nn.Module = models.get_model(name, weights=None, **arguments)
    return network


def torchvision_stages(network: nn.Module) -> Stages:
    """What a network of torchvision may be cut into; its head, from the first linear map on, is left out.

    Raises:
        ValueError: the network is none for classification.
    """
    match network:
        case models.VGG() | models.AlexNet() | models.SqueezeNet():
            return Stages(numbered("features", _after_pools(network.features)), "relu", "relu")
        case models.MobileNetV2() | models.MobileNetV3():
            last = network.features[-1][-1]
            ends = MOBILENET_ENDS[len(network.features)]
            return Stages(numbered("features", ends), "identity", "relu" if isinstance(last, nn.ReLU6) else "identity")
        case models.EfficientNet():
            return Stages(numbered("features", (2, 3, 4, 6, len(network.features))), "identity", "identity")
        case models.MNASNet():
            return Stages(numbered("layers", (9, 10, 12, 17)), "identity", "relu")
        case models.SwinTransformer() | models.VisionTransformer() | models.MaxVit() | models.ConvNeXt():
            return _with_layer_norms(network)
        case _:
            return _of_named_parts(network)


def _after_pools(features: nn.Sequential) -> tuple[int, ...]:
    """Where pieces of a plain sequence end: after every max pooling."""
    ends = [index + 1 for index, part in enumerate(features) if isinstance(part, nn.MaxPool2d)]
    return tuple(ends if ends[-1] == len(features) else [*ends, len(features)])


def _of_named_parts(network: nn.Module) -> Stages:
    """Stages of networks whose parts have names, all with relu between them but DenseNet."""
    match network:
        case models.ResNet():
            return Stages(in_turn("conv1 bn1 relu maxpool layer1", "layer2", "layer3", "layer4"), "relu", "relu")
        case models.RegNet():
            blocks = [f"trunk_output.{name}" for name, _ in network.trunk_output.named_children()]
            return Stages(in_turn(f"stem {blocks[0]}", *blocks[1:]), "relu", "relu")
        case models.ShuffleNetV2():
            return Stages(in_turn("conv1 maxpool stage2", "stage3", "stage4 conv5"), "relu", "relu")
        case models.GoogLeNet():
            return Stages(in_turn(*GOOGLENET), "relu", "relu")
        case models.Inception3():
            return Stages(in_turn(*INCEPTION_V3), "relu", "relu")
        case models.DenseNet():
            return Stages(in_turn(*DENSENET), "identity", "relu")
        case _:
            raise ValueError(f"{type(network).__name__} is not a network for classification that is known here")


GOOGLENET = (
    "conv1 maxpool1 conv2 conv3 maxpool2",
    "inception3a inception3b maxpool3",
    "inception4a inception4b inception4c inception4d inception4e maxpool4",
    "inception5a inception5b",
)
INCEPTION_V3 = (
    "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 maxpool1 Conv2d_3b_1x1 Conv2d_4a_3x3 maxpool2",
    "Mixed_5b Mixed_5c Mixed_5d",
    "Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e",
    "Mixed_7a Mixed_7b Mixed_7c",
)
DENSENET = (
    "features.conv0 features.norm0 features.relu0 features.pool0 features.denseblock1 features.transition1",
    "features.denseblock2 features.transition2",
    "features.denseblock3 features.transition3",
    "features.denseblock4 features.norm5",
)
"""Ends in batch norm: the relu that follows is the feature map's."""


def _with_layer_norms(network: nn.Module) -> Stages:
    """Stages of networks that end in a layer norm, which stays: on pooled values, on each pixel, or on the token."""
    match network:
        case models.ConvNeXt():
            *lower, top = numbered("features", (2, 4, 6, 8))
            (head,) = in_turn("avgpool classifier.0 classifier.1")
            return Stages((*lower, (*top, *head)), "identity", "identity")
        case models.MaxVit():
            first, *inner = (f"blocks.{index}" for index in range(len(network.blocks) - 1))
            last = f"blocks.{len(network.blocks) - 1} classifier.0 classifier.1 classifier.2"
            return Stages(in_turn(f"stem {first}", *inner, last), "identity", "identity")
        case models.SwinTransformer():
            *lower, top = numbered("features", (2, 4, 6, 8))
            (norm,) = in_turn("norm permute")
            return Stages((*lower, (*top, *norm)), "identity", "identity", channels_first, channels_last)
        case models.VisionTransformer():
            return _transformer(depth=len(network.encoder.layers))
        case _:
            raise ValueError(f"{type(network).__name__} has no layer norm at its end")


def _transformer(*, depth: int) -> Stages:
    """A vision transformer in four parts; its outputs are the class token at the end, all tokens inside."""
    ends = [depth * (part + 1) // TRANSFORMER_STAGES for part in range(TRANSFORMER_STAGES)]
    layers = [
        tuple(Step((f"encoder.layers.encoder_layer_{index}",)) for index in range(start, end))
        for start, end in zip((0, *ends), ends, strict=False)
    ]
    first = Step(("conv_proj", "class_token", "encoder.pos_embedding"), _tokens_of)
    last = Step(("encoder.ln",), _class_token_of)
    stages = ((first, *layers[0]), *layers[1:-1], (*layers[-1], last))
    return Stages(stages, "identity", "identity", tokens_as_pixels, pixels_as_tokens)


def _tokens_of(network: nn.Module, images: Tensor) -> Tensor:
    """The class token and a token of every patch, each with its place. Shape (n, tokens, d)."""
    patches = network.get_submodule("conv_proj")(images).flatten(start_dim=2).transpose(1, 2)
    class_token = network.get_parameter("class_token").expand(len(images), -1, -1)
    return torch.cat([class_token, patches], dim=1) + network.get_parameter("encoder.pos_embedding")


def _class_token_of(network: nn.Module, tokens: Tensor) -> Tensor:
    """The class token at the end. Shape (n, d)."""
    normed: Tensor = network.get_submodule("encoder.ln")(tokens)
    return normed[:, 0]


def tokens_as_pixels(tokens: Tensor) -> Tensor:
    """Tokens as images of one column, so that pooling is over tokens: (n, tokens, d) to (n, d, tokens, 1)."""
    return tokens.transpose(1, 2).unsqueeze(3)


def pixels_as_tokens(images: Tensor) -> Tensor:
    """The way back: (n, d, tokens, 1) to (n, tokens, d)."""
    return images.squeeze(3).transpose(1, 2)


def channels_first(x: Tensor) -> Tensor:
    """(n, h, w, c) to (n, c, h, w)."""
    return x.permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> Tensor:
    """(n, c, h, w) to (n, h, w, c)."""
    return x.permute(0, 2, 3, 1)
