"""The file of a run's settings."""

import yaml
from examples import tiny_run


def test_a_run_s_file_is_the_dump_of_all_its_settings() -> None:
    """The part that seeds share is made once; the text is that of one mapping."""
    texts = [tiny_run(seed=seed, model={"zdim": 3}).dump() for seed in (0, 7)]
    for seed, text in zip((0, 7), texts, strict=True):
        content = yaml.safe_load(text)
        assert list(content) == ["dataset", "variant", "seed", "definitions", "model", "train"]
        assert content["seed"] == seed
        assert content["model"]["zdim"] == 3
        assert content["train"]["betas"] == [0.9, 0.9]
        assert text == yaml.safe_dump(content, sort_keys=False)
