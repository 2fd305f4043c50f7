"""What every keeper of pipelines, datasets, tasks, statistics and changes does."""

import base64
import json

import pytest

from registry.errors import ConflictError, InvalidInputError
from tests.builders import dataset, deed, digest_of, kept_statistics, later, pipeline, task
from tests.storage.contracts.units import of_module


class PipelineRecordsContract:
    """Needs a fixture `begin`."""

    def test_a_pipeline_comes_back_as_it_was(self, begin):
        made = pipeline(digests=(digest_of(1), digest_of(2)))
        with begin() as work:
            work.pipelines.add(made)
            work.pipelines.add(made)
        with begin() as work:
            assert work.pipelines.get(made.id) == made
            assert work.pipelines.get("other") is None

    def test_a_name_finds_the_newest_pipeline_of_that_name(self, begin):
        older, newer = pipeline("one"), pipeline("two", at=later(1))
        with begin() as work:
            work.pipelines.add(newer)
            work.pipelines.add(older)
        with begin() as work:
            assert work.pipelines.newest_named(newer.name) == newer
            assert work.pipelines.newest_named("nobody") is None

    def test_pipelines_that_hold_a_module_are_found(self, begin):
        one = pipeline("one", digests=(digest_of(1), digest_of(2)))
        two = pipeline("two", digests=(digest_of(1), digest_of(3)), at=later(1))
        with begin() as work:
            work.pipelines.add(two)
            work.pipelines.add(one)
        with begin() as work:
            assert work.pipelines.using(digest_of(1)) == (one, two)
            assert work.pipelines.using(digest_of(3)) == (two,)
            assert work.pipelines.using(digest_of(4)) == ()

    def test_pipelines_are_listed_newest_first_a_page_at_a_time(self, begin):
        made = [pipeline(f"p{number}", at=later(number // 2)) for number in range(5)]
        with begin() as work:
            for one in made:
                work.pipelines.add(one)
        with begin() as work:
            first = work.pipelines.list(limit=2, cursor=None)
            second = work.pipelines.list(limit=2, cursor=first.next_cursor)
            third = work.pipelines.list(limit=2, cursor=second.next_cursor)
        assert first.items + second.items + third.items == tuple(reversed(made))
        assert third.next_cursor is None

    def test_a_bad_cursor_is_refused(self, begin):
        with begin() as work, pytest.raises(InvalidInputError, match="'nonsense'"):
            work.pipelines.list(limit=2, cursor="nonsense")

    @pytest.mark.parametrize(
        ("at", "key"),
        [
            ("0001-01-01T00:00:00+14:00", "x"),
            ("9999-12-31T23:59:59-14:00", "x"),
            ("2026-01-01T00:00:00", "x"),
            ("2026-01-01T00:00:00+00:00", "\ud800"),
            ("2026-01-01T00:00:00+00:00", "\x00"),
        ],
    )
    def test_a_made_up_cursor_is_refused(self, begin, at, key):
        cursor = base64.urlsafe_b64encode(json.dumps(["newest", at, key]).encode()).decode()
        with begin() as work, pytest.raises(InvalidInputError) as refusal:
            work.pipelines.list(limit=2, cursor=cursor)
        assert refusal.value.faults[0].code == "bad_cursor"


class DatasetRecordsContract:
    """Needs a fixture `begin`."""

    def test_a_dataset_is_found_by_its_owners_only(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.datasets.add(dataset(), owner="ada")
        with begin() as work:
            assert work.datasets.get(digest_of("data"), owner="ada") == dataset()
            assert work.datasets.get(digest_of("data"), owner=None) == dataset()
            assert work.datasets.get(digest_of("data"), owner="eve") is None
            assert work.datasets.list(owner="eve", limit=9, cursor=None).items == ()

    def test_a_dataset_is_gone_with_its_last_owner(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.datasets.add(dataset(), owner="bob")
        with begin() as work:
            assert not work.datasets.remove(digest_of("data"), owner="eve")
            assert not work.datasets.remove(digest_of("data"), owner="ada")
            assert work.datasets.get(digest_of("data"), owner="ada") is None
        with begin() as work:
            assert work.datasets.remove(digest_of("data"), owner="bob")
            assert work.datasets.get(digest_of("data"), owner=None) is None
            assert not work.datasets.remove(digest_of("data"), owner="bob")

    def test_all_claims_can_be_removed_at_once(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.datasets.add(dataset(), owner="bob")
            assert work.datasets.remove(digest_of("data"), owner=None)
            assert work.datasets.list(owner=None, limit=9, cursor=None).items == ()

    def test_datasets_are_listed_newest_first_for_each_owner(self, begin):
        with begin() as work:
            for number in range(4):
                owner = "ada" if number % 2 else "bob"
                work.datasets.add(dataset(number, at=later(number)), owner=owner)
        with begin() as work:
            first = work.datasets.list(owner="ada", limit=1, cursor=None)
            second = work.datasets.list(owner="ada", limit=1, cursor=first.next_cursor)
            everyone = work.datasets.list(owner=None, limit=9, cursor=None)
        assert first.items + second.items == (dataset(3, at=later(3)), dataset(1, at=later(1)))
        assert len(everyone.items) == 4

    def test_a_dataset_with_tasks_can_go_before_them(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.tasks.add(task(), owner="ada")
        with begin() as work:
            work.datasets.remove(digest_of("data"), owner=None)
            work.tasks.remove("task")
        with begin() as work:
            assert work.tasks.get("task", owner=None) is None

    def test_a_dataset_cannot_go_without_its_tasks(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.tasks.add(task(), owner="ada")
        with pytest.raises(ConflictError), begin() as work:
            work.datasets.remove(digest_of("data"), owner=None)
        with begin() as work:
            assert work.datasets.get(digest_of("data"), owner="ada") == dataset()


class TaskRecordsContract:
    """Needs a fixture `begin`."""

    def test_tasks_belong_to_whoever_made_them(self, begin):
        with begin() as work:
            for owner in ("ada", "bob"):
                work.datasets.add(dataset(), owner=owner)
            work.tasks.add(task("old"), owner="ada")
            work.tasks.add(task("new", at=later(1)), owner="ada")
            work.tasks.add(task("new", at=later(1)), owner="ada")
            work.tasks.add(task("new", at=later(1)), owner="bob")
            work.tasks.add(task("nobody's"), owner=None)
        with begin() as work:
            listed = work.tasks.list(owner="ada", limit=9, cursor=None)
            assert listed.items == (task("new", at=later(1)), task("old"))
            assert work.tasks.list(owner="bob", limit=9, cursor=None).items == (task("new", at=later(1)),)
            assert len(work.tasks.list(owner=None, limit=9, cursor=None).items) == 3
            assert work.tasks.get("old", owner="ada") == work.tasks.get("old", owner=None) == task("old")
            assert work.tasks.get("old", owner="bob") is None
            assert len(work.tasks.of_dataset(digest_of("data"))) == 3

    def test_tasks_of_a_dataset_that_one_does_not_hold_are_not_found(self, begin):
        with begin() as work:
            for owner in ("ada", "bob"):
                work.datasets.add(dataset(), owner=owner)
                work.tasks.add(task(), owner=owner)
            work.datasets.remove(digest_of("data"), owner="ada")
        with begin() as work:
            assert work.tasks.get("task", owner="ada") is None
            assert work.tasks.list(owner="ada", limit=9, cursor=None).items == ()
            assert work.tasks.get("task", owner="bob") == task()

    def test_an_owner_may_give_up_its_tasks(self, begin):
        with begin() as work:
            for name in ("data", "other"):
                work.datasets.add(dataset(name), owner="ada")
                work.tasks.add(task(f"of {name}", data=name), owner="ada")
            work.tasks.add(task("of data", data="data"), owner="bob")
            work.datasets.add(dataset(), owner="bob")
            work.tasks.disown(digest_of("data"), owner="ada")
        with begin() as work:
            assert work.tasks.get("of data", owner="ada") is None
            assert work.tasks.get("of other", owner="ada") is not None
            assert work.tasks.get("of data", owner="bob") is not None

    def test_a_removed_task_is_gone(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.tasks.add(task(), owner="ada")
            work.tasks.remove("task")
            work.tasks.remove("task")
            assert work.tasks.get("task", owner=None) is None


class StatisticsRecordsContract:
    """Needs a fixture `begin`."""

    def test_what_is_kept_is_found_by_key(self, begin):
        with begin() as work:
            work.statistics.add(kept_statistics("one"))
            work.statistics.add(kept_statistics("one"))
            work.statistics.add(kept_statistics("two"))
        with begin() as work:
            found = work.statistics.get([digest_of("one"), digest_of("three")])
            assert found == {digest_of("one"): kept_statistics("one")}
            assert work.statistics.get([]) == {}
            assert len(of_module(work, digest_of("module"))) == 2
            assert of_module(work, digest_of("other")) == ()
            kept = of_module(work, digest_of("module"))
            assert work.statistics.of_modules([digest_of("module"), digest_of("other")]) == {digest_of("module"): kept}

    def test_statistics_that_come_together_are_kept_together(self, begin):
        both = (kept_statistics("one"), kept_statistics("two", data="other"))
        with begin() as work:
            work.statistics.add(*both, both[0])
            work.statistics.add()
        with begin() as work:
            assert work.statistics.get([one.key for one in both]) == {one.key: one for one in both}

    def test_many_keys_are_found_at_once(self, begin):
        with begin() as work:
            for number in range(3):
                work.statistics.add(kept_statistics(number))
        with begin() as work:
            assert len(work.statistics.get([digest_of(number) for number in range(2000)])) == 3

    def test_forgetting_a_dataset_frees_the_blobs_nobody_else_needs(self, begin):
        with begin() as work:
            work.statistics.add(kept_statistics("one", data="mine", blob="only mine"))
            work.statistics.add(kept_statistics("two", data="mine", blob="shared"))
            work.statistics.add(kept_statistics("three", data="yours", blob="shared"))
        with begin() as work:
            assert work.statistics.remove_data(digest_of("mine")) == (digest_of("only mine"),)
            assert work.statistics.remove_data(digest_of("mine")) == ()
            assert len(of_module(work, digest_of("module"))) == 1

    def test_a_failure_is_kept_without_a_blob_and_frees_none(self, begin):
        failed = kept_statistics("one").model_copy(update={"blob": None, "scores": {}, "failure": "not finite"})
        with begin() as work:
            work.statistics.add(failed)
            work.statistics.add(kept_statistics("two"))
        with begin() as work:
            assert work.statistics.get([digest_of("one")]) == {digest_of("one"): failed}
            assert work.statistics.remove_data(digest_of("data")) == (digest_of("blob"),)
            assert of_module(work, digest_of("module")) == ()

    def test_bytes_are_in_use_while_statistics_are_kept_in_them(self, begin):
        with begin() as work:
            assert not work.blobs.referred([digest_of("shared")])
            work.statistics.add(kept_statistics("one", blob="shared"))
            work.statistics.add(kept_statistics("two", blob="shared"))
            work.statistics.remove(digest_of("one"))
            assert work.blobs.referred([digest_of("shared")])
            work.statistics.remove(digest_of("two"))
            assert not work.blobs.referred([digest_of("shared")])

    def test_what_is_removed_is_gone_and_may_come_back(self, begin):
        with begin() as work:
            work.statistics.remove(digest_of("one"))
            work.statistics.add(kept_statistics("one", blob="old"))
            work.statistics.add(kept_statistics("two"))
            work.statistics.remove(digest_of("one"))
            assert work.statistics.get([digest_of("one"), digest_of("two")]) == {
                digest_of("two"): kept_statistics("two")
            }
            work.statistics.add(kept_statistics("one", blob="new"))
            assert work.statistics.get([digest_of("one")])[digest_of("one")].blob == digest_of("new")


class ChangeRecordsContract:
    """Needs a fixture `begin`."""

    def test_an_empty_zoo_has_serial_zero(self, begin):
        with begin() as work:
            assert work.changes.serial() == 0
            assert work.changes.since(0, limit=9) == ()

    def test_serials_only_grow_and_changes_come_oldest_first(self, begin):
        with begin() as work:
            for n in (1, 2, 3):
                work.changes.add(deed("publish", f"ada/digits@{n}", at=later(n)))
            assert work.changes.serial() == 0, "it is found once it is committed"
        with begin() as work:
            serials = [change.serial for change in work.changes.since(0, limit=9)]
            assert work.changes.serial() == serials[-1]
            later_ones = work.changes.since(serials[0], limit=9)
            assert [change.serial for change in later_ones] == serials[1:]
            assert work.changes.since(0, limit=1)[0].ref == "ada/digits@1"
            assert work.changes.since(0, limit=1)[0].at == later(1)
        assert serials == sorted(set(serials))

    def test_a_change_that_was_undone_is_no_change(self, begin):
        with pytest.raises(RuntimeError), begin() as work:
            undo(work.changes.add(deed("yank", "ada/digits@1")))
        with begin() as work:
            assert work.changes.serial() == 0


def undo(change: None) -> None:
    """Undo a unit of work."""
    raise RuntimeError(f"change {change} is undone")
