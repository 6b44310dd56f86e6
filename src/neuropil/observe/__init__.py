"""Observe: name, record, clamp, lesion and patch any variable of any module."""

from neuropil.observe.hold import clamp, lesion
from neuropil.observe.names import names
from neuropil.observe.patch import patch
from neuropil.observe.record import Seen, observe

__all__ = ["Seen", "clamp", "lesion", "names", "observe", "patch"]
