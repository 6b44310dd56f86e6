"""A stream whose tasks are speakers, or groups of another kind: everyone says the same words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from neuropil.data.checks import whole
from neuropil.data.speech import SpokenDigits
from neuropil.data.task_streams import Setting, SplitStream, count_classes, numpy_generator


class SpeakerStream(SplitStream):
    """Speakers one after the other: task k holds what one speaker says, the same ``words`` classes in every task.

    Original labels say both, ``words * speaker + word``, as ``speaker_labels`` gives them for spoken digits; labels of a task are the word. ``speakers``: who comes, in order;
    or None, and all come in an order drawn from ``generator``. Any other grouping of the examples, by writer or by place, does as well. Attribute: ``speakers``.
    The setting is ``domain`` where words alone are asked, ``class`` where it is also asked who says them. Setting: vandeven2022.
    Raises as ``SplitStream``, and for both or neither of ``speakers`` and ``generator``.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        *,
        setting: Setting | str,
        words: int = 10,
        speakers: Sequence[int] | None = None,
        generator: np.random.Generator | None = None,
    ) -> None:
        number = -(-count_classes(inputs, labels) // whole("words", words, 1))
        if speakers is None and generator is not None:
            self.speakers = tuple(numpy_generator(generator).permutation(number).tolist())
        elif speakers is not None and generator is None:
            self.speakers = tuple(speakers)
        else:
            raise ValueError("SpeakerStream takes either speakers or a generator to draw their order; give one of the two.")
        said = [range(words * who, words * (who + 1)) for who in self.speakers]
        super().__init__(inputs, labels, setting=setting, classes=said)


def speaker_labels(digits: SpokenDigits) -> Tensor:
    """Give the labels of spoken digits for a ``SpeakerStream``: ``10 speaker + digit``, i64 [clips]."""
    return 10 * digits.speaker + digits.digit
