"""Modules from their files onto the device, frozen and ready to run."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from registry.errors import JobFailedError
from registry.manifest import FeatureMap, ModuleManifest, Preprocessing
from registry.module_file import read_module
from registry.networks.build import load
from trainer.devices import Placement


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A module that can run: what it says of itself, and its network in eval mode on the device."""

    manifest: ModuleManifest
    network: nn.Module

    @property
    def preprocessing(self) -> Preprocessing:
        """How it wants images. Raises JobFailedError where it is not an input module."""
        if self.manifest.preprocessing is None:
            raise JobFailedError(f"a chain must begin with an input module, not with a {self.manifest.role} module")
        return self.manifest.preprocessing

    @property
    def feature_map(self) -> FeatureMap:
        """The nonlinearity that follows it. Raises JobFailedError for an output module, which has none."""
        if self.manifest.feature_map is None:
            raise JobFailedError(f"a module of role {self.manifest.role} has no feature map and cannot be scored")
        return self.manifest.feature_map


def load_module(path: Path, *, placement: Placement) -> LoadedModule:
    """Read, check and build a module. Raises InvalidModuleFileError, InvalidArchitectureError."""
    part = read_module(path)
    weights = {name: torch.from_numpy(values) for name, values in part.tensors.items()}
    return LoadedModule(part.manifest, placement.place(load(part.manifest.architecture, weights)))
