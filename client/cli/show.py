"""`zoo show`: everything a version says of itself, and what it stands on."""

from dataclasses import dataclass
from typing import Annotated

import typer
from rich.pretty import Pretty
from rich.text import Text

from client.cli.options import ZooOptions, module_ref, opened, takes
from client.cli.output import answers, plain_table, write_json
from client.cli.search import trained_on, verified
from registry.frozen import Frozen
from registry.names import ModuleRef
from registry.records import Lineage, ModuleOverview, PublishedModule


class Shown(Frozen):
    """A version, its lineage, and the module's other versions and aliases."""

    module: PublishedModule
    lineage: Lineage
    overview: ModuleOverview


@dataclass(frozen=True, kw_only=True)
class ShowOptions(ZooOptions):
    """What `zoo show` takes."""

    ref: Annotated[str, typer.Argument(help="Version; without @, the newest.", metavar="REF")]


@takes(ShowOptions)
def show(options: ShowOptions) -> None:
    """Show a version's manifest and lineage."""
    ref = ModuleRef.parse(module_ref(options.ref))
    with opened(options) as zoo:
        shown = Shown(
            module=zoo.modules.show(ref),
            lineage=zoo.modules.lineage(ref),
            overview=zoo.modules.overview(ref.name),
        )
    if options.json:
        write_json(shown)
    else:
        _write(shown)


def _write(shown: Shown) -> None:
    """Facts in two columns, then the architecture and the recipe as they are."""
    console, table = answers(), plain_table("", "")
    for key, value in _facts(shown):
        table.add_row(Text(key, style="bold"), value)
    console.print(table)
    manifest = shown.module.model_dump(mode="json", exclude_none=True)
    for key in ("architecture", "feature_map", "preprocessing", "recipe"):
        if key in manifest:
            console.print(f"[bold]{key}[/bold]")
            console.print(Pretty(manifest[key], expand_all=False))


def _facts(shown: Shown) -> list[tuple[str, str]]:
    """What is shown in one line each; empty lines are left out."""
    module = shown.module
    facts = [
        ("module", module.ref),
        ("digest", module.digest),
        ("role", module.role),
        ("size", f"{module.size_bytes:,} bytes"),
        ("takes", str(module.takes)),
        ("gives", str(module.gives)),
        ("labels", ", ".join(module.labels or ())),
        ("trained on", trained_on(module)),
        ("metrics", ", ".join(f"{m.name} on {m.on}: {m.value:.4g}" for m in module.metrics)),
        ("published", f"{module.published_at:%Y-%m-%d %H:%M} UTC"),
        ("verified", verified(module.verification)),
        ("yanked", module.yanked or ""),
        ("description", module.description),
        ("license", module.license),
        ("tags", " ".join(module.tags)),
    ]
    return [fact for fact in (*facts, *_relations(shown)) if fact[1]]


def _relations(shown: Shown) -> list[tuple[str, str]]:
    """What the version has to do with others."""
    overview, lineage = shown.overview, shown.lineage
    older = " and older ones" if overview.next_cursor else ""
    return [
        ("versions", ", ".join(str(version.version) for version in overview.versions) + older),
        ("aliases", ", ".join(f"{word} -> {version}" for word, version in overview.aliases.items())),
        ("stands on", ", ".join(lineage.below)),
        ("under it", ", ".join(lineage.above) + (", ..." if lineage.next_cursor else "")),
        ("pipelines", ", ".join(lineage.pipelines)),
    ]
