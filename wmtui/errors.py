"""What can go wrong, as one tree; every error says what happened and what to do about it.

::

    WmtuiError
    +-- InputError (ValueError)            exit 2: a file, a model or an argument that cannot be used
    |   +-- MissingError (FileNotFoundError)   there is nothing at that path
    |   +-- FormatError                        the file is not what it claims to be, or is damaged
    |   |   +-- UnsafeError                    reading on would run code from the file, or exhaust the machine
    |   +-- KeyMissingError (KeyError)         a key, prefix or dictionary that is not in the listing
    |   +-- ChoiceError                        several dictionaries of weights, and none was chosen
    |   +-- ModelError                         a model factory that does not exist, raises or returns no module
    |   +-- PlanError                          a plan that cannot be carried out (two sources to one target, ...)
    |   +-- OutputExistsError (FileExistsError)  the output is there already
    +-- WriteError (OSError)               exit 3: the write failed; what was there before is untouched
    +-- Cancelled                          exit 130: the user stopped it
"""

from __future__ import annotations


class WmtuiError(Exception):
    """Base of all errors that wmtui raises on purpose.

    Attributes:
        message: one line that says what is wrong and names the file or the key.
        remedy: one line that says what to do about it; empty where nothing can be done.
    """

    exit_code = 2

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class InputError(WmtuiError, ValueError):
    """A file, a model or an argument cannot be used."""


class MissingError(InputError, FileNotFoundError):
    """There is nothing at the given path."""


class FormatError(InputError):
    """A file is not what it claims to be, or is damaged."""


class UnsafeError(FormatError):
    """Reading on would run code from the file, or exhaust the machine."""


class KeyMissingError(InputError, KeyError):
    """A key, a prefix or a dictionary is not in the listing."""


class ChoiceError(InputError):
    """Several dictionaries of weights, and none was chosen.

    Attributes:
        choices: the paths of the dictionaries, as ``--weights-key`` takes them.
    """

    def __init__(self, message: str, remedy: str = "", choices: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy)
        self.choices = choices


class ModelError(InputError):
    """A model factory does not exist, raises, or returns no module."""


class PlanError(InputError):
    """A plan cannot be carried out."""


class OutputExistsError(InputError, FileExistsError):
    """The output is there already."""


class WriteError(WmtuiError, OSError):
    """Writing failed; what was there before is untouched."""

    exit_code = 3


class Cancelled(WmtuiError):
    """The user stopped the work."""

    exit_code = 130
