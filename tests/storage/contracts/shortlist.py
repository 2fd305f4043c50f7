"""What every keeper of modules and statistics chooses for the shortlist of a large zoo."""

from registry.manifest import Role
from registry.names import ModuleName
from registry.records import Verification, VerificationState
from registry.standings import DEFAULT_RANKER
from tests.builders import digest_of, kept_statistics, later, published_module

ROLES = ("input", "hidden")


class ShortlistContract:
    """Needs a fixture `begin`."""

    def test_a_small_zoo_is_looked_at_whole(self, begin):
        fill(begin, 3, standing={0: 0.5})
        with begin() as work:
            found = work.modules.shortlist(ROLES, limit=3, newcomers=1)
        assert refs(found) == ["ada/m0@1", "ada/m1@1", "ada/m2@1"]
        assert found.in_zoo == 3

    def test_the_best_and_the_newest_without_a_standing_are_chosen(self, begin):
        fill(begin, 10, standing={0: 0.2, 1: 0.9, 2: 0.5, 3: 0.7, 4: -0.1})
        with begin() as work:
            found = work.modules.shortlist(ROLES, limit=4, newcomers=1)
            assert refs(found) == ["ada/m1@1", "ada/m2@1", "ada/m3@1", "ada/m9@1"]
            assert found == work.modules.shortlist(ROLES, limit=4, newcomers=1)
            assert found.in_zoo == 10
            assert refs(work.modules.shortlist(ROLES, limit=2, newcomers=2)) == ["ada/m8@1", "ada/m9@1"]
            assert refs(work.modules.shortlist(ROLES, limit=0, newcomers=0)) == []

    def test_places_that_one_side_leaves_go_to_the_other(self, begin):
        fill(begin, 6, standing={0: 0.2})
        with begin() as work:
            assert refs(work.modules.shortlist(ROLES, limit=4, newcomers=1)) == [
                "ada/m0@1",
                "ada/m3@1",
                "ada/m4@1",
                "ada/m5@1",
            ]
        fill(begin, 6, standing={number: 0.1 * number for number in range(6)}, publish=False)
        with begin() as work:
            assert refs(work.modules.shortlist(ROLES, limit=2, newcomers=1)) == ["ada/m4@1", "ada/m5@1"]

    def test_only_the_newest_version_that_is_not_yanked_is_chosen(self, begin):
        fill(begin, 2, standing={})
        with begin() as work:
            work.modules.add(published_module("ada/m0", 2, at=later(50)))
            work.modules.add(published_module("ada/m0", 3, at=later(60)))
            work.modules.set_yanked(ModuleName.parse("ada/m0"), 3, "wrong")
            work.modules.set_yanked(ModuleName.parse("ada/m1"), 1, "wrong")
            work.modules.add(published_module("ada/out", role=Role.OUTPUT, at=later(70)))
        with begin() as work:
            found = work.modules.shortlist(ROLES, limit=9, newcomers=1)
        assert (refs(found), found.in_zoo) == (["ada/m0@2"], 1)

    def test_whoever_was_refused_takes_no_place(self, begin):
        fill(begin, 4, standing={0: 0.5, 1: 0.4})
        with begin() as work:
            refused = Verification(state=VerificationState.REFUSED, at=later(0), reason="no")
            for number in (0, 3):
                work.verifications.put(digest_of(f"ada/m{number}@1"), refused)
        with begin() as work:
            assert refs(work.modules.shortlist(ROLES, limit=2, newcomers=1)) == ["ada/m1@1", "ada/m2@1"]

    def test_many_that_stand_alike_are_told_apart_by_their_bytes_and_none_is_left_out(self, begin):
        fill(begin, 1100, standing=dict.fromkeys(range(1100), 0.5))
        with begin() as work:
            assert len(work.modules.shortlist(ROLES, limit=1099, newcomers=9).modules) == 1099

    def test_how_a_module_stands_follows_its_statistics(self, begin):
        fill(begin, 3, standing={0: 0.5, 1: 0.4})
        with begin() as work:
            work.statistics.add(scored(1, 0.9, key="more", data="other"))
            assert refs(work.modules.shortlist(ROLES, limit=1, newcomers=0)) == ["ada/m1@1"]
            work.statistics.remove(digest_of("more"))
            assert refs(work.modules.shortlist(ROLES, limit=1, newcomers=0)) == ["ada/m0@1"]
            work.statistics.remove_data(digest_of("data"))
            assert refs(work.modules.shortlist(ROLES, limit=1, newcomers=0)) == ["ada/m2@1"]

    def test_the_statistics_on_most_examples_count(self, begin):
        fill(begin, 2, standing={0: 0.5})
        with begin() as work:
            work.statistics.add(scored(1, 0.9, key="few").model_copy(update={"examples": 50}))
            work.statistics.add(scored(1, 0.3, key="many").model_copy(update={"examples": 500}))
            assert refs(work.modules.shortlist(ROLES, limit=1, newcomers=0)) == ["ada/m0@1"]

    def test_what_a_module_stands_on_is_told_without_its_manifest(self, begin):
        fill(begin, 1, standing={})
        with begin() as work:
            work.modules.add(published_module("ada/top", role=Role.HIDDEN, below=digest_of("ada/m0@1")))
        with begin() as work:
            wanted = [digest_of("ada/m0@1"), digest_of("ada/top@1"), digest_of("nobody")]
            found = work.modules.stones(wanted)
            assert {digest: (stone.ref, stone.role, stone.below) for digest, stone in found.items()} == {
                wanted[0]: ("ada/m0@1", Role.INPUT, None),
                wanted[1]: ("ada/top@1", Role.HIDDEN, wanted[0]),
            }
            assert {module.ref for module in work.modules.of_digests(wanted).values()} == {"ada/m0@1", "ada/top@1"}


def fill(begin, count, *, standing, publish=True):
    """Modules, the newest last, some of them with a score."""
    with begin() as work:
        for number in range(count if publish else 0):
            work.modules.add(published_module(f"ada/m{number}", at=later(number)))
        for number, score in standing.items():
            work.statistics.add(scored(number, score, key=f"{number} {score}"))


def scored(number, score, *, key, data="data"):
    """Statistics of a module under which the default ranker gives this score."""
    kept = kept_statistics(key, data=data)
    return kept.model_copy(update={"module": digest_of(f"ada/m{number}@1"), "scores": {DEFAULT_RANKER: score}})


def refs(shortlist):
    return [stone.ref for stone in shortlist.modules]
