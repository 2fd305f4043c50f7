"""What a zoo shows of itself, in the form of the model that histories are compared with."""

from collections.abc import Iterable
from contextlib import suppress

from registry.errors import NotFoundError
from registry.names import ModuleName
from registry.records import ModuleSearch
from registry.zoo import Zoo


def shown(zoo: Zoo, data: Iterable[str]) -> object:
    """Modules with versions and aliases, pipelines, and who holds which of some datasets."""
    found = zoo.modules.search(ModuleSearch(), limit=10, cursor=None, facets=False)
    latest = {f"{each.namespace}/{each.name}": each.version for each in found.items}
    modules = {}
    for name in ("ada/a", "ada/b", "bob/c"):
        with suppress(NotFoundError):
            modules[name] = module_shown(zoo, ModuleName.parse(name), latest=latest.get(name))
    pipelines = {
        " ".join(part.digest for part in each.modules): tuple((part.ref, part.digest) for part in each.modules)
        for each in zoo.pipelines.list(limit=200, cursor=None).items
    }
    owners = {digest: {owner for owner in ("ada", "bob") if holds(zoo, owner, digest)} for digest in data}
    return modules, pipelines, {digest: held for digest, held in owners.items() if held}


def module_shown(zoo: Zoo, name: ModuleName, *, latest: int | None) -> dict[str, object]:
    """One module with its versions, what searches find of it, and the history of its aliases."""
    overview = zoo.modules.overview(name)
    histories = {}
    for alias in ("production", "next"):
        with suppress(NotFoundError):
            moves = zoo.modules.alias_history(name, alias)
            histories[alias] = [move.version for move in moves]
            assert overview.aliases.get(alias) == moves[-1].version
    return {
        "versions": {each.version: (each.digest, each.yanked) for each in overview.versions},
        "latest": latest,
        "aliases": histories,
    }


def holds(zoo: Zoo, owner: str, digest: str) -> bool:
    """Whether an owner has a dataset."""
    try:
        zoo.datasets.get(digest, owner=owner)
    except NotFoundError:
        return False
    return True
