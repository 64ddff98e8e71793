"""What toggles make of a command line, and which are refused."""

from __future__ import annotations

import os
import subprocess

import pytest

from m2bench.errors import UserError
from m2bench.systems.command.options import CommandOptions
from m2bench.systems.command.system import CommandProgram
from m2bench.systems.command.toggles import CommandLine


def words(command: str, toggle: str, *, on: bool = True, seed: int = 0) -> list[str]:
    line = CommandLine(command, [toggle])
    return line.words(tuple(line.changes) if on else (), seed)


@pytest.mark.parametrize(
    ("command", "toggle", "off", "on"),
    [
        ("train --steps 9", "amp=--amp", ["train", "--steps", "9"], ["train", "--steps", "9", "--amp"]),
        ("train", "a=--x '1 2' --y", ["train"], ["train", "--x", "1 2", "--y"]),
        ("train", "a=|--flag", ["train"], ["train", "--flag"]),
        ("train --slow 3", "fast=--slow|", ["train", "--slow", "3"], ["train", "3"]),
        ("train --workers 0 x", "w=--workers 0|--workers 4", ["train", "--workers", "0", "x"],
         ["train", "--workers", "4", "x"]),
        ("gzip -1 file-1", "best=-1|-9", ["gzip", "-1", "file-1"], ["gzip", "-9", "file-1"]),
        ("train model.lr=0.1", "lr=lr=0.1|lr=0.2", ["train", "model.lr=0.1"], ["train", "model.lr=0.2"]),
        ('train "two words"', "a=--name=a=b", ["train", "two words"], ["train", "two words", "--name=a=b"]),
        ("train --seed {seed}", "a=--also {seed}", ["train", "--seed", "7"], ["train", "--seed", "7", "--also", "7"]),
    ],
)  # fmt: skip
def test_a_toggle_adds_or_swaps(command: str, toggle: str, off: list[str], on: list[str]) -> None:
    assert words(command, toggle, on=False, seed=7) == off
    assert words(command, toggle, seed=7) == on


def test_swaps_do_not_touch_what_others_have_put_in() -> None:
    """Each is made where its text stood in the command as it was typed."""
    line = CommandLine("train --a 1 --b 2", ["x=--a 1|--b 2 --b 2", "y=--b 2|--c", "z=--z"])
    assert line.words(("x", "y", "z"), 0) == ["train", "--b", "2", "--b", "2", "--c", "--z"]
    assert line.words(("z", "y", "x"), 0) == line.words(("x", "y", "z"), 0)


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("echo a | tr a b", "b"),
        ("cd / && pwd", "/"),
        ("X=5 sh -c 'echo $X'", "5"),
        ("echo \"$((2 + 3))\"", "5"),
        ("echo 'a | b' \"c & d\" e\\;f", "a | b c & d e;f"),
        ("echo '$HOME'", "$HOME"),
        ("sh -c 'echo x; echo y'", "x\ny"),
    ],
)  # fmt: skip
def test_a_command_means_what_it_means_in_a_shell(command: str, printed: str) -> None:
    line = CommandLine(command, ["a=env:A=1"])
    found = subprocess.run(line.words((), 0), capture_output=True, text=True, check=True).stdout.strip()
    assert found == printed


def test_a_shell_runs_only_what_needs_one() -> None:
    assert words("train 'a|b'", "a=env:A=1") == ["train", "a|b"]
    assert words("train > log", "a=env:A=1") == ["sh", "-c", "train > log"]
    assert words("train $X", "a=--amp") == ["sh", "-c", "train $X --amp"]


def test_a_number_sign_within_a_word_is_no_comment() -> None:
    assert words("train --run a#1 '# two' $#", "a=--amp")[-1] == "train --run a#1 '# two' $# --amp"


def test_variables_are_set_without_and_with_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF32", raising=False)
    line = CommandLine("train", ["tf32=env:TF32=1", "omp=env:OMP=1|4", "seeded=env:SEED={seed}", "empty=env:EMPTY="])
    assert line.variables((), 3) == {"OMP": "1"}
    assert line.variables(("tf32", "omp", "seeded", "empty"), 3) == {"TF32": "1", "OMP": "4", "SEED": "3", "EMPTY": ""}


@pytest.mark.parametrize(
    ("command", "toggles", "message"),
    [
        (" ", ["a=--a"], "there is no command to run"),
        ("train", ["amp"], "--toggle 'amp' changes nothing"),
        ("train", ["amp="], "changes nothing"),
        ("train", ["amp=|"], "changes nothing"),
        ("train", ["a+b=--a"], "'a\\+b' cannot be a layer's name"),
        ("train", ["a,b=--a"], "cannot be a layer's name"),
        ("train", ["=--a"], "'' cannot be a layer's name"),
        ("train", ["baseline=--a"], "cannot be a layer's name"),
        ("train", ["a=--a", "a=--b"], "two toggles are called a"),
        ("train --x 1", ["a=--y 1|--y 2"], "--toggle a: '--y 1' does not occur in the command"),
        ("train --x 1 --x 1", ["a=--x 1|--x 2"], "'--x 1' occurs 2 times in the command"),
        ("train x", ["a=x|x"], "--toggle a changes nothing"),
        ("train x", ["a=x|y|z"], "--toggle a has more than one |"),
        ("train --amp", ["a=--amp"], "'--amp' is in the command already"),
        ("train --x 1 --y 2", ["a=--x 1|", "b=1 --y|2 --y"], "a and b swap the same part"),
        ("train", ["a=--amp", "b= --amp"], "a and b add the same words"),
        ("train", ["a=env:X=1", "b=env:X=2"], "a and b both set X"),
        ("train", ["a=env:1X=1"], "'1X=1' sets no variable"),
        ("train", ["a=env:X"], "'X' sets no variable"),
        ("train", ["a=env:X=1|1"], "X is '1' without it"),
        ("train", ["a=env:ALREADY=yes"], "ALREADY is 'yes' without it"),
        ("X=2 train", ["a=env:X=1"], "the command sets X itself"),
        ("train | tee log", ["a=--amp"], "not clear where '--amp' is to be added"),
        ("train; echo done", ["a=--amp"], "not clear where"),
        ("bash -lc 'train'", ["a=--amp"], "not clear where"),
        ("train 'x", ["a=--amp"], "cannot be split into words, as baseline: No closing quotation"),
        ("train", ["a=--x 'y"], "cannot be split into words, as a: No closing quotation"),
        ("train --x 1 # --y 2", ["a=--amp"], "the command has a comment, as baseline"),
        ("train --x 1 # --y 2", ["a=--y 2|--y 3"], "the command has a comment, as baseline"),
        ("train;#", ["a=train|learn"], "the command has a comment, as baseline"),
        ("train", ["a=--amp # fast", "b=--b"], "the command has a comment, as a"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    command: str, toggles: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALREADY", "yes")
    with pytest.raises(UserError, match=message):
        CommandLine(command, toggles).refuse_idle()


def test_who_asks_for_layers_is_told_that_a_command_without_toggles_has_none() -> None:
    plain = CommandOptions(command="train")
    with pytest.raises(UserError, match=r"there is nothing to switch on\. Give at least one --toggle"):
        CommandProgram(plain).layers()
    assert CommandProgram(plain, settings={}).layers() == ()
    assert CommandProgram(plain).describe().layers == ()


def test_a_script_of_a_shell_takes_words_as_any_other() -> None:
    assert words("sh train.sh", "a=--amp") == ["sh", "train.sh", "--amp"]


def test_a_layer_says_what_it_does() -> None:
    line = CommandLine("train --w 0", ["a=--amp", "b=--w 0|--w 4", "c=env:X=1", "d=env:Y=1|2", "e=train|train2"])
    assert [line.summary(name) for name in line.changes] == [
        "adds --amp", "--w 4 in place of --w 0", "X=1", "Y=2 in place of 1", "train2 in place of train",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "toggles"),
    [
        ("printf '%s|' 'two words' {seed}", ["a=--amp", "b=env:X=a b"]),
        ('printf \'%s|\' "$X" && printf %s "$Y"', ["a=env:X=1", "b=env:Y=off|on"]),
        ("printf '%s|' slow", ["a=slow|'quite fast'"]),
    ],
)
def test_what_is_typed_in_a_shell_does_what_a_trial_does(command: str, toggles: list[str]) -> None:
    line = CommandLine(command, toggles)
    layers = tuple(line.changes)
    trial = subprocess.run(
        line.words(layers, 0), env={**os.environ, **line.variables(layers, 0)}, capture_output=True, check=True
    )
    typed = subprocess.run(line.typed(layers), shell=True, capture_output=True, check=True)
    assert typed.stdout == trial.stdout


def test_a_run_can_be_reported_in_a_shell_that_has_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALREADY", "yes")
    assert CommandLine("train", ["a=env:ALREADY=yes"]).typed(("a",)) == "ALREADY=yes train"
