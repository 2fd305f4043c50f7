"""Modules make a pipeline, or every reason why they do not is told at once."""

from registry.architectures.contracts import Link, TensorType, check_chain


def link(module: str, role: str, *, takes: int, gives: int) -> Link:
    return Link(module, role, TensorType(shape=(takes,)), TensorType(shape=(gives,)))


FIRST = link("zoo/first@1", "input", takes=4, gives=3)
MIDDLE = link("zoo/middle@1", "hidden", takes=3, gives=2)
LAST = link("zoo/last@1", "output", takes=2, gives=10)


def test_modules_that_fit_make_a_pipeline() -> None:
    assert check_chain([FIRST, MIDDLE, LAST]) == ()
    assert check_chain([FIRST, link("zoo/last@2", "output", takes=3, gives=2)]) == ()


def test_every_misfit_is_told_in_order_of_position() -> None:
    faults = check_chain([MIDDLE, FIRST, link("zoo/other@1", "hidden", takes=9, gives=1)])
    assert [(fault.pointer, fault.code) for fault in faults] == [
        ("/modules/0", "wrong_role"),
        ("/modules/1", "wrong_role"),
        ("/modules/1", "shape_misfit"),
        ("/modules/2", "wrong_role"),
        ("/modules/2", "shape_misfit"),
    ]


def test_a_misfit_names_both_types() -> None:
    (fault,) = check_chain([FIRST, LAST])
    assert fault.pointer == "/modules/1"
    assert "takes float32[2]" in fault.detail
    assert "gives float32[3]" in fault.detail


def test_a_wrong_role_names_the_one_that_is_needed() -> None:
    faults = check_chain([FIRST, MIDDLE, link("zoo/more@1", "hidden", takes=2, gives=2)])
    assert [fault.pointer for fault in faults] == ["/modules/2"]
    assert "of role hidden" in faults[0].detail
    assert "one of role output" in faults[0].detail


def test_a_pipeline_needs_two_modules() -> None:
    (fault,) = check_chain([])
    assert (fault.pointer, fault.code) == ("/modules", "pipeline_length")
    assert [fault.pointer for fault in check_chain([LAST])] == ["/modules", "/modules/0"]


def test_a_pipeline_has_a_longest_length() -> None:
    middles = [link(f"zoo/middle@{version}", "hidden", takes=3, gives=3) for version in range(1, 64)]
    (fault,) = check_chain([FIRST, *middles, link("zoo/last@1", "output", takes=3, gives=2)])
    assert (fault.pointer, fault.code) == ("/modules", "pipeline_length")
    assert "not 65" in fault.detail


def test_a_module_runs_once() -> None:
    again = link("zoo/middle@1", "hidden", takes=3, gives=3)
    faults = check_chain([FIRST, again, again, link("zoo/last@1", "output", takes=3, gives=2)])
    assert [(fault.pointer, fault.code) for fault in faults] == [("/modules/2", "repeated_module")]


def test_of_an_unknown_module_nothing_is_said_and_the_rest_keep_their_positions() -> None:
    assert check_chain([FIRST, None, LAST]) == ()
    assert [fault.pointer for fault in check_chain([None, None, MIDDLE])] == ["/modules/2"]
