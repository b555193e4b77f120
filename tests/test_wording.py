"""Numbers in sentences."""

from model.wording import counted, nll_text


def test_one_of_a_kind_is_singular() -> None:
    texts = [counted(number, "run") for number in (0, 1, 2, 2000)]
    assert texts == ["0 runs", "1 run", "2 runs", "2,000 runs"]


def test_an_nll_keeps_its_last_digit_and_ends_in_no_point() -> None:
    assert [nll_text(nll) for nll in (36.9, 42.16, 0.54, 2128.3)] == [
        *("36.90", "42.16", "0.5400", "2128")
    ]
