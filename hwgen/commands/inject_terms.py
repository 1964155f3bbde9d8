"""What a campaign's tables and report call things."""

from __future__ import annotations

from collections.abc import Mapping

from hwgen.commands.inject import Injection
from hwgen.faults.outcome import Outcome

__all__ = ["MEANINGS", "NAMES", "PHASES", "named_outcomes"]

_ORDER = (
    Outcome.MASKED, Outcome.LATENT, Outcome.CORRECTED, Outcome.DETECTED, Outcome.PROTOCOL, Outcome.HANG, Outcome.SDC,
    Outcome.CRITICAL,
)  # fmt: skip


NAMES: Mapping[Outcome, str] = {
    Outcome.MASKED: "masked", Outcome.LATENT: "latent", Outcome.SDC: "wrong result (SDC)",
    Outcome.CRITICAL: "critical SDC", Outcome.HANG: "hang", Outcome.PROTOCOL: "protocol error",
    Outcome.DETECTED: "detected", Outcome.CORRECTED: "corrected",
}  # fmt: skip

MEANINGS: Mapping[Outcome, str] = {
    Outcome.MASKED: "results and the state at the end are those of the run without the fault",
    Outcome.LATENT: "results are right, and the state at the end differs",
    Outcome.SDC: "silent data corruption: results are wrong, and nothing said so",
    Outcome.CRITICAL: "a wrong result that changes the network's answer",
    Outcome.HANG: "the run did not end within twice its cycles",
    Outcome.PROTOCOL: "a handshake rule of a port was broken",
    Outcome.DETECTED: "the hardware reported an error",
    Outcome.CORRECTED: "the hardware reported that it corrected the fault, and results are right",
}

PHASES = (
    "Cores: fill, until the first result; steady, until the last operand; drain, until the last result; or load, "
    "compute and drain, if all operands come before the first result; then idle. Accelerators: start, until the "
    "program runs; fetch, until an engine begins; load, until one that computes does; run, until the last of these "
    "ends; store; finish."
)


def named_outcomes(found: Injection) -> list[Outcome]:
    """Outcomes that a campaign can have, from harmless to harmful: critical ones need a network's answer."""
    network = "hardware" in (found.rows.dtype.names or ())
    return [one for one in _ORDER if one is not Outcome.CRITICAL or network]
