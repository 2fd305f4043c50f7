"""`zoo search`: which modules there are."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from client.cli.options import ZooOptions, opened, takes, tensor_type, word
from client.cli.output import answers, line, plain_table, write_json
from client.zoo import Zoo
from registry.manifest import Role
from registry.records import ModuleSearch, Page, PublishedModule, Verification, VerificationState

VERIFIED = {
    VerificationState.UNVERIFIED: "not yet",
    VerificationState.VERIFIED: "yes",
    VerificationState.REFUSED: "refused",
}
LARGEST_PAGE = 200
Sort = Literal["name", "-name", "published_at", "-published_at"]


@dataclass(frozen=True, kw_only=True)
class SearchOptions(ZooOptions):
    """What `zoo search` takes."""

    query: Annotated[str | None, typer.Argument(help="Looked for in names, descriptions and tags.")] = None
    role: Annotated[Role | None, typer.Option(help="Only modules of this role.")] = None
    namespace: Annotated[str | None, typer.Option(help="Only this namespace.")] = None
    task: Annotated[str | None, typer.Option(help="Only modules trained on this task or class.")] = None
    tag: Annotated[str | None, typer.Option(help="Only modules with this tag.")] = None
    takes: Annotated[str | None, typer.Option(help="Only modules that take this, such as 'float32[3,32,32]'.")] = None
    gives: Annotated[str | None, typer.Option(help="Only modules that give this.")] = None
    verified: Annotated[bool, typer.Option("--verified", help="Only modules that a worker has built and run.")] = False
    sort: Annotated[Sort, typer.Option(help="Order of the results.")] = "-published_at"
    limit: Annotated[int, typer.Option(min=1, help="At most so many results.")] = 50

    @property
    def fields(self) -> ModuleSearch:
        """The search as the zoo takes it."""
        return ModuleSearch(
            role=self.role,
            namespace=None if self.namespace is None else word(self.namespace, what="namespace"),
            task=self.task,
            tag=self.tag,
            takes=tensor_type(self.takes, option="--takes"),
            gives=tensor_type(self.gives, option="--gives"),
            q=self.query,
            verified=self.verified or None,
            sort=self.sort,
        )


@takes(SearchOptions)
def search(options: SearchOptions) -> None:
    """Search the modules of the zoo."""
    fields = options.fields
    with opened(options) as zoo:
        found = _found(zoo, fields, limit=options.limit)
    if options.json:
        write_json(found)
    elif not found.items:
        line("No module fits; search for less, or publish one with `zoo train --publish`.")
    else:
        _write_table(found.items)
        if found.next_cursor is not None:
            line(f"There are more than {options.limit}; narrow the search, or raise --limit.")


def _found(zoo: Zoo, fields: ModuleSearch, *, limit: int) -> Page[PublishedModule]:
    """The first modules that fit, and the cursor from which the zoo tells the others."""
    items: tuple[PublishedModule, ...] = ()
    cursor = None
    while len(items) < limit:
        page = zoo.modules.search(fields, limit=min(LARGEST_PAGE, limit - len(items)), cursor=cursor)
        items, cursor = (*items, *page.items), page.next_cursor
        if cursor is None:
            break
    return Page(items=items, next_cursor=cursor)


def _write_table(modules: tuple[PublishedModule, ...]) -> None:
    """A line for each module."""
    table = plain_table("module", "role", "takes", "gives", "trained on", "size", "verified", "tags")
    for module in modules:
        table.add_row(
            module.ref,
            module.role,
            str(module.takes),
            str(module.gives),
            trained_on(module),
            f"{module.size_bytes / 1e6:.2f} MB",
            VERIFIED[module.verification.state],
            " ".join(module.tags),
        )
    answers().print(table)


def verified(verification: Verification) -> str:
    """Whether a worker has built and run a version, since when, and why it is refused if it is."""
    when = "" if verification.at is None else f", {verification.at:%Y-%m-%d %H:%M} UTC"
    why = f": {verification.reason}" if verification.reason else ""
    return f"{VERIFIED[verification.state]}{when}{why}"


def trained_on(module: PublishedModule) -> str:
    """The classes a module was trained on, the first few by name."""
    if module.task is None:
        return ""
    labels = [trained.label for trained in module.task.classes]
    return ", ".join(labels[:6]) + (f" and {len(labels) - 6} more" if len(labels) > 6 else "")
