"""The errors that hwgen raises on purpose: one sentence each, shown as it is, exit code 2."""

from __future__ import annotations

__all__ = ["BadInput", "HwgenError", "MissingTool"]


class HwgenError(Exception):
    """Base of every error whose message is written for the user."""


class BadInput(HwgenError, ValueError):
    """Something the user gave is wrong: what, what was expected, what to do."""


class MissingTool(HwgenError):
    """A program that the work needs is not there, or too old."""
