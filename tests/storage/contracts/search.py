"""What every search over modules does."""

import pytest

from registry.errors import InvalidInputError
from registry.manifest import Role
from registry.names import ModuleName
from registry.records import Facet, ModuleSearch
from tests.builders import digest_of, later, published_module, trained_on
from tests.storage.contracts.modules import add


class ModuleSearchContract:
    """Needs a fixture `begin`."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"role": "input"}, ["ada/cats", "bob/cars"]),
            ({"namespace": "bob"}, ["bob/cars", "bob/top"]),
            ({"namespace": "bo"}, []),
            ({"tag": "tiny"}, ["ada/cats", "bob/top"]),
            ({"tag": "tin"}, []),
            ({"task": "cat"}, ["ada/cats"]),
            ({"task": "ca"}, []),
            ({"task": digest_of("pets")}, ["ada/cats"]),
            ({"takes": "1,8,8"}, ["ada/cats", "bob/cars"]),
            ({"takes": "float32[1,8,8]"}, ["ada/cats", "bob/cars"]),
            ({"takes": "float32[1, 8, 8]"}, ["ada/cats", "bob/cars"]),
            ({"takes": "float16[1,8,8]"}, []),
            ({"takes": "8,8"}, []),
            ({"gives": "2"}, ["bob/top"]),
            ({"q": "CATS"}, ["ada/cats"]),
            ({"q": "ob/c"}, ["bob/cars"]),
            ({"q": "tIn"}, ["ada/cats", "bob/top"]),
            ({"q": "100%"}, ["bob/cars"]),
            ({"q": "%"}, ["bob/cars"]),
            ({"q": "_"}, ["bob/top"]),
            ({"q": "\\"}, ["bob/top"]),
            ({"q": "STRASSE"}, ["ada/cats"]),
            ({"q": "straße"}, ["ada/cats"]),
            ({"q": "b\\ü"}, []),
            ({"q": "b \\ ü"}, ["bob/top"]),
            ({"q": "of cars "}, []),
            ({"q": "sracsr"}, []),
            ({"task": digest_of("nothing")}, []),
            ({"q": "ÜBER"}, ["bob/top"]),
            ({"q": ""}, ["ada/cats", "bob/cars", "bob/top"]),
            ({"q": "'; drop table modules; --"}, []),
            ({"role": "input", "tag": "tiny", "q": "cat"}, ["ada/cats"]),
        ],
    )
    def test_each_field_narrows_the_search(self, begin, query, expected):
        add(begin, *three_modules())
        with begin() as work:
            page = work.modules.search(ModuleSearch(sort="name", **query), limit=10, cursor=None)
        assert [f"{module.namespace}/{module.name}" for module in page.items] == expected

    def test_only_the_newest_version_that_is_not_yanked_is_found(self, begin):
        add(begin, published_module(version=1, tags=("old",)), published_module(version=2, tags=("new",)))
        with begin() as work:
            assert versions_found(work, tag="old") == []
            assert versions_found(work, tag="new") == [2]
            work.modules.set_yanked(ModuleName("ada", "digits"), 2, "wrong")
            assert versions_found(work, tag="old") == [1]
            assert versions_found(work, tag="new") == []

    def test_what_is_shown_follows_yanks_and_deletes_up_and_down(self, begin):
        add(begin, *(published_module(version=version, tags=("same",)) for version in (1, 2, 3)))
        name = ModuleName("ada", "digits")
        steps = [
            (lambda modules: modules.set_yanked(name, 3, "wrong"), [2]),
            (lambda modules: modules.set_yanked(name, 1, "wrong"), [2]),
            (lambda modules: modules.set_yanked(name, 2, "wrong"), []),
            (lambda modules: modules.set_yanked(name, 1, None), [1]),
            (lambda modules: modules.set_yanked(name, 3, None), [3]),
            (lambda modules: modules.delete(name, 3), [1]),
            (lambda modules: modules.add(published_module(version=4, tags=("same",))), [4]),
        ]
        for step, shown in steps:
            with begin() as work:
                step(work.modules)
            with begin() as work:
                assert versions_found(work, tag="same") == shown

    def test_names_are_sorted_by_their_letters_alone(self, begin):
        names = ["ada/a-b", "ada/a.b", "ada/a_b", "ada/ab", "ada/a1", "a-da/z", "ada-1/z"]
        add(begin, *(published_module(name) for name in names))
        with begin() as work:
            page = work.modules.search(ModuleSearch(sort="name"), limit=50, cursor=None)
        found = [(module.namespace, module.name) for module in page.items]
        assert found == sorted(found)

    @pytest.mark.parametrize("sort", ["name", "-name", "published_at", "-published_at"])
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
    def test_pages_give_everything_once_and_in_order(self, begin, sort, limit):
        names = [f"{namespace}/m{number}" for namespace in ("ada", "bob") for number in range(3)] + ["a/z"]
        moments = [later(number // 2) for number in (3, 0, 5, 1, 4, 2, 6)]
        add(begin, *(published_module(name, at=at) for name, at in zip(names, moments, strict=True)))
        whole = [module for page in pages(begin, sort, 50) for module in page]
        assert [module for page in pages(begin, sort, limit) for module in page] == whole
        key = (lambda m: m.ref) if sort.endswith("name") else (lambda m: m.published_at)
        assert [key(module) for module in whole] == sorted(map(key, whole), reverse=sort.startswith("-"))
        assert len(whole) == 7

    def test_a_module_published_between_two_pages_moves_nothing(self, begin):
        add(begin, *(published_module(f"ada/m{number}", at=later(number)) for number in range(4)))
        with begin() as work:
            first = work.modules.search(ModuleSearch(), limit=2, cursor=None)
        add(begin, published_module("ada/new", at=later(9)))
        with begin() as work:
            second = work.modules.search(ModuleSearch(), limit=2, cursor=first.next_cursor)
        assert [module.name for module in second.items] == ["m1", "m0"]
        assert second.next_cursor is None

    @pytest.mark.parametrize(
        "cursor", ["", "?", "bm90IGpzb24", "W10", "e30", "WyJuYW1lIiwxLDJd", "ü", "W1tb" * 5000, "WyIt"]
    )
    def test_a_cursor_of_our_own_making_is_refused(self, begin, cursor):
        with begin() as work, pytest.raises(InvalidInputError, match="does not belong to this list"):
            work.modules.search(ModuleSearch(), limit=2, cursor=cursor)

    def test_a_cursor_of_another_order_is_refused(self, begin):
        add(begin, *(published_module(f"ada/m{number}") for number in range(2)))
        with begin() as work:
            page = work.modules.search(ModuleSearch(sort="name"), limit=1, cursor=None)
            with pytest.raises(InvalidInputError, match="leave it out"):
                work.modules.search(ModuleSearch(), limit=1, cursor=page.next_cursor)

    @pytest.mark.parametrize("query", [{"takes": "big"}, {"gives": "3x32x32"}, {"q": "x" * 2000}])
    def test_what_cannot_be_searched_for_is_refused(self, begin, query):
        with begin() as work, pytest.raises(InvalidInputError) as caught:
            work.modules.search(ModuleSearch(**query), limit=2, cursor=None)
        assert caught.value.faults[0].pointer == f"/{next(iter(query))}"

    def test_facets_count_what_the_search_finds(self, begin):
        add(begin, *three_modules())
        with begin() as work:
            facets = work.modules.facets(ModuleSearch())
            assert facets["role"] == (Facet(value="input", count=2), Facet(value="output", count=1))
            assert facets["namespace"] == (Facet(value="bob", count=2), Facet(value="ada", count=1))
            assert facets["tag"] == (Facet(value="tiny", count=2), Facet(value="fast", count=1))
            assert facets["takes"] == (
                Facet(value="float32[1,8,8]", count=2),
                Facet(value="float32[4]", count=1),
            )
            narrowed = work.modules.facets(ModuleSearch(tag="fast"))
        assert narrowed["tag"] == (Facet(value="fast", count=1), Facet(value="tiny", count=1))
        assert narrowed["gives"] == (Facet(value="float32[4]", count=1),)


def three_modules():
    """Three modules that differ in everything a search looks at."""
    return (
        published_module(
            "ada/cats",
            task=trained_on("pets", "cat", "dog"),
            tags=("tiny", "fast"),
            description="Straße",
        ),
        published_module("bob/cars", task=trained_on("traffic", "car", "bus"), description="100% of cars"),
        published_module("bob/top", role=Role.OUTPUT, tags=("tiny",), description="a_b \\ über"),
    )


def versions_found(work, *, tag):
    """Versions that a search for a tag finds."""
    return [m.version for m in work.modules.search(ModuleSearch(tag=tag), limit=9, cursor=None).items]


def pages(begin, sort, limit):
    """All pages of a search for everything."""
    cursor = None
    while True:
        with begin() as work:
            page = work.modules.search(ModuleSearch(sort=sort), limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        yield page.items
        cursor = page.next_cursor
        if cursor is None:
            return
