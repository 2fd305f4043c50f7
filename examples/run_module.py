"""Build and run a module from its file alone, without a server.

python examples/run_module.py module.safetensors
"""

import sys
from pathlib import Path

import torch

from registry.module_file import read_module
from registry.networks.build import load


def main() -> None:
    part = read_module(Path(sys.argv[1]))
    manifest = part.manifest
    module = load(manifest.architecture, {name: torch.from_numpy(array) for name, array in part.tensors.items()})
    outputs = module(torch.zeros(1, *manifest.takes.shape))
    print(f"{manifest.role} module, {manifest.takes} -> {manifest.gives}; outputs {tuple(outputs.shape[1:])}")
    if manifest.task is not None:
        print("trained on", ", ".join(trained.label for trained in manifest.task.classes))


if __name__ == "__main__":
    main()
