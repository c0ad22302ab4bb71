from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from common.flags import flag, identity, make_parser, parse, positional, underscored
from common.foreign_text import LONGEST


@dataclass(frozen=True)
class Plain:
    """A program whose arguments all have names."""

    batch_size: int = flag(8, "images, 100 % of them", also=("--global_batch_size", "-b"))
    rate: float = flag(0.0, "of learning", group="speed")
    mode: str = flag("train", "what is done", ("train", "evaluation"), shorthands={"--evaluate": "evaluation"})
    use_ema: bool = flag(True, "average")
    no_mixup: bool = flag(False, "ablation")
    amp: str = flag("off", "bf16", ("off", "bf16"), read=lambda word: {"float32": "off"}.get(word, word))
    steps: tuple[int, ...] = flag((1, 2), "of decay", count="*", identity=False)
    size: int | None = flag(None, "of images", hidden=True)
    folder: str = flag("", "of runs", identity=False)


@dataclass(frozen=True)
class Bare:
    """A program with an argument that has no name."""

    data: str = positional("folder", also=("--data_dir",))
    mlp: bool = flag(False, "head")
    k_size: int = flag(0, "of the queue", also=("-k",))


def plain(*words: str) -> Plain:
    return parse(Plain, "p", "Does it.", list(words))


def bare(*words: str) -> Bare:
    return parse(Bare, "p", "Does it.", list(words), separator="-")


def refusal(capsys: pytest.CaptureFixture[str], kind: type, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parse(kind, "p", "", list(words), separator="-" if kind is Bare else "_")
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_hyphens_and_underscores_are_the_same_in_names_and_left_alone_in_values():
    assert plain("--batch-size=4", "--folder=a-b_c") == plain("--batch_size", "4", "--folder", "a-b_c")
    assert bare("--k_size=3", "a_b-c") == bare("a_b-c", "--k-size=3") == Bare("a_b-c", k_size=3)
    assert underscored(["--a-b=c-d", "-a-b"]) == ["--a_b=c-d", "-a-b"]


@pytest.mark.parametrize("words", [["--global_batch_size=4"], ["--global-batch-size", "4"], ["-b", "4"], ["-b4"]])
def test_further_spellings(words):
    assert plain(*words) == Plain(batch_size=4)


def test_a_shorthand_gives_its_field_a_value():
    assert plain("--evaluate").mode == "evaluation"
    assert plain().mode == "train"


def test_values_are_read_before_they_are_compared_with_the_choices(capsys):
    assert plain("--amp=float32") == plain("--amp=off") == Plain()
    assert "invalid choice: 'half'" in refusal(capsys, Plain, "--amp=half")


def test_booleans():
    assert plain("--use_ema") == plain("--use-ema", "yes") == Plain(use_ema=True)
    assert plain("--nouse_ema") == plain("--use_ema=False") == plain("--use-ema", "no") == Plain(use_ema=False)
    assert plain("--no_mixup").no_mixup and not plain("--no-mixup=0").no_mixup
    assert bare("--mlp", "x") == Bare("x", mlp=True)
    assert bare("--no-mlp", "x") == bare("--no_mlp", "x") == Bare("x")


@pytest.mark.parametrize("word", ["--nono_mixup", "--use_ema=maybe", "--batch_size=four", "stray", "--batch", "--rate"])
def test_what_cannot_be_read_is_refused(word, capsys):
    assert word.partition("=")[2] in refusal(capsys, Plain, word)


def test_several_values_are_a_tuple():
    assert plain("--steps", "3", "4").steps == (3, 4) and plain("--steps").steps == () and plain().steps == (1, 2)


@pytest.mark.parametrize("words", ["x -k 2", "-k 2 x", "--data_dir=x -k2", "-k2 --data-dir x"])
def test_an_argument_without_a_name_may_be_given_by_name(words):
    assert bare(*words.split()) == Bare("x", k_size=2)


def test_an_argument_without_a_name_is_given_once(capsys):
    assert "required: data" in refusal(capsys, Bare, "-k2").lower()
    assert "unrecognized arguments: y" in refusal(capsys, Bare, "--data-dir=x", "y")
    assert "--data-dir" in refusal(capsys, Bare, "--data-dir")


def test_a_misspelt_flag_is_answered_with_the_nearest(capsys):
    assert refusal(capsys, Plain, "--bach-size=4").endswith("--bach_size=4; did you mean --batch_size?")
    assert refusal(capsys, Bare, "--k_sise=3", "x").endswith("did you mean --k-size?")
    assert "mean" not in refusal(capsys, Plain, "--zzzz")
    assert "--size" not in refusal(capsys, Plain, "--siz=3")  # hidden


def test_the_help_shows_defaults_names_and_groups():
    text = " ".join(make_parser(Plain, "p", "Does it.").format_help().split())
    for part in (
        "-b, --batch_size, --global_batch_size INT images, 100 % of them [8]",
        "of learning [0.0]", "speed: --rate", "average [True]", "ablation [False]", "of decay [1 2]",
        "--evaluate same as --mode=evaluation", "--folder STR of runs",
    ):  # fmt: skip
        assert part in text
    assert "--size" not in text and "--nouse_ema" not in text and "[None]" not in text and "[]" not in text
    other = " ".join(make_parser(Bare, "p", "Does it.", separator="-").format_help().split())
    assert "DATA folder; or --data-dir DATA" in other
    assert "--mlp, --no-mlp head [False]" in other and "(default" not in other and "of the queue [0]" in other


def test_defaults_may_be_replaced_and_flags_left_out(capsys):
    given = parse(Plain, "p", "", [], {"batch_size": 3, "use_ema": False}, {"rate"})
    assert given == replace(Plain(), batch_size=3, use_ema=False)
    with pytest.raises(SystemExit):
        parse(Plain, "p", "", ["--rate=1"], without={"rate"})
    assert "[3]" in make_parser(Plain, "p", "", {"batch_size": 3}).format_help()


def test_a_flag_that_came_later_is_identity_only_where_it_was_set():
    @dataclass(frozen=True)
    class Later:
        new: str = flag("old way", "something new", later=True)

    assert identity(Later()) == {}
    assert identity(Later("new way")) == {"new": "new way"}


def test_identity_is_every_flag_but_those_declared_otherwise():
    values = identity(replace(Plain(), batch_size=3, folder="x"))
    assert values == {
        "batch_size": 3, "rate": 0.0, "mode": "train", "use_ema": True, "no_mixup": False, "amp": "off", "size": None,
    }  # fmt: skip
    assert "data" in identity(Bare("x"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate=--"], "argument --rate: -- is not a value"),
        (["-b--"], "-b/--batch_size/--global_batch_size: -- is not a value"),
        (["--folder=a\0b"], r"'--folder=a\x00b' holds a zero byte"),
        (["--folder=a", "x" * 5000], "unrecognized arguments: xxx"),
        (["--rate=" + "9" * 5000 + "x"], "9x'\n"),
    ],
)
def test_what_argparse_lets_through_or_says_at_length(words, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        plain(*words)
    error = capsys.readouterr().err
    assert said in error and len(error[error.index("p: error") :]) < LONGEST + 100
    assert bare("--", "--mlp").data == "--mlp"
