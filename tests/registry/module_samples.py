"""Small modules that tests build files from."""

import numpy as np

from registry.architectures.contracts import TensorType, gives, tensors
from registry.architectures.specs import BatchNorm1dSpec, BlocksSpec, FlattenSpec, LinearSpec, ReluSpec
from registry.manifest import FeatureMap, ModuleManifest, Preprocessing, Role
from registry.module_file import PipelinePart
from registry.tensor_file import Floats

PREPROCESSING = Preprocessing(colour="grey", height=8, width=8, mean=(0.5,), std=(0.25,))


def input_module(*, features: int = 6, seed: int = 0) -> PipelinePart:
    """An input module over 8 x 8 grey images."""
    blocks = (
        FlattenSpec(),
        LinearSpec(in_features=64, out_features=features),
        BatchNorm1dSpec(features=features),
    )
    spec, takes = BlocksSpec(blocks=blocks), TensorType(shape=(1, 8, 8))
    manifest = ModuleManifest(
        role=Role.INPUT,
        architecture=spec,
        takes=takes,
        gives=gives(spec, takes),
        preprocessing=PREPROCESSING,
        feature_map=FeatureMap(activation="relu", k_min=0.0),
        description="a small module; für Tests",
    )
    return PipelinePart(manifest, weights_of(spec, seed=seed))


def output_module(*, features: int = 6, labels: tuple[str, ...] = ("no", "yes"), seed: int = 1) -> PipelinePart:
    """An output module above `input_module`."""
    spec = BlocksSpec(blocks=(ReluSpec(), LinearSpec(in_features=features, out_features=len(labels))))
    takes = TensorType(shape=(features,))
    manifest = ModuleManifest(role=Role.OUTPUT, architecture=spec, takes=takes, gives=gives(spec, takes), labels=labels)
    return PipelinePart(manifest, weights_of(spec, seed=seed))


def weights_of(spec: BlocksSpec, *, seed: int) -> dict[str, Floats]:
    """Random weights, none of them negative, so that they serve as variances too."""
    generator = np.random.default_rng(seed)
    return {name: generator.random(entry.shape, dtype=np.float32) for name, entry in tensors(spec).items()}
