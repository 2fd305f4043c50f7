"""Publishing, aliases, yanking, deleting, on a real zoo."""

import pytest

from registry.errors import (
    InvalidManifestError,
    InvalidModuleFileError,
    NotFoundError,
    PreconditionFailedError,
    ReferencedError,
    TooLargeError,
)
from registry.modules import AliasCondition
from registry.names import ModuleName, ModuleRef
from registry.records import ModuleSearch
from registry.settings import Settings
from registry.zoo import Zoo
from storage.engine import open_engine
from storage.unit_of_work import units_of_work
from storage.wiring import open_zoo
from tests.builders import digest_of, later, trained_on
from tests.numpy_worker import hidden_module, linear_module, output_module, publish, quadrant_module

NAME = ModuleName("ada", "digits")


def test_versions_count_up_and_the_same_bytes_are_published_once(zoo: Zoo) -> None:
    first = zoo.modules.publish(NAME, zoo.blobs.put(linear_module(1)))
    again = zoo.modules.publish(NAME, zoo.blobs.put(linear_module(1)))
    second = zoo.modules.publish(NAME, zoo.blobs.put(linear_module(2)))
    assert [first.module.version, again.module.version, second.module.version] == [1, 1, 2]
    assert [first.created, again.created, second.created] == [True, False, True]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"task": trained_on("data", "a\x00", "b")}, "/module/task/classes"),
        ({"description": "a\x00"}, "/module/description"),
        ({"license": "\x00"}, "/module/license"),
    ],
)
def test_a_text_with_nul_is_refused_on_every_database(zoo: Zoo, changes: dict[str, object], place: str) -> None:
    with pytest.raises(InvalidManifestError, match="has NUL in it") as refusal:
        zoo.modules.publish(NAME, zoo.blobs.put(linear_module(1, **changes)))
    assert refusal.value.faults[0].pointer == place


def test_every_way_of_naming_a_version_finds_it(zoo: Zoo) -> None:
    module = publish(zoo, "ada/digits", linear_module(1))
    zoo.modules.set_alias(NAME, "best", 1, condition=AliasCondition(must_be_new=True))
    for text in ("ada/digits@1", f"ada/digits@{module.digest}", "ada/digits@best", "ada/digits@latest", "ada/digits"):
        assert zoo.modules.get(ModuleRef.parse(text)) == module


def test_bytes_that_are_no_module_are_refused(zoo: Zoo) -> None:
    with pytest.raises(InvalidModuleFileError):
        publish(zoo, "ada/digits", b"not a safetensors file")
    with pytest.raises(NotFoundError):
        zoo.modules.overview(NAME)


def test_a_file_over_the_limit_is_refused_with_the_limit(tmp_path) -> None:
    zoo = open_zoo(Settings(home=tmp_path, module_limit_bytes=100))
    with pytest.raises(TooLargeError, match="limit of 100"):
        publish(zoo, "ada/digits", linear_module(1))


def test_a_module_needs_what_it_stands_on(zoo: Zoo) -> None:
    with pytest.raises(InvalidManifestError, match="publish that module first"):
        publish(zoo, "ada/output", output_module(digest_of("nowhere")))


def test_lineage_goes_both_ways(zoo: Zoo) -> None:
    below = publish(zoo, "ada/input", quadrant_module())
    publish(zoo, "ada/output", output_module(below.digest))
    pipeline = zoo.pipelines.compose("both", ["ada/input@1", "ada/output@1"]).pipeline
    assert zoo.modules.lineage(ModuleRef.parse("ada/output@1")).below == ("ada/input@1",)
    lineage = zoo.modules.lineage(ModuleRef.parse("ada/input@1"))
    assert (lineage.above, lineage.pipelines) == (("ada/output@1",), (pipeline.id,))


def test_lineage_is_whole_in_both_directions(zoo: Zoo) -> None:
    below = publish(zoo, "ada/input", quadrant_module())
    middle = publish(zoo, "ada/hidden", hidden_module(below.digest))
    publish(zoo, "ada/output", output_module(middle.digest))
    assert zoo.modules.lineage(ModuleRef.parse("ada/output@1")).below == ("ada/hidden@1", "ada/input@1")
    assert zoo.modules.lineage(ModuleRef.parse("ada/input@1")).above == ("ada/hidden@1", "ada/output@1")


def test_lineage_names_what_is_still_here_when_one_of_two_copies_goes(zoo: Zoo) -> None:
    below = publish(zoo, "ada/input", quadrant_module())
    publish(zoo, "eve/copy", quadrant_module())
    publish(zoo, "ada/output", output_module(below.digest))
    zoo.modules.delete(ModuleName("ada", "input"), 1)
    assert zoo.modules.lineage(ModuleRef.parse("ada/output@1")).below == ("eve/copy@1",)
    assert zoo.modules.lineage(ModuleRef.parse("eve/copy@1")).above == ("ada/output@1",)
    with pytest.raises(ReferencedError):
        zoo.modules.delete(ModuleName("eve", "copy"), 1)


def test_lineage_names_the_digest_of_what_is_not_here_at_all(zoo: Zoo, tmp_path) -> None:
    below = publish(zoo, "ada/input", quadrant_module())
    publish(zoo, "ada/output", output_module(below.digest))
    lose(tmp_path, "ada", "input")
    assert zoo.modules.lineage(ModuleRef.parse("ada/output@1")).below == (below.digest,)


def lose(home, namespace: str, name: str) -> None:
    """Remove a module's versions as no rule of the zoo would."""
    engine = open_engine(f"sqlite:///{home / 'zoo.sqlite3'}")
    with units_of_work(engine)() as work:
        work.modules.delete(ModuleName(namespace, name), 1)
    engine.dispose()


def test_what_an_alias_pointed_at_is_known_for_every_moment(tmp_path) -> None:
    moments = iter([later(10), later(20), later(30), later(40)])
    zoo = open_zoo(Settings(home=tmp_path))
    published = [publish(zoo, "ada/digits", linear_module(seed)) for seed in (1, 2)]
    timed = zoo.modules
    timed._clock = lambda: next(moments)
    timed.set_alias(NAME, "production", 1, condition=AliasCondition(must_be_new=True))
    timed.set_alias(NAME, "production", 2, condition=AliasCondition(revision=1))
    timed.remove_alias(NAME, "production", condition=AliasCondition(revision=2))
    timed.set_alias(NAME, "production", 1, condition=AliasCondition(must_be_new=True))

    def held(seconds: float) -> int | None:
        return timed.alias_at(NAME, "production", later(seconds)).version

    assert [held(seconds) for seconds in (10, 19.999999, 20, 29.999999, 40, 1e6)] == [1, 1, 2, 2, 1, 1]
    assert timed.alias_at(NAME, "production", later(20)).digest == published[1].digest
    with pytest.raises(NotFoundError, match="set first at"):
        held(9.999999)
    with pytest.raises(NotFoundError, match="removed at"):
        held(30)
    with pytest.raises(NotFoundError, match="no alias 'staging'"):
        timed.alias_at(NAME, "staging", later(20))


def test_a_clock_that_goes_back_does_not_put_moves_in_another_order(zoo: Zoo) -> None:
    publish(zoo, "ada/digits", linear_module(1))
    publish(zoo, "ada/digits", linear_module(2))
    moments = iter([later(10), later(5)])
    zoo.modules._clock = lambda: next(moments)
    zoo.modules.set_alias(NAME, "best", 1, condition=AliasCondition())
    zoo.modules.set_alias(NAME, "best", 2, condition=AliasCondition())
    assert zoo.modules.alias_at(NAME, "best", later(10)).version == 2


def test_yanking_again_with_the_same_reason_is_no_change(zoo: Zoo) -> None:
    publish(zoo, "ada/digits", linear_module(1))
    zoo.modules.yank(NAME, 1, "blurred")
    before = zoo.changes.serial()
    zoo.modules.yank(NAME, 1, "blurred")
    assert zoo.changes.serial() == before
    zoo.modules.yank(NAME, 1, "worse")
    assert zoo.changes.serial() == before + 1


def test_an_alias_moves_only_from_where_the_caller_saw_it(zoo: Zoo) -> None:
    for seed in (1, 2):
        publish(zoo, "ada/digits", linear_module(seed))
    first = zoo.modules.set_alias(NAME, "best", 1, condition=AliasCondition(must_be_new=True))
    moved = zoo.modules.set_alias(NAME, "best", 2, condition=AliasCondition(revision=first.revision))
    assert (moved.version, moved.revision) == (2, 2)
    for condition in (AliasCondition(revision=1), AliasCondition(must_be_new=True)):
        with pytest.raises(PreconditionFailedError, match="revision 2"):
            zoo.modules.set_alias(NAME, "best", 1, condition=condition)
    assert [move.version for move in zoo.modules.alias_history(NAME, "best")] == [1, 2]


def test_a_yanked_version_is_hidden_but_fetched_when_named(zoo: Zoo) -> None:
    publish(zoo, "ada/digits", linear_module(1))
    publish(zoo, "ada/digits", linear_module(2))
    zoo.modules.yank(NAME, 2, "wrong labels")
    assert zoo.modules.get(ModuleRef.parse("ada/digits")).version == 1
    assert zoo.modules.get(ModuleRef.parse("ada/digits@2")).yanked == "wrong labels"
    found = zoo.modules.search(ModuleSearch(), limit=10, cursor=None, facets=False).items
    assert [module.version for module in found] == [1]
    zoo.modules.yank(NAME, 2, None)
    assert zoo.modules.get(ModuleRef.parse("ada/digits")).version == 2


def test_what_others_refer_to_is_not_deleted_and_each_is_listed(zoo: Zoo) -> None:
    below = publish(zoo, "ada/digits", quadrant_module())
    publish(zoo, "ada/output", output_module(below.digest))
    zoo.modules.set_alias(NAME, "best", 1, condition=AliasCondition())
    zoo.pipelines.compose("both", ["ada/digits@1", "ada/output@1"])
    with pytest.raises(ReferencedError) as caught:
        zoo.modules.delete(NAME, 1)
    assert {fault.code for fault in caught.value.faults} == {"alias", "module", "pipeline"}


def test_a_deleted_version_is_gone_and_its_number_is_not_given_again(zoo: Zoo) -> None:
    publish(zoo, "ada/digits", linear_module(1))
    zoo.modules.delete(NAME, 1)
    with pytest.raises(NotFoundError):
        zoo.modules.get(ModuleRef.parse("ada/digits@1"))
    assert publish(zoo, "ada/digits", linear_module(1)).version == 2


def test_the_tensors_of_a_file_are_listed_without_reading_them(zoo: Zoo) -> None:
    publish(zoo, "ada/digits", linear_module(1))
    listing = zoo.modules.tensors(ModuleRef.parse("ada/digits@1"))
    assert listing.tensors["1.weight"].shape == (4, 64)
    start, end = listing.tensors["1.weight"].byte_range
    assert end - start == 4 * 64 * 4
