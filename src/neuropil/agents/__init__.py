"""Agents: bodies to control, one interface for all of them, and controllers wired as in animals."""

from neuropil.agents.body import Body, Step
from neuropil.agents.cart_pole import CartPoleState, CartPoleSwingUp
from neuropil.agents.dm_control_body import DMControlBody
from neuropil.agents.gymnasium_body import GymnasiumBody
from neuropil.agents.ncap import NCAPSwimmer, ncap_torques, scale_angles, square_wave
from neuropil.agents.swimmer import SwimmerBodies, swim_reward

__all__ = [
    "Body",
    "CartPoleState",
    "CartPoleSwingUp",
    "DMControlBody",
    "GymnasiumBody",
    "NCAPSwimmer",
    "Step",
    "SwimmerBodies",
    "ncap_torques",
    "scale_angles",
    "square_wave",
    "swim_reward",
]
