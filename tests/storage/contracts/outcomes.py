"""What every keeper of outcomes does."""

import pytest

from registry.errors import ConflictError, InvalidInputError
from tests.builders import dataset, digest_of, later, query
from tests.outcome_samples import outcome


def asked(work, *names):
    """Queries by these names, each about data of its own that ada holds."""
    for name in names:
        work.datasets.add(dataset(name), owner="ada")
        work.queries.add(query(name), data=[digest_of(name)])


class OutcomeRecordsContract:
    """Needs a fixture `begin`."""

    def test_an_outcome_comes_back_as_it_was(self, begin):
        said = outcome(note="three seeds", predicted={"ridge": None, "logme": 0.1}, static=None)
        with begin() as work:
            asked(work, "query", "other")
            work.outcomes.put([said])
        with begin() as work:
            assert work.outcomes.of_query("query") == (said,)
            assert work.outcomes.of_query("other") == ()

    def test_the_last_outcome_of_a_module_by_metric_and_way_stands(self, begin):
        first, last = outcome(value=0.5), outcome(value=0.7, posted_at=later(1))
        beside = [outcome(metric="recall"), outcome(how="other"), outcome(module="second")]
        with begin() as work:
            asked(work, "query")
            work.outcomes.put([first, *beside])
            work.outcomes.put([last])
            work.outcomes.put([])
        with begin() as work:
            kept = work.outcomes.of_query("query")
        assert len(kept) == 4
        assert all(one in kept for one in (last, *beside))

    def test_outcomes_are_listed_a_page_at_a_time(self, begin):
        said = [outcome(module=number, metric=metric) for number in range(3) for metric in ("accuracy", "recall")]
        with begin() as work:
            asked(work, "query")
            work.outcomes.put(said)
        with begin() as work:
            first = work.outcomes.list("query", limit=4, cursor=None)
            second = work.outcomes.list("query", limit=4, cursor=first.next_cursor)
            assert first.items + second.items == work.outcomes.of_query("query")
            assert (len(first.items), second.next_cursor) == (4, None)
            with pytest.raises(InvalidInputError, match="'nonsense'"):
                work.outcomes.list("query", limit=4, cursor="nonsense")

    def test_outcomes_are_found_by_metric_and_way(self, begin):
        accuracy, recall, tuned = outcome(), outcome(metric="recall"), outcome(how="fine_tuned")
        with begin() as work:
            asked(work, "query")
            work.outcomes.put([accuracy, recall, tuned])
        with begin() as work:
            assert len(work.outcomes.of_owner(None, metric=None, how=None)) == 3
            assert work.outcomes.of_owner(None, metric="recall", how=None) == (recall,)
            assert work.outcomes.of_owner(None, metric="accuracy", how="fine_tuned") == (tuned,)
            assert work.outcomes.of_owner(None, metric="recall", how="fine_tuned") == ()

    def test_the_outcomes_of_a_query_about_nothing_are_nobodys(self, begin):
        with begin() as work:
            work.queries.add(query("bare"), data=[])
            work.outcomes.put([outcome("bare")])
            assert len(work.outcomes.of_owner(None, metric=None, how=None)) == 1
            assert work.outcomes.of_owner("ada", metric=None, how=None) == ()

    def test_whoever_lacks_a_dataset_of_a_query_does_not_find_its_outcomes(self, begin):
        with begin() as work:
            asked(work, "mine", "yours")
            work.datasets.add(dataset("yours"), owner="bob")
            work.outcomes.put([outcome("mine"), outcome("yours")])
        with begin() as work:
            assert [one.query for one in work.outcomes.of_owner("ada", metric=None, how=None)] == ["mine", "yours"]
            assert [one.query for one in work.outcomes.of_owner("bob", metric=None, how=None)] == ["yours"]
            assert work.outcomes.of_owner("eve", metric=None, how=None) == ()

    def test_outcomes_go_with_their_query(self, begin):
        with begin() as work:
            asked(work, "mine", "yours")
            work.outcomes.put([outcome("mine"), outcome("yours")])
            work.queries.remove_data(digest_of("mine"))
        with begin() as work:
            assert [one.query for one in work.outcomes.of_owner(None, metric=None, how=None)] == ["yours"]

    def test_there_are_no_outcomes_without_a_query(self, begin):
        with pytest.raises(ConflictError), begin() as work:
            work.outcomes.put([outcome("nobody")])

    def test_many_outcomes_are_put_at_once(self, begin):
        with begin() as work:
            asked(work, "query")
            work.outcomes.put([outcome(module=number) for number in range(1000)])
        with begin() as work:
            assert len(work.outcomes.of_query("query")) == 1000
