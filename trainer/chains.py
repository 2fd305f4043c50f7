"""Which chains of a work can run at all: each one that cannot gets one sentence that says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from registry.errors import JobFailedError
from registry.names import Digest
from registry.networks.embed import Prefix
from registry.work import ModuleFailure, ScoreWork
from trainer.loaded import LoadedModule

Modules = Mapping[Digest, LoadedModule]

LONGEST_REASON = 2000


@dataclass(frozen=True, slots=True)
class SortedChains:
    """Chains that can run, and why the last modules of the others cannot be scored."""

    sound: tuple[Prefix, ...]
    failures: tuple[ModuleFailure, ...]


def sort_chains(work: ScoreWork, modules: Modules, *, broken: Mapping[Digest, str]) -> SortedChains:
    """Tell the chains that can run from those that cannot, each wanted module once.

    Args:
        work: what is to be scored.
        modules: modules of its chains, ready to run.
        broken: every other module of its chains, and why it is not ready.
    """
    sound: list[Prefix] = []
    failures: list[ModuleFailure] = []
    for wanted, chain in {chain[-1]: chain for chain in work.chains}.items():
        reason = _broken_part(chain, broken) or _misfit([modules[digest] for digest in chain])
        if reason is None:
            sound.append(chain)
        else:
            failures.append(failure(wanted, reason))
    return SortedChains(tuple(sound), tuple(failures))


def failure(module: Digest, reason: str) -> ModuleFailure:
    """Why a module cannot be scored, in as many characters as may travel."""
    return ModuleFailure(module=module, reason=reason[:LONGEST_REASON])


def _broken_part(chain: Prefix, broken: Mapping[Digest, str]) -> str | None:
    """Which module of a chain is not ready, and why."""
    for digest in chain:
        if digest in broken:
            what = "its file" if digest == chain[-1] else f"the file of {digest}, on which it stands,"
            return f"{what} cannot be used: {broken[digest]}"
    return None


def _misfit(parts: Sequence[LoadedModule]) -> str | None:
    """Why modules cannot run one after the other up to a feature map."""
    try:
        _ = parts[0].preprocessing, parts[-1].feature_map
    except JobFailedError as error:
        return error.detail
    for below, above in pairwise(part.manifest for part in parts):
        if above.takes != below.gives:
            return f"the {above.role} module of its chain takes {above.takes}, but the one below it gives {below.gives}"
    return None
