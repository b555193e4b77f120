"""The range of each number of the configuration; generous, so that only nonsense lies outside."""

from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import GetCoreSchemaHandler

from model.validation import ConfigError, shown

T = TypeVar("T")


@dataclass(frozen=True)
class Between:
    """Annotates a number, or a list of numbers, of a config dataclass with its range.

    It is checked where the number stands in config.yaml, be it that a later layer has another one.
    """

    low: float
    high: float
    without_low: bool = False
    without_high: bool = False

    def __contains__(self, number: float) -> bool:
        above = number > self.low if self.without_low else number >= self.low
        below = number < self.high if self.without_high else number <= self.high
        return isfinite(number) and above and below

    def check(self, value: T) -> T:
        """Raise ConfigError for a number, or one of a list, outside of the range."""
        numbers: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if number is not None and number not in self:
                raise ConfigError(f"must be {self}, not {shown(number)}")
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> dict[str, Any]:
        function = {"type": "no-info", "function": self.check}
        return {"type": "function-after", "function": function, "schema": handler(source)}

    def __str__(self) -> str:
        low = f"greater than {self.low:,}" if self.without_low else f"at least {self.low:,}"
        high = f"less than {self.high:,}" if self.without_high else f"at most {self.high:,}"
        return f"{low} and {high}"


# Of sizes and numbers that are counted.
Count = Annotated[int, Between(1, 1_000_000_000)]
Channels = Annotated[int, Between(1, 65_536)]
# Of numbers whose size is the user's affair, but not their sign.
Positive = Annotated[float, Between(0, 1e30, without_low=True)]


def check_ranges(config: Any) -> None:
    """Raise ConfigError for the first field of a config dataclass outside of its range."""
    ranges: dict[str, Between] = _ranges(type(config))  # type: ignore[arg-type] # as in validation
    for name, allowed in ranges.items():
        try:
            allowed.check(getattr(config, name))
        except ConfigError as error:
            raise ConfigError(error.reason, name) from None


@cache
def _ranges(cls: Any) -> dict[str, Between]:
    hints = get_type_hints(cls, include_extras=True).items()
    found = {
        name: [part for part in get_args(hint)[1:] if isinstance(part, Between)]
        for name, hint in hints
        if get_origin(hint) is Annotated
    }
    return {name: parts[0] for name, parts in found.items() if parts}
