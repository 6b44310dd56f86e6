import pytest

from neuropil.atlas import AtlasError, Curve, Matrix, Table
from neuropil.atlas.pages.panels import GREY, accuracy_matrices, dots, lines, mean_curve, panels


def test_panels_are_listed_row_by_row_transparent_and_as_wide_as_asked():
    figure, axes = panels(2, 1, rows=2, height=5)
    figure.draw_without_rendering()
    assert len(axes) == 4
    assert figure.patch.get_alpha() == 0
    assert all(ax.patch.get_alpha() == 0 and ax.xaxis.label.get_color() == GREY for ax in axes)
    wide, narrow = (ax.get_position() for ax in axes[:2])
    assert wide.width == pytest.approx(2 * narrow.width, rel=0.1)
    assert axes[2].get_position().y1 < wide.y0


def test_no_panels_is_refused_in_a_sentence():
    with pytest.raises(AtlasError, match=r"panels\(1, 1\)"):
        panels()


def test_dots_lie_at_every_seeds_value_in_the_row_of_their_arm_with_a_bar_at_the_mean():
    _, (ax,) = panels(1)
    values = {"with_memory": [0.7, 0.9], "plain": [0.4]}
    dots(ax, values, {"with_memory": "#111111", "plain": "#222222"}, {"plain": "control"})
    rows, bars = ax.collections[::2], ax.collections[1::2]
    for place, (row, bar, arm) in enumerate(zip(rows, bars, values, strict=True)):
        assert sorted(row.get_offsets()[:, 0]) == sorted(values[arm])
        assert all(abs(y - place) < 0.35 for y in row.get_offsets()[:, 1])
        assert bar.get_segments()[0][:, 0] == pytest.approx(sum(values[arm]) / len(values[arm]))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["with memory", "control"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    with pytest.raises(AtlasError, match=r"'plain' has 0 values"):
        dots(ax, {"plain": []}, {"plain": "#222222"})


def test_lines_are_means_over_seeds_in_their_arms_colour_and_label_the_axes():
    _, (ax,) = panels(1)
    curves = {
        "with_memory": [Curve([1, 2], [0.0, 1.0], "task", "share"), Curve([1, 2], [1.0, 2.0], "task", "share")],
        "plain": [Curve([1, 2], [3.0, 4.0], "task", "share")],
    }
    lines(ax, {"with_memory": curves["with_memory"]}, {"with_memory": "red"}, {"with_memory": "memory"}, lw=3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("task", "share")
    lines(ax, {"plain": curves["plain"], "with_memory": curves["with_memory"]}, {"plain": "blue", "with_memory": "red"}, marker="o")
    drawn = [(one.get_color(), one.get_label(), list(one.get_ydata()), one.get_linewidth(), one.get_marker()) for one in ax.get_lines()]
    assert drawn == [
        ("red", "memory", [0.5, 1.5], 3, "None"),
        ("blue", "plain", [3.0, 4.0], 1.6, "o"),
        ("red", "with memory", [0.5, 1.5], 1.6, "o"),
    ]


def test_a_line_without_a_colour_is_refused_in_a_sentence():
    with pytest.raises(AtlasError, match="'plain' has none"):
        lines(panels(1)[1][0], {"plain": [Curve([1], [2], "task", "share")]}, {})


def of_one_seed(**accuracies):
    return Table([0], {arm: [{"accuracy_matrix": Matrix(rows, "after task", "accuracy on task")}] for arm, rows in accuracies.items()})


def test_accuracy_matrices_shade_what_was_learned_by_then_and_tell_the_last_row():
    table = of_one_seed(with_memory=[[0.9, 0.2], [0.6, 1.0]], plain=[[0.9, 0.2], [0.3, 0.8]])
    figure = accuracy_matrices(table, ("with_memory", "absent", "plain"), {"with_memory": "#ff0000", "plain": "#0000ff"}, floor=0.2)
    memory, plain = figure.axes
    assert (memory.get_title(), plain.get_title()) == ("with memory: 0.800", "plain: 0.550")
    shades = memory.get_images()[0].get_array()
    assert shades[..., :3].reshape(-1, 3).tolist() == [[1, 0, 0]] * 4
    assert shades[..., 3].tolist() == [[pytest.approx((0.7 / 0.8) ** 2), 0], [pytest.approx(0.25), 1]]
    assert [text.get_text() for text in plain.texts] == [".90", ".30", ".80"]
    many = accuracy_matrices(of_one_seed(plain=[[0.5] * 6] * 6), ["plain"], {"plain": "#0000ff"}).axes[0]
    assert not many.texts


@pytest.mark.parametrize(
    ("accuracy", "floor", "words"),
    [([[0.5, 0.5]], 0.0, "a row and a column a task"), ([[0.5]], 1.0, "a row and a column a task"), ([], 0.0, "at least one row")],
)
def test_what_is_no_accuracy_matrix_is_refused_in_a_sentence(accuracy, floor, words):
    with pytest.raises(AtlasError, match=words):
        accuracy_matrices(of_one_seed(plain=accuracy), ["plain"], {"plain": "red"}, floor=floor)


def test_mean_curve_averages_seeds_and_refuses_other_grids():
    mean = mean_curve([Curve([0, 1], [1, 2], "step", "loss"), Curve([0, 1], [3, 6], "step", "loss")])
    assert (mean.x, mean.y, mean.x_label, mean.y_label) == ([0, 1], [2, 4], "step", "loss")
    with pytest.raises(AtlasError, match="same x"):
        mean_curve([mean, Curve([0, 2], [1, 2], "step", "loss")])
    with pytest.raises(AtlasError, match="none"):
        mean_curve([])
