"""What a continual learner is told: the setting, whether it sees data once, and whether it hears of a new task."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from neuropil.data.task_streams import Setting


class Boundaries(StrEnum):
    """How tasks follow each other. Sources: vandeven2022, aljundi2019.

    ``KNOWN``: one after the other, and the learner is told when the next begins. ``ABSENT``: one after the other, and it is not told.
    ``BLURRED``: neighbouring tasks mix around their boundary, and it is not told.
    """

    KNOWN = "known"
    BLURRED = "blurred"
    ABSENT = "absent"


@dataclass(frozen=True)
class Scenario:
    """A setting of continual learning, as a type: a strategy that cannot do it refuses to run in it.

    ``setting``: whether the task is told and what labels count over. ``boundaries``: see ``Boundaries``. ``online``: every example comes once, in
    one batch; a strategy may keep it and learn it again from there, and no task is handed over as a whole. ``blur``: of blurred boundaries, the spread of a normal shift of every example's place, in lengths of a task, above 0.
    Raises ``ValueError`` for other names, and for a blur without blurred boundaries or the reverse.
    """

    setting: Setting | str
    boundaries: Boundaries | str = Boundaries.KNOWN
    online: bool = False
    blur: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in (("setting", Setting), ("boundaries", Boundaries)):
            if getattr(self, name) not in list(kind):
                raise ValueError(f"{name} of a scenario is one of {', '.join(kind)}, {getattr(self, name)!r} was given.")
            object.__setattr__(self, name, kind(getattr(self, name)))
        if (self.blur > 0) != (self.boundaries is Boundaries.BLURRED) or self.blur < 0:
            raise ValueError(f"blur is above 0 where boundaries are blurred and 0 elsewhere, {self.blur} and {self.boundaries} were given.")

    @property
    def told(self) -> bool:
        """Whether the learner hears when a task begins and ends."""
        return self.boundaries is Boundaries.KNOWN

    def __str__(self) -> str:
        return f"{self.setting}-incremental, {'online' if self.online else 'offline'}, boundaries {self.boundaries}"
