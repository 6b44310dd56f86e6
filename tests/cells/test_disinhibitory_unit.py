"""DisinhibitoryUnit against scipy's solution of its two equations, and what its rest says of the feedback."""

import numpy as np
import pytest
import torch

from neuropil.cells import DisinhibitoryUnit

solve_ivp = pytest.importorskip("scipy.integrate", reason="scipy is not installed").solve_ivp


def rates_of_the_ode(drive, feedback, times):
    def f(t, u):
        e, i = u
        return [(-e + drive - np.logaddexp(0, i)) / 0.02, (-i + np.logaddexp(0, e) - feedback) / 0.005]

    return np.logaddexp(0, solve_ivp(f, (0, times[-1]), [0, 0], t_eval=times, rtol=1e-9, atol=1e-10).y[0])


@pytest.mark.parametrize(("drive", "feedback"), [(1.5, 0.0), (1.5, 0.7), (-0.5, -0.4)])
def test_it_follows_the_ode_with_an_error_that_falls_with_the_step(drive, feedback):
    times, errors = np.arange(1, 101) * 1e-3, []
    for dt in (1e-4, 1e-5):
        cell = DisinhibitoryUnit(1, dt=dt).double()
        s = cell.initial()._replace(feedback=torch.tensor([feedback], dtype=torch.float64))
        y, _ = cell(torch.full((round(0.1 / dt), 1), drive, dtype=torch.float64), s)
        every = round(1e-3 / dt)
        errors.append(np.abs(y[every - 1 :: every, 0].numpy() - rates_of_the_ode(drive, feedback, times)).max())
    assert errors[0] < 0.01
    assert errors[1] < errors[0] / 8


def test_at_rest_the_two_cells_differ_by_the_feedback():
    cell = DisinhibitoryUnit(3, dt=1e-3).double()
    feedback = torch.tensor([-0.3, 0.0, 0.8], dtype=torch.float64)
    y, s = cell(torch.ones(1000, 3, dtype=torch.float64), cell.initial()._replace(feedback=feedback))
    torch.testing.assert_close(y[-1] - s.u_i, feedback)
    assert (y[-1].diff() > 0.01).all(), "feedback that silences the interneuron excites the cell"
