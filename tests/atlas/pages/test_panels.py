import pytest

from neuropil.atlas import AtlasError, Curve
from neuropil.atlas.pages.panels import GREY, mean_curve, panels


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


def test_mean_curve_averages_seeds_and_refuses_other_grids():
    mean = mean_curve([Curve([0, 1], [1, 2], "step", "loss"), Curve([0, 1], [3, 6], "step", "loss")])
    assert (mean.x, mean.y, mean.x_label, mean.y_label) == ([0, 1], [2, 4], "step", "loss")
    with pytest.raises(AtlasError, match="same x"):
        mean_curve([mean, Curve([0, 2], [1, 2], "step", "loss")])
    with pytest.raises(AtlasError, match="none"):
        mean_curve([])
