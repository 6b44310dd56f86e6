"""Observe: name, record, clamp, lesion and patch any variable of any module."""

from neuropil.observe.hold import clamp, lesion
from neuropil.observe.names import names
from neuropil.observe.operations import Operations, count_operations
from neuropil.observe.patch import patch
from neuropil.observe.record import Seen, observe

__all__ = ["Operations", "Seen", "clamp", "count_operations", "lesion", "names", "observe", "patch"]
