from __future__ import annotations

import io

import pytest
from rich.console import Console

from neuropil.learning import Bar, progress


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100)


def test_items_come_through_in_order_and_unchanged() -> None:
    assert list(progress(3)) == [0, 1, 2]
    assert list(progress(iter("abc"), "letters")) == ["a", "b", "c"]
    assert list(progress([], "nothing")) == []


def test_the_bar_shows_what_is_done_and_left() -> None:
    console = terminal()
    with Bar(4, "fit", console=console) as bar:
        bar.advance(3)
        bar.describe("epoch 1")
        assert bar.done == 3
    assert "epoch 1" in console.file.getvalue()
    assert "3/4" in console.file.getvalue()
    assert "left" in console.file.getvalue()


@pytest.mark.parametrize(("show", "console"), [(False, terminal()), (True, Console(file=io.StringIO()))])
def test_the_bar_is_silent_where_nobody_looks(show: bool, console: Console) -> None:
    with Bar(4, "fit", show=show, console=console) as bar:
        bar.advance()
    assert console.file.getvalue() == ""


def test_a_bar_within_a_bar_is_no_error() -> None:
    console = terminal()
    with Bar(2, "outer", console=console) as outer, Bar(2, "inner", console=console) as inner:
        inner.advance()
        outer.advance()
    assert "outer" in console.file.getvalue()


def test_an_exception_takes_the_bar_down() -> None:
    console = terminal()

    def fail() -> None:
        with Bar(2, "first", console=console):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    with Bar(2, "second", console=console):
        pass
    assert "second" in console.file.getvalue()


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 on, -1 was given"):
        progress(-1)
