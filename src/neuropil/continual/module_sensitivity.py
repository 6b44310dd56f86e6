"""Which modules of a network change where the task changes: mean change of a weight within a task and at the switch to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn


def own_parameters(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Give the modules that hold parameters themselves, by name (``""`` is the model), with these parameters, in the order of the model."""
    held = ((name, list(module.parameters(recurse=False))) for name, module in model.named_modules())
    return {name: parameters for name, parameters in held if parameters}


class ModuleSensitivity:
    """Change of each module l from record to record, ``c_l = ||theta_l(e + 1) - theta_l(e)||_1 / |theta_l|``, within tasks and at their switches.

    ``record(task)`` after each epoch e, with the number or name of its task; an epoch may be any equal stretch of training. Between two records of one task c_l counts as *within*, between
    records of two tasks as *switch*. ``within`` and ``switch`` are means over such pairs, ``specificity`` is ``switch / within`` (infinite where nothing changed within a task, and 0 where nothing changed at all);
    each a dictionary from the module's name to a number, in units of the weights, and of none. ``ranking`` has the most specific module first, equal ones in the order of the model.
    A module is whatever holds parameters itself; theta_l are these, without running statistics, |theta_l| their number.

    Only the last record is kept, one copy of the weights. Source: zhao2023; the ratio is our reading of its ranking.
    Raises ``ValueError`` for a model without parameters, and where no two records of one task, or of two, were made yet.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules = own_parameters(model)
        if not self.modules:
            raise ValueError(
                f"ModuleSensitivity compares modules with parameters, this {type(model).__name__} has none; give another model."
            )
        self._last: tuple[object, dict[str, list[Tensor]]] | None = None
        self._sums = {kind: dict.fromkeys(self.modules, 0.0) for kind in ("within", "switch")}
        self._pairs = {"within": 0, "switch": 0}

    def record(self, task: object) -> None:
        """Compare the weights with those of the last record, and keep them."""
        now = {name: [one.detach().clone() for one in own] for name, own in self.modules.items()}
        if self._last is not None:
            kind = "within" if self._last[0] == task else "switch"
            self._pairs[kind] += 1
            for name, own in now.items():
                moved = sum(float((a - b).abs().sum()) for a, b in zip(own, self._last[1][name], strict=True))
                self._sums[kind][name] += moved / sum(one.numel() for one in own)
        self._last = (task, now)

    def _mean(self, kind: str) -> dict[str, float]:
        if not self._pairs[kind]:
            asked = "two records of one task" if kind == "within" else "records of two tasks, one after the other"
            raise ValueError(
                f"The change {kind} {'a task' if kind == 'within' else 'of tasks'} needs {asked}, none were made yet; record more."
            )
        return {name: total / self._pairs[kind] for name, total in self._sums[kind].items()}

    @property
    def within(self) -> dict[str, float]:
        """Mean change between records of one task."""
        return self._mean("within")

    @property
    def switch(self) -> dict[str, float]:
        """Mean change between the last record of a task and the first of the next."""
        return self._mean("switch")

    @property
    def specificity(self) -> dict[str, float]:
        """Change at the switch in units of the change within a task."""
        within, switch = self.within, self.switch
        return {name: (switch[name] / within[name] if within[name] else float("inf") if switch[name] else 0.0) for name in within}

    @property
    def ranking(self) -> list[str]:
        """Names of modules, the most specific to tasks first."""
        found = self.specificity
        return sorted(found, key=lambda name: -found[name])


def modules_within(ranking: Sequence[str], sizes: Mapping[str, int], share: float) -> list[str]:
    """Take modules from the front of ``ranking`` while they hold no more than ``share`` of all parameters; one that would hold too many is passed over.

    ``sizes``: the number of parameters of every module. Raises ``ValueError`` for a share outside [0, 1] and names that ``sizes`` lacks.
    """
    if not 0 <= share <= 1 or not set(ranking) <= set(sizes):
        raise ValueError(
            f"modules_within takes a share in [0, 1] and modules of known size, {share} and {sorted(set(ranking) - set(sizes))} without one were given."
        )
    chosen: list[str] = []
    room = share * sum(sizes.values())
    for name in ranking:
        if sizes[name] <= room:
            chosen.append(name)
            room -= sizes[name]
    return chosen
