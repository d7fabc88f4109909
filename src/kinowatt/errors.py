"""The error tree. A message is one sentence: what is wrong, and what would work.

KinowattError                 base of all
    InputError                the user's request or file: exit code 2
        PromptError           empty or too long
        ShotError             size, seconds, steps, anchors that do not fit
            BudgetError       nothing fits the energy or carbon that may be spent
        MediaError            a file that is not readable as an image or a video
        OutputError           a place that cannot be written
        WeightsError          missing, damaged or foreign weights
        MissingDependency     an extra or a system library is not installed
        GridError             weather, a network or a plant that a grid study cannot use
    DeviceError               the device failed under us (out of memory, lost): exit code 1
"""


class KinowattError(Exception):
    """Base of every error that kinowatt raises on purpose."""

    exit_code = 1


class InputError(KinowattError, ValueError):
    """The request or one of its files cannot work; nothing was written."""

    exit_code = 2


class PromptError(InputError):
    """The prompt is empty or too long."""


class ShotError(InputError):
    """Size, duration, steps, anchors or camera do not fit the model."""


class BudgetError(ShotError):
    """The energy or carbon budget is too small, or was about to be exceeded."""


class MediaError(InputError):
    """A file cannot be read as an image or a video."""


class OutputError(InputError):
    """The output path cannot be written."""


class WeightsError(InputError):
    """Weights are missing, damaged, or belong to another model."""


class MissingDependency(InputError):
    """An optional package or a system library is needed and absent."""


class GridError(InputError):
    """Weather, a network or a plant cannot be used in a grid study."""


class DeviceError(KinowattError):
    """The device ran out of memory or stopped answering."""
