"""What every keeper of pipelines, datasets, tasks, statistics, queries and changes does."""

import base64
import json

import pytest

from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.records import QueryStatus
from tests.builders import dataset, deed, digest_of, kept_statistics, later, pipeline, query, task
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
            work.tasks.add(task())
        with begin() as work:
            work.datasets.remove(digest_of("data"), owner=None)
            work.tasks.remove("task")
        with begin() as work:
            assert work.tasks.get("task") is None

    def test_a_dataset_cannot_go_without_its_tasks(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.tasks.add(task())
        with pytest.raises(ConflictError), begin() as work:
            work.datasets.remove(digest_of("data"), owner=None)
        with begin() as work:
            assert work.datasets.get(digest_of("data"), owner="ada") == dataset()


class TaskRecordsContract:
    """Needs a fixture `begin`."""

    def test_tasks_belong_to_the_owners_of_the_dataset(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.datasets.add(dataset("other"), owner="bob")
            work.tasks.add(task("old"))
            work.tasks.add(task("new", at=later(1)))
            work.tasks.add(task("new", at=later(1)))
            work.tasks.add(task("bob's", data="other"))
        with begin() as work:
            listed = work.tasks.list(owner="ada", limit=9, cursor=None)
            assert listed.items == (task("new", at=later(1)), task("old"))
            assert len(work.tasks.list(owner=None, limit=9, cursor=None).items) == 3
            assert work.tasks.get("old") == task("old")
            assert work.tasks.of_dataset(digest_of("data")) == (task("old"), task("new", at=later(1)))

    def test_a_removed_task_is_gone(self, begin):
        with begin() as work:
            work.datasets.add(dataset(), owner="ada")
            work.tasks.add(task())
            work.tasks.remove("task")
            work.tasks.remove("task")
            assert work.tasks.get("task") is None


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


class QueryRecordsContract:
    """Needs a fixture `begin`."""

    def test_a_question_is_recorded_once(self, begin):
        with begin() as work:
            assert work.queries.add(query(), data=[digest_of("data"), digest_of("data")])
            assert not work.queries.add(query(status=QueryStatus.DONE), data=[])
        with begin() as work:
            assert work.queries.get("query") == query()
            assert work.queries.get("other") is None

    def test_running_questions_are_counted(self, begin):
        with begin() as work:
            assert work.queries.running_count() == 0
            work.queries.add(query("one"), data=[])
            work.queries.add(query("two"), data=[])
            work.queries.replace(query("two", status=QueryStatus.DONE))
            assert work.queries.running_count() == 1

    def test_a_question_says_which_data_it_is_about(self, begin):
        about = sorted([digest_of("data"), digest_of("more")])
        with begin() as work:
            work.queries.add(query(), data=about[::-1])
            work.queries.replace(query(status=QueryStatus.DONE))
        with begin() as work:
            assert work.queries.data("query") == tuple(about)
            assert work.queries.data("other") == ()

    def test_an_answer_replaces_the_question(self, begin):
        answered = query(status=QueryStatus.DONE).model_copy(update={"answer": '{"rows": []}', "jobs": (1, 2)})
        with begin() as work:
            work.queries.add(query(), data=[])
            work.queries.replace(answered)
        with begin() as work:
            assert work.queries.get("query") == answered

    def test_what_is_running_is_told_oldest_first(self, begin):
        asked = [
            query(name).model_copy(update={"created_at": later(at)}) for name, at in (("b", 2), ("c", 1), ("a", 2))
        ]
        with begin() as work:
            assert work.queries.running() == ()
            for one in (*asked, query("answered", status=QueryStatus.DONE)):
                work.queries.add(one, data=[])
        with begin() as work:
            assert work.queries.running() == (asked[1], asked[2], asked[0])

    @pytest.mark.parametrize("end", [QueryStatus.DONE, QueryStatus.FAILED, QueryStatus.CANCELLED])
    def test_a_question_runs_until_it_is_replaced_by_one_that_has_ended(self, begin, end):
        with begin() as work:
            work.queries.add(query(), data=[])
            work.queries.replace(query().model_copy(update={"jobs": (1, 2)}))
            assert [one.jobs for one in work.queries.running()] == [(1, 2)]
            work.queries.replace(query(status=end))
            assert work.queries.running() == ()
            work.queries.replace(query())
            assert work.queries.running() == (query(),)

    def test_running_questions_are_found_by_the_jobs_they_wait_for(self, begin):
        one = query("one").model_copy(update={"jobs": (1, 2), "created_at": later(1)})
        two = query("two").model_copy(update={"jobs": (2, 3)})
        with begin() as work:
            work.queries.add(one, data=[])
            work.queries.add(two, data=[])
            work.queries.add(query("none"), data=[digest_of("data")])
        with begin() as work:
            assert work.queries.waiting_for([1]) == (one,)
            assert work.queries.waiting_for([1, 2]) == (two, one)
            assert work.queries.waiting_for([]) == work.queries.waiting_for([4]) == ()
            work.queries.replace(one.model_copy(update={"jobs": tuple(range(4, 1504))}))
            assert work.queries.waiting_for([1]) == ()
            assert [each.id for each in work.queries.waiting_for(range(3, 1600))] == ["two", "one"]
            work.queries.replace(two.model_copy(update={"status": QueryStatus.DONE}))
            assert work.queries.waiting_for([2, 3]) == ()

    def test_who_waits_for_a_question_is_known_until_it_ends(self, begin):
        with begin() as work:
            for name in ("mine", "ours"):
                work.queries.add(query(name), data=[digest_of(name)])
            for owner in ("eve", "ada", "ada"):
                work.queries.add_asker("ours", owner)
            work.queries.add_asker("mine", "ada")
            assert work.queries.askers("ours") == ("ada", "eve")
            work.queries.remove_asker("ours", "ada")
            work.queries.remove_asker("ours", "nobody")
        with begin() as work:
            work.queries.replace(query("ours").model_copy(update={"jobs": (1,)}))
            assert (work.queries.askers("ours"), work.queries.askers("mine")) == (("eve",), ("ada",))
            work.queries.replace(query("ours", status=QueryStatus.CANCELLED))
            assert work.queries.askers("ours") == ()
            work.queries.remove_data(digest_of("mine"))
            assert work.queries.askers("mine") == ()

    def test_a_forgotten_question_cannot_be_answered(self, begin):
        with begin() as work:
            work.queries.add(query("mine"), data=[digest_of("data"), digest_of("more")])
            work.queries.add(query("yours"), data=[digest_of("more")])
        with begin() as work:
            work.queries.remove_data(digest_of("data"))
            assert work.queries.get("mine") is None
            assert work.queries.get("yours") == query("yours")
            with pytest.raises(NotFoundError, match="ask the question again"):
                work.queries.replace(query("mine"))


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
