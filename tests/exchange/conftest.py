"""Steps in torch: these tests are about equations and numbers; that kernels equal steps is held by the conformance suite."""

import pytest

from neuropil.dynamics import Cell


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    monkeypatch.setattr(Cell, "backend", "torch")
