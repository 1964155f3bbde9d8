"""The errors that hwgen raises on purpose: one sentence each, shown as it is."""

from __future__ import annotations

__all__ = ["BadInput", "HwgenError", "Misbehaviour", "MissingTool"]


class HwgenError(Exception):
    """Base of every error whose message is written for the user."""

    exit_code = 2


class BadInput(HwgenError, ValueError):
    """Something the user gave is wrong: what, what was expected, what to do."""


class MissingTool(HwgenError):
    """A program that the work needs is not there, or too old."""


class Misbehaviour(HwgenError):
    """Hardware that was run hung, or said more than it should: a finding, not a fault of the input."""

    exit_code = 1
