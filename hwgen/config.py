"""What every configuration is: frozen, validated, printable, with a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self, get_type_hints

from hwgen.errors import BadInput

__all__ = ["CoreConfig", "require_bool", "require_choice", "require_int"]


def require_int(name: str, value: object, low: int, high: int) -> None:
    """Refuse ``value`` unless it is an integer in ``low..high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadInput(f"{name} must be an integer in {low}..{high}, not {value!r}")


def require_bool(name: str, value: object) -> None:
    """Refuse ``value`` unless it is true or false; 1 would be the same hardware under another digest."""
    if not isinstance(value, bool):
        raise BadInput(f"{name} must be true or false, not {value!r}")


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse ``value`` unless it is one of ``choices``."""
    if value not in choices:
        raise BadInput(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _parse(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() not in words:
            raise BadInput(f"{name} must be true or false, not {text!r}")
        return words[text.lower()]
    if kind is int:
        try:
            return int(text, 0)
        except ValueError:
            raise BadInput(f"{name} must be an integer, not {text!r}") from None
    return text


@dataclass(frozen=True, kw_only=True)
class CoreConfig:
    """Base of every core's configuration: a frozen dataclass of integers, booleans and strings."""

    core: ClassVar[str]

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> Self:
        """Build a configuration from ``name=value`` texts; names that are absent keep their defaults.

        Raises
        ------
        BadInput
            If a name is unknown, or a value is not of the parameter's kind or range.
        """
        hints = get_type_hints(cls)
        names = [field.name for field in fields(cls)]
        for name in settings:
            if name not in names:
                raise BadInput(f"{cls.core} has no parameter {name!r}; it has {', '.join(names)}")
        return cls(**{name: _parse(name, text, hints[name]) for name, text in settings.items()})

    def to_dict(self) -> dict[str, Any]:
        """Every parameter by name."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """SHA-256 (16 hexadecimal digits) of the core's name and every parameter."""
        text = json.dumps({"core": self.core, **self.to_dict()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.core}({', '.join(f'{k}={v}' for k, v in self.to_dict().items())})"
