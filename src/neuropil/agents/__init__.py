"""Agents: bodies to control, one interface for all of them."""

from neuropil.agents.body import Body, Step
from neuropil.agents.dm_control_body import DMControlBody
from neuropil.agents.gymnasium_body import GymnasiumBody

__all__ = ["Body", "DMControlBody", "GymnasiumBody", "Step"]
