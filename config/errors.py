"""The error tree.

ForestallError
├── UsageError            the caller asked for something that cannot be          exit 2
├── CheckFailed           a check ran and found against what it checked          exit 1
├── InputError            something we were given to read is at fault            exit 3
│   ├── SettingsError       a settings file or variable
│   ├── ContractError       a contract document
│   ├── PolicyError         a policy bundle
│   ├── PlaybookError       a playbook
│   ├── ExpressionError     a condition that cannot be read
│   ├── RecordingError      a recording: missing, damaged, of another lineage
│   └── TopicError          a topic: missing, made anew, or its records deleted before they were read
└── EnvironmentFault      the place we run in is at fault                        exit 3
    ├── StoreError          the store: unreachable, full, of a newer version
    │   ├── FencedError       a newer run has taken the sink part over
    │   └── SequenceError     store and recovered state do not continue each other
    ├── BrokerError         a Kafka broker: unreachable, or it refuses us
    ├── RegistryError       a schema registry: unreachable, or it refuses us
    └── RecoveryError       the recovery folder: locked, damaged, of another job

Every message names the thing at fault and its value; `remedy` says what to do about it. Neither ever holds
personal data: values from events are quoted only where a contract calls the field public.
"""

from __future__ import annotations

from collections.abc import Sequence


class ForestallError(Exception):
    """Root of everything Forestall raises on purpose.

    Args:
        message: What is wrong, naming the file, field or offset and the value.
        remedy: What the reader can do about it, as an imperative sentence.
        retry: Whether the same thing may go well a moment later; by default as its class says.
    """

    exit_code = 3
    retry = False
    """Whether a job that failed of it is worth starting again."""

    def __init__(self, message: str, *, remedy: str = "", retry: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if retry is not None:
            self.retry = retry

    def __str__(self) -> str:
        return f"{self.message} Remedy: {self.remedy}" if self.remedy else self.message


def together(errors: Sequence[ForestallError]) -> ForestallError:
    """Return one error that says all that was found: the first, with the messages of the others beneath it.

    Args:
        errors: At least one. Exit code and kind are those of the first.
    """
    first = errors[0]
    if len(errors) == 1:
        return first
    lines = [f"{len(errors)} faults:", *(f"- {error.message}" for error in errors)]
    remedies = dict.fromkeys(error.remedy for error in errors if error.remedy)
    return type(first)("\n".join(lines), remedy=" ".join(remedies), retry=all(error.retry for error in errors))


class UsageError(ForestallError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class CheckFailed(ForestallError):
    """A check ran to its end and found against what it checked."""

    exit_code = 1


class InputError(ForestallError):
    """Something we were given to read is at fault."""


class SettingsError(InputError):
    """A settings file, or a variable of the environment, is at fault."""


class ContractError(InputError):
    """A contract document is at fault."""


class PolicyError(InputError):
    """A policy bundle is at fault."""


class PlaybookError(InputError):
    """A playbook is at fault."""


class ExpressionError(InputError):
    """A condition cannot be read, or does not yield true or false; whoever loads it adds file and rule."""


class RecordingError(InputError):
    """A recording is missing, damaged, or does not continue the one read before."""


class TopicError(InputError):
    """A topic is missing, was made anew, or lost records before they were read."""


class EnvironmentFault(ForestallError):
    """The place we run in is at fault: disk, database, permissions."""

    retry = True


class StoreError(EnvironmentFault):
    """The store cannot be used: unreachable, full, or of a newer version."""


class FencedError(StoreError):
    """A newer run has taken this sink part over; this process must stop writing."""

    retry = False


class SequenceError(StoreError):
    """What the store holds and what was recovered do not continue each other."""

    retry = False


class BrokerError(EnvironmentFault):
    """A Kafka broker cannot be reached, or refuses us."""


class RegistryError(EnvironmentFault):
    """A schema registry cannot be reached, or refuses us."""


class RecoveryError(EnvironmentFault):
    """The recovery folder is locked, damaged, or belongs to another job."""

    retry = False
