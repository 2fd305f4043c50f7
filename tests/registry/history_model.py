"""A zoo's registry in plain Python: what must be visible after any history, and what the collector must have left."""

from copy import deepcopy
from dataclasses import dataclass, field

GRACE_SECONDS = 100.0


@dataclass
class Version:
    """One version: its bytes, what they stand on, and whether it is yanked."""

    digest: str
    below: str | None
    yanked: str | None = None


@dataclass
class Model:
    """What is visible (modules, aliases, pipelines, datasets), and since when bytes lie about."""

    versions: dict[str, dict[int, Version]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    aliases: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    pipelines: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    datasets: dict[str, set[str]] = field(default_factory=dict)

    def copy(self) -> "Model":
        return deepcopy(self)

    def visible(self) -> object:
        """All of it, in a form that is compared with what a zoo shows."""
        return (
            {
                name: {
                    "versions": {number: (each.digest, each.yanked) for number, each in versions.items()},
                    "latest": max((number for number, each in versions.items() if each.yanked is None), default=None),
                    "aliases": {alias: moves for (owner, alias), moves in self.aliases.items() if owner == name},
                }
                for name, versions in self.versions.items()
                if versions
            },
            dict(self.pipelines),
            {digest: set(owners) for digest, owners in self.datasets.items() if owners},
        )

    def publish(self, name: str, digest: str, below: str | None) -> int:
        """The version that these bytes have, a new one where they have none."""
        versions = self.versions.setdefault(name, {})
        for number, each in versions.items():
            if each.digest == digest:
                return number
        self.last[name] = self.last.get(name, 0) + 1
        versions[self.last[name]] = Version(digest, below)
        return self.last[name]

    def is_here(self, digest: str) -> bool:
        """Whether some version has these bytes."""
        return any(each.digest == digest for versions in self.versions.values() for each in versions.values())

    def move(self, name: str, alias: str, version: int) -> None:
        self.aliases.setdefault((name, alias), []).append(version)

    def may_go(self, name: str, version: int) -> bool:
        """Whether nothing refers to a version: no alias, pipeline or module, unless its bytes stay elsewhere."""
        digest = self.versions[name][version].digest
        if any(owner == name and moves[-1] == version for (owner, _), moves in self.aliases.items()):
            return False
        ref = f"{name}@{version}"
        if any(ref == part for parts in self.pipelines.values() for part, _ in parts):
            return False
        every = [each for versions in self.versions.values() for each in versions.values()]
        if sum(each.digest == digest for each in every) > 1:
            return True
        held = any(digest == pinned for parts in self.pipelines.values() for _, pinned in parts)
        return not held and not any(each.below == digest for each in every)

    def referred(self) -> set[str]:
        """Bytes that must be there."""
        every = {each.digest for versions in self.versions.values() for each in versions.values()}
        return every | {digest for digest, owners in self.datasets.items() if owners}
