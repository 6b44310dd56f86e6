"""Data sets with their checksums, splits, streams, encoders and tasks. Loading arrays needs no torch; what does is imported when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from neuropil.data.content import Data, DataError, content_digest
from neuropil.data.images import pool
from neuropil.data.loading import Status, digest, load, names, packaged, status
from neuropil.data.splits import draw_split

if TYPE_CHECKING:
    from neuropil.data.augment import colour_distortion, random_resized_crop
    from neuropil.data.by_speaker import SpeakerFold, speaker_folds
    from neuropil.data.cochlea import Cochlea, erb, erb_number
    from neuropil.data.context_recall import ContextRecall, Recall
    from neuropil.data.copying import Copied, Copying
    from neuropil.data.corruptions import STRENGTHS, corrupt
    from neuropil.data.drawn_pictures import Pictures, draw_pictures
    from neuropil.data.encoders import delta_decode, delta_encode, latency, latency_encode, rate_encode
    from neuropil.data.fast_mapping import FastMapping, MappingEpisodes, quarter_turns
    from neuropil.data.few_shot import FewShotBatch, FewShotSequences
    from neuropil.data.few_shot_episodes import Episodes, FewShotEpisodes
    from neuropil.data.few_shot_sessions import FewShotSessions
    from neuropil.data.keyed_recall import KeyedRecall
    from neuropil.data.motion import MotionMovies, cosines, glimpses, gradient_events, space_time_patches, whiten
    from neuropil.data.paired_digits import Views, pair_by_class, spoken_views, written_views
    from neuropil.data.paired_inference import Inferences, PairedInference
    from neuropil.data.power_law_stream import PowerLawStream
    from neuropil.data.sdr import k_winners, move_active, sparse_patterns
    from neuropil.data.sort_of_clevr import SceneQuestions, SortOfClevr
    from neuropil.data.speaker_stream import SpeakerStream, speaker_labels
    from neuropil.data.speech import DigitSums, SpokenDigits, digit_sums, pair_up, spoken_digits
    from neuropil.data.streams import LabelSwapStream
    from neuropil.data.task_streams import PermutedStream, RotatedStream, Setting, SplitStream, Task, TaskStream
    from neuropil.data.tasks import LagPatterns
    from neuropil.data.tetrominoes import tetromino_scenes, tetromino_shapes

__all__ = [
    "STRENGTHS",
    "Cochlea",
    "ContextRecall",
    "Copied",
    "Copying",
    "Data",
    "DataError",
    "DigitSums",
    "Episodes",
    "FastMapping",
    "FewShotBatch",
    "FewShotEpisodes",
    "FewShotSequences",
    "FewShotSessions",
    "Inferences",
    "KeyedRecall",
    "LabelSwapStream",
    "LagPatterns",
    "MappingEpisodes",
    "MotionMovies",
    "PairedInference",
    "PermutedStream",
    "Pictures",
    "PowerLawStream",
    "Recall",
    "RotatedStream",
    "SceneQuestions",
    "Setting",
    "SortOfClevr",
    "SpeakerFold",
    "SpeakerStream",
    "SplitStream",
    "SpokenDigits",
    "Status",
    "Task",
    "TaskStream",
    "Views",
    "colour_distortion",
    "content_digest",
    "corrupt",
    "cosines",
    "delta_decode",
    "delta_encode",
    "digest",
    "digit_sums",
    "draw_pictures",
    "draw_split",
    "erb",
    "erb_number",
    "glimpses",
    "gradient_events",
    "k_winners",
    "latency",
    "latency_encode",
    "load",
    "move_active",
    "names",
    "packaged",
    "pair_by_class",
    "pair_up",
    "pool",
    "quarter_turns",
    "random_resized_crop",
    "rate_encode",
    "space_time_patches",
    "sparse_patterns",
    "speaker_folds",
    "speaker_labels",
    "spoken_digits",
    "spoken_views",
    "status",
    "tetromino_scenes",
    "tetromino_shapes",
    "whiten",
    "written_views",
]

_WHERE = {
    "augment": ("colour_distortion", "random_resized_crop"),
    "tetrominoes": ("tetromino_scenes", "tetromino_shapes"),
    "cochlea": ("Cochlea", "erb", "erb_number"),
    "context_recall": ("ContextRecall", "Recall"),
    "copying": ("Copied", "Copying"),
    "corruptions": ("STRENGTHS", "corrupt"),
    "drawn_pictures": ("Pictures", "draw_pictures"),
    "encoders": ("delta_decode", "delta_encode", "latency", "latency_encode", "rate_encode"),
    "motion": ("MotionMovies", "cosines", "glimpses", "gradient_events", "space_time_patches", "whiten"),
    "paired_inference": ("Inferences", "PairedInference"),
    "paired_digits": ("Views", "pair_by_class", "spoken_views", "written_views"),
    "sdr": ("k_winners", "move_active", "sparse_patterns"),
    "fast_mapping": ("FastMapping", "MappingEpisodes", "quarter_turns"),
    "few_shot": ("FewShotBatch", "FewShotSequences"),
    "few_shot_episodes": ("Episodes", "FewShotEpisodes"),
    "few_shot_sessions": ("FewShotSessions",),
    "power_law_stream": ("PowerLawStream",),
    "speaker_stream": ("SpeakerStream", "speaker_labels"),
    "by_speaker": ("SpeakerFold", "speaker_folds"),
    "sort_of_clevr": ("SceneQuestions", "SortOfClevr"),
    "speech": ("DigitSums", "SpokenDigits", "digit_sums", "pair_up", "spoken_digits"),
    "keyed_recall": ("KeyedRecall",),
    "streams": ("LabelSwapStream",),
    "task_streams": ("PermutedStream", "RotatedStream", "Setting", "SplitStream", "Task", "TaskStream"),
    "tasks": ("LagPatterns",),
}


def __getattr__(name: str) -> Any:
    for file, held in _WHERE.items():
        if name in held:
            return getattr(import_module(f"neuropil.data.{file}"), name)
    raise AttributeError(f"module 'neuropil.data' has no attribute {name!r}; it has {', '.join(__all__)}")
