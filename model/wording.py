"""Numbers in the sentences that commands print."""


def counted(number: int, noun: str) -> str:
    """How many there are: "1 run", "2,000 runs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def nll_text(nll: float) -> str:
    """An NLL of a training in four digits, the last one also where it is 0: "36.90", "1234"."""
    return f"{nll:#.4g}".removesuffix(".")
