"""Names are parts of paths and of commands: one pattern, and no two that some disk confuses."""

import copy
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from project import Project
from test_planning import SMALL, changed

from model.validation import ConfigError
from study.planning.study import Study
from study.registry import ABLATION_OUTPUTS, STUDY_FIGURES, STUDY_TABLES

ROOT = Path(__file__).parents[2]
WRONG = [
    *("lr/0.1", "w{8}", "../x", "..", ".", "a+b", "", "x" * 61, "x" * 300, "$(touch x)", "-x"),
    *(
        "_x",
        "a b",
        "a\nb",
        "a.b",
        "x.",
        ".x",
        "x..1",
        "1..2",
        "é",
        "٣",
        "a:b",
        "a'b",
        "a\\b",
        "a;b",
    ),
    *("a;b", "a\0"),
]
RIGHT = ["x1", "lr-0.1", "1.2.3", "A", "7", "a_b", "x" * 60, "2024-10", "null", "x--y"]


def with_name(section: str, name: str) -> dict[str, Any]:
    """SMALL with a further entry of this name."""
    content = copy.deepcopy(SMALL)
    entries = {
        "datasets": content["datasets"]["grey"],
        "variants": {"model": {"repeats": 3}},
        "ablations": {"title": "New", "variants": ["x1", "r2"]},
        "studies": content["studies"]["first"],
    }
    content[section][name] = entries[section]
    return content


@pytest.mark.parametrize("section", ["datasets", "variants", "ablations", "studies"])
@pytest.mark.parametrize("name", WRONG)
def test_a_name_outside_of_the_pattern_is_one_line(section: str, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.of_config(with_name(section, name))
    message = str(caught.value)
    assert message.startswith(f"{section}: ")
    assert "cannot be a name; a name is 1 to 60" in message or "unprintable" in message
    assert message.isprintable()
    assert len(message) < 250


@pytest.mark.parametrize("section", ["datasets", "variants", "ablations", "studies"])
@pytest.mark.parametrize("name", RIGHT)
def test_a_name_of_the_pattern_is_a_path_and_a_word_of_the_shell(section: str, name: str) -> None:
    Study.of_config(with_name(section, name))
    assert shlex.quote(name) == name
    assert Path("results", name).resolve().parent == Path("results").resolve()


@pytest.mark.parametrize(
    ("section", "name", "message"),
    [
        ("variants", "X1", "variants: x1 and X1 differ in upper and lower case only"),
        ("studies", "First", "studies: first and First differ"),
        ("datasets", "Grey", "datasets: grey and Grey differ"),
        ("ablations", "WIDTH", "ablations: width and WIDTH differ"),
        ("datasets", "raw", "datasets.raw: a folder of data_dir has this name"),
        ("datasets", "Logs", "datasets.Logs: a folder of data_dir has this name"),
        ("ablations", "sharing-scaling", "ablations.sharing-scaling: an output of the ablation sh"),
        ("ablations", "Sharing-Cost", "ablations.Sharing-Cost: an output of the ablation sharing"),
        ("ablations", "Runs", "ablations.Runs: a table or figure of every study has this name"),
    ],
)
def test_a_name_that_is_taken_is_named_with_what_has_it(
    section: str, name: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        Study.of_config(with_name(section, name))


def test_two_runs_whose_logs_would_have_one_name_are_named() -> None:
    content = with_name("datasets", "grey-wide")
    content["studies"]["first"] |= {"datasets": ["grey", "grey-wide"]}
    content["variants"]["wide-x1"] = {}
    content["ablations"]["sharing"]["variants"] = ["x1", "wide-x1"]
    message = (
        "studies.first: variant wide-x1 on grey and variant x1 on grey-wide would write the same "
        "logs; rename one"
    )
    with pytest.raises(ConfigError, match=f"^{message}$"):
        Study.of_config(content)


def test_every_output_of_the_registry_is_reserved() -> None:
    suffixes = [output.suffix for output in ABLATION_OUTPUTS.values() if output.suffix]
    taken = [*STUDY_TABLES, *STUDY_FIGURES, *(f"width{suffix}" for suffix in suffixes)]
    for name in taken:
        with pytest.raises(ConfigError, match=r"has this name; choose another one$"):
            Study.of_config(with_name("ablations", name))


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("variants", 10, "variants: the key 10 is a number to YAML; write it in quotes, as text"),
        ("variants", 0.1, "variants: the key 0.1 is a number to YAML"),
        ("datasets", None, "datasets: the key null is nothing to YAML"),
        ("studies", False, "studies: the key false is a truth value to YAML, as are yes, no"),
    ],
)
def test_a_key_that_is_not_text_is_one_line(section: str, key: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        Study.of_config(with_name(section, key))


def test_a_name_that_is_referred_to_and_not_text_must_stand_in_quotes() -> None:
    with pytest.raises(ConfigError, match=r"found 10; to be text, it must stand in quotes$"):
        Study.of_config(changed("ablations.sharing.variants", ["x1", 10]))


@pytest.mark.parametrize("path", ["a{b}", "<data>", "a\nb", ""])
def test_a_path_that_snakemake_would_read_otherwise_is_one_line(path: str) -> None:
    for setting in ("data_dir", "data_mirror"):
        if path or setting == "data_dir":
            with pytest.raises(ConfigError, match=f"^{setting}: "):
                Study.of_config(changed(setting, path))


def test_no_rule_gives_the_shell_an_unquoted_text() -> None:
    """What a name or path becomes in a command is one word, even where the pattern is passed by."""
    ours = {
        *("evaluation", "probe", "refinement"),  # options with numbers
        "output_name",  # of the registry
    }
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for commands in re.findall(r"^ +shell:\n((?: +.*\n)+)", path.read_text(), re.MULTILINE):
            for field in re.findall(r"(?<!\{)\{([a-z_.]+)\}(?!\})", commands):
                assert field == "threads" or field.split(".")[1] in ours, (path.name, field)


def test_a_folder_of_data_with_shell_syntax_in_its_name_executes_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path)
    data_dir = "a b;$(touch executed)'c"
    result = project.snakemake(
        f"data_dir=!!str {data_dir}", "--", f"{data_dir}/digits/dataset.json"
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / data_dir / "digits" / "dataset.json").is_file()
    assert not list(tmp_path.rglob("executed"))


def test_a_target_with_an_unknown_name_has_no_rule(tmp_path: Path) -> None:
    """The names in the path of a target are those of config.yaml, so that none reaches a shell."""
    project = Project(tmp_path)
    for target in ("data/raw/$(touch executed)/SHA256SUMS", "results/tiny/runs/digits/x/seed0/x"):
        result = project.snakemake("--", target)
        assert result.returncode == 1
        assert f"No rule to produce {target}" in result.stderr
    assert not list(tmp_path.rglob("executed"))
