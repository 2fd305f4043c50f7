"""What every keeper of modules does."""

import pytest

from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.manifest import Role
from registry.names import ModuleName, Selector
from registry.records import Alias
from tests.builders import NOW, deed, digest_of, later, published_module, trained_on

NAME = ModuleName("ada", "digits")
LATEST = Selector(alias="latest")


class ModuleRecordsContract:
    """Needs a fixture `begin`."""

    def test_a_module_comes_back_as_it_was(self, begin):
        module = published_module(task=trained_on("data", "cat", "dog"), tags=("small",), description="Größe")
        add(begin, module)
        with begin() as work:
            assert work.modules.find(NAME, Selector(version=1)) == module

    @pytest.mark.parametrize("role", list(Role))
    def test_every_role_comes_back(self, begin, role):
        module = published_module(role=role)
        add(begin, module)
        with begin() as work:
            assert work.modules.by_digest(module.digest) == (module,)

    def test_versions_count_from_one_without_gaps(self, begin):
        for expected in (1, 2, 3):
            with begin() as work:
                version = work.modules.next_version(NAME)
                work.modules.add(published_module(version=version))
            assert version == expected

    def test_a_number_that_was_not_used_is_given_again(self, begin):
        with pytest.raises(RuntimeError), begin() as work:
            fail_after(work.modules.next_version(NAME))
        with begin() as work:
            assert work.modules.next_version(NAME) == 1
        with begin() as work:
            assert work.modules.next_version(NAME) == 1

    def test_a_number_is_never_given_again_after_delete(self, begin):
        add(begin, published_module(version=1), published_module(version=2))
        with begin() as work:
            work.modules.delete(NAME, 2)
            assert work.modules.find(NAME, LATEST).version == 1
        with begin() as work:
            work.modules.delete(NAME, 1)
            assert work.modules.find(NAME, LATEST) is None
            assert work.modules.next_version(NAME) == 3

    def test_a_failed_unit_of_work_leaves_nothing(self, begin):
        with pytest.raises(RuntimeError), begin() as work:
            fail_after(
                work.modules.add(published_module()),
                work.changes.add(deed()),
            )
        with begin() as work:
            assert work.modules.find(NAME, Selector(version=1)) is None
            assert work.changes.serial() == 0

    def test_modules_are_numbered_apart(self, begin):
        add(begin, published_module())
        with begin() as work:
            assert work.modules.next_version(ModuleName("ada", "letters")) == 1

    def test_the_same_bytes_are_found_by_digest(self, begin):
        module = published_module(digest=digest_of("bytes"))
        add(begin, module, published_module("eve/copy", digest=digest_of("bytes")))
        with begin() as work:
            assert work.modules.find(NAME, Selector(digest=digest_of("bytes"))) == module
            assert [found.ref for found in work.modules.by_digest(digest_of("bytes"))] == [
                "ada/digits@1",
                "eve/copy@1",
            ]
            assert work.modules.find(NAME, Selector(digest=digest_of("others"))) is None

    @pytest.mark.parametrize("again", [{"version": 1}, {"version": 2, "digest": digest_of("ada/digits@1")}])
    def test_the_same_number_or_bytes_twice_are_a_conflict(self, begin, again):
        add(begin, published_module())
        fields = {"digest": digest_of("new"), **again}
        with pytest.raises(ConflictError), begin() as work:
            work.modules.add(published_module(**fields))

    def test_lines_on_versions_come_a_page_at_a_time_newest_first(self, begin):
        add(begin, *(published_module(version=version) for version in (1, 2, 3)), published_module("eve/copy"))
        with begin() as work:
            work.modules.set_yanked(NAME, 2, "wrong")
            first = work.modules.summaries(NAME, limit=2, cursor=None)
            rest = work.modules.summaries(NAME, limit=2, cursor=first.next_cursor)
            module = work.modules.find(NAME, Selector(version=2))
        assert [line.version for line in first.items] == [3, 2]
        assert [line.version for line in rest.items] == [1]
        assert rest.next_cursor is None
        line = first.items[1]
        assert (line.digest, line.published_at, line.yanked) == (module.digest, module.published_at, "wrong")
        assert line.verification == module.verification

    @pytest.mark.parametrize("cursor", ["", "?", "WyJuZXdlc3QiLDFd"])
    def test_a_cursor_that_is_no_place_among_the_versions_is_refused(self, begin, cursor):
        with begin() as work, pytest.raises(InvalidInputError, match="does not belong to this list"):
            work.modules.summaries(NAME, limit=2, cursor=cursor)

    def test_latest_is_the_newest_that_is_not_yanked(self, begin):
        add(begin, published_module(version=1), published_module(version=2))
        with begin() as work:
            work.modules.set_yanked(NAME, 2, "weights were swapped")
        with begin() as work:
            assert work.modules.find(NAME, LATEST).version == 1
            assert work.modules.find(NAME, Selector(version=2)).yanked == "weights were swapped"
            work.modules.set_yanked(NAME, 2, None)
            assert work.modules.find(NAME, LATEST).version == 2
            assert work.modules.find(NAME, Selector(version=2)).yanked is None

    def test_a_version_that_is_not_there_cannot_be_yanked_or_deleted(self, begin):
        add(begin, published_module())
        with pytest.raises(NotFoundError, match="ada/digits@7"), begin() as work:
            work.modules.set_yanked(NAME, 7, "why not")
        with pytest.raises(NotFoundError, match="eve/digits@1"), begin() as work:
            work.modules.delete(ModuleName("eve", "digits"), 1)

    def test_what_stands_on_a_module_is_found(self, begin):
        below = published_module()
        above = published_module("ada/top", role=Role.OUTPUT, below=below.digest)
        add(begin, below, above)
        with begin() as work:
            assert work.modules.standing_on(below.digest) == (above,)
            assert work.modules.standing_on(above.digest) == ()

    def test_newest_gives_one_version_of_each_module_with_the_role(self, begin):
        add(begin, *(published_module(version=version) for version in (1, 2)))
        add(begin, published_module("ada/cards"), published_module("bob/top", role=Role.OUTPUT))
        with begin() as work:
            found = work.modules.newest([Role.INPUT, Role.HIDDEN])
        assert [module.ref for module in found] == ["ada/cards@1", "ada/digits@2"]

    def test_times_keep_their_microseconds_and_their_zone(self, begin):
        add(begin, published_module(at=later(0.000001)))
        with begin() as work:
            published_at = work.modules.find(NAME, LATEST).published_at
        assert published_at == later(0.000001)
        assert published_at.utcoffset().total_seconds() == 0

    def test_many_classes_are_kept(self, begin):
        labels = [f"class {number}" for number in range(1200)]
        add(begin, published_module(task=trained_on("data", *labels)))
        with begin() as work:
            assert len(work.modules.find(NAME, LATEST).task.classes) == 1200


class AliasRecordsContract:
    """Needs a fixture `begin`."""

    def test_an_alias_moves_by_compare_and_swap(self, begin):
        add(begin, published_module(version=1), published_module(version=2))
        first, second = alias_at(1, revision=1), alias_at(2, revision=2)
        with begin() as work:
            assert work.modules.move_alias(NAME, first, at=NOW)
            assert work.modules.alias(NAME, "best") == first
        with begin() as work:
            assert not work.modules.move_alias(NAME, alias_at(2, revision=1), at=NOW)
            assert not work.modules.move_alias(NAME, alias_at(2, revision=3), at=NOW)
            assert work.modules.move_alias(NAME, second, at=later(1))
        with begin() as work:
            assert work.modules.aliases(NAME) == (second,)
            assert work.modules.find(NAME, Selector(alias="best")).version == 2
            history = work.modules.alias_history(NAME, "best")
        assert [(move.revision, move.version, move.moved_at) for move in history] == [
            (1, 1, NOW),
            (2, 2, later(1)),
        ]

    def test_a_removed_alias_keeps_its_history_and_its_revisions_go_on(self, begin):
        add(begin, published_module(version=1), published_module(version=2))
        first, again = alias_at(1, revision=1), alias_at(2, revision=3)
        with begin() as work:
            work.modules.move_alias(NAME, first, at=NOW)
            assert not work.modules.remove_alias(NAME, alias_at(1, revision=2), at=later(1))
            assert work.modules.remove_alias(NAME, first, at=later(1))
            assert not work.modules.remove_alias(NAME, first, at=later(1))
            assert work.modules.alias(NAME, "best") is None
            assert not work.modules.move_alias(NAME, first, at=later(2))
            assert work.modules.move_alias(NAME, again, at=later(2))
        with begin() as work:
            history = work.modules.alias_history(NAME, "best")
            assert work.modules.alias(NAME, "best") == again
            assert work.modules.last_alias_move(NAME, "best") == history[-1]
            assert work.modules.last_alias_move(NAME, "other") is None
        assert [(move.revision, move.version, move.digest) for move in history] == [
            (1, 1, first.digest),
            (2, None, None),
            (3, 2, again.digest),
        ]

    def test_a_version_can_go_when_its_alias_is_removed_and_its_digest_stays_in_the_history(self, begin):
        add(begin, published_module())
        with begin() as work:
            work.modules.move_alias(NAME, alias_at(1, revision=1), at=NOW)
            work.modules.remove_alias(NAME, alias_at(1, revision=1), at=later(1))
            work.modules.delete(NAME, 1)
        with begin() as work:
            assert work.modules.alias_history(NAME, "best")[0].digest == alias_at(1, revision=1).digest

    def test_descendants_are_found_at_every_distance_nearest_first(self, begin):
        root = published_module("ada/root")
        one, copy = (hidden(name, root, digest="one") for name in ("ada/one", "eve/copy-of-one"))
        two = hidden("ada/two", one)
        tops = [published_module(f"ada/top{n}", role=Role.OUTPUT, below=two.digest) for n in range(3)]
        add(begin, root, one, copy, two, *tops, hidden("ada/apart", published_module("ada/other")))
        with begin() as work:
            found = work.modules.descendants(root.digest, limit=9, cursor=None)
            assert found.items == ("ada/one@1", "eve/copy-of-one@1", "ada/two@1", *(top.ref for top in tops))
            assert found.next_cursor is None
            assert work.modules.descendants(tops[0].digest, limit=9, cursor=None).items == ()

    def test_descendants_come_a_page_at_a_time(self, begin):
        root = published_module("ada/root")
        one = hidden("ada/one", root)
        above = [hidden(f"ada/m{n}", one) for n in range(4)]
        add(begin, root, one, *above)
        found, cursor = [], None
        with begin() as work:
            while len(found) < 9:
                page = work.modules.descendants(root.digest, limit=2, cursor=cursor)
                found += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
            with pytest.raises(InvalidInputError, match="does not belong"):
                work.modules.descendants(root.digest, limit=2, cursor="other")
        assert found == ["ada/one@1", *(module.ref for module in above)]

    def test_an_alias_that_was_never_set_is_not_there(self, begin):
        add(begin, published_module())
        with begin() as work:
            assert work.modules.alias(NAME, "best") is None
            assert work.modules.aliases(NAME) == ()
            assert work.modules.alias_history(NAME, "best") == ()
            assert work.modules.find(NAME, Selector(alias="best")) is None

    def test_aliases_of_one_name_in_two_modules_are_two(self, begin):
        add(begin, published_module(), published_module("eve/copy"))
        with begin() as work:
            work.modules.move_alias(NAME, alias_at(1, revision=1), at=NOW)
        with begin() as work:
            assert work.modules.alias(ModuleName("eve", "copy"), "best") is None

    def test_an_alias_keeps_its_version_from_being_deleted(self, begin):
        add(begin, published_module())
        with begin() as work:
            work.modules.move_alias(NAME, alias_at(1, revision=1), at=NOW)
        with pytest.raises(ConflictError), begin() as work:
            work.modules.delete(NAME, 1)
        with begin() as work:
            assert work.modules.find(NAME, Selector(alias="best")).version == 1

    def test_an_alias_cannot_point_at_nothing(self, begin):
        add(begin, published_module())
        with pytest.raises(NotFoundError), begin() as work:
            work.modules.move_alias(NAME, alias_at(9, revision=1), at=NOW)


def hidden(name, below, *, digest=None):
    """A hidden module that stands on another."""
    return published_module(name, role=Role.HIDDEN, below=below.digest, digest=digest and digest_of(digest))


def add(begin, *modules):
    """Record versions, each in a unit of work of its own."""
    for module in modules:
        with begin() as work:
            work.modules.add(module)


def fail_after(*done):
    """Meet an error once this is done."""
    raise RuntimeError(f"after {done}")


def alias_at(version: int, *, revision: int) -> Alias:
    """The alias `best` of `ada/digits`."""
    return Alias(alias="best", version=version, digest=digest_of(f"ada/digits@{version}"), revision=revision)
