"""Words of a command line become what the stages take; nonsense is refused by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.config import BenchSection, ModelSection, PrepareSection
from ortlab.devices import interpreter_with, names_release
from ortlab.domain import OptimizationStyle, Precision, Replay
from ortlab.errors import ToolchainError, UsageError
from ortlab.process import Command, Completed, RecordedProcesses
from ortlab.settings import arm_options, choices, prepare_options
from ortlab.wire import LoadMode


@given(words=st.lists(st.sampled_from([str(style) for style in OptimizationStyle]), max_size=6))
def test_words_keep_their_order_and_count_once(words: list[str]) -> None:
    chosen = choices(OptimizationStyle, words, "style")
    assert [str(item) for item in chosen] == list(dict.fromkeys(words))


def test_an_unknown_word_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="style 'fast': it is one of onnx, fixed, runtime"):
        choices(OptimizationStyle, ["onnx", "fast"], "style")


def test_prepare_options_come_from_the_sections() -> None:
    model = ModelSection(path="m.onnx", input_shapes={"x": (1, 3)}, dims={"n": 2})
    options = prepare_options(model, PrepareSection(precision=("fp16",), parity=False, seed=7))
    assert options.precisions == (Precision.FP16,)
    assert options.input_shapes == {"x": (1, 3)}
    assert (options.parity, options.seed) == (False, 7)


def test_empty_lists_leave_the_choice_to_ortlab() -> None:
    options = arm_options(BenchSection(), [])
    assert options.styles == ()
    assert options.config_entries == ({},)
    assert options.load_modes == (LoadMode.PATH,)


def test_values_of_one_config_key_are_crossed_and_keys_are_combined() -> None:
    section = BenchSection(
        config=("session.intra_op.allow_spinning=0", "a.b=1", "a.b=2"), replay=("on",)
    )
    options = arm_options(section, [])
    spinning = {"session.intra_op.allow_spinning": "0"}
    assert options.config_entries == (spinning | {"a.b": "1"}, spinning | {"a.b": "2"})
    assert options.replays == (Replay.ON,)


# ------------------------------------------------------------------------------ other releases


def _completed(command: Command, exit_code: int) -> Completed:
    return Completed(
        command=command,
        exit_code=exit_code,
        signal_name=None,
        timed_out=False,
        stdout="",
        stderr="no matching distribution",
        duration_s=0.0,
    )


@pytest.mark.parametrize("text", ["onnxruntime==", "onnxruntime==1.2;x", "onnxruntime==../x"])
def test_what_is_no_release_is_refused(tmp_path: Path, text: str) -> None:
    assert names_release(text)
    with pytest.raises(UsageError, match="not a release"):
        interpreter_with(text, tmp_path, processes=RecordedProcesses([]), say=lambda _: None)


def test_a_release_that_cannot_be_installed_keeps_the_log(tmp_path: Path) -> None:
    failed = _completed(Command(arguments=("pip",), deadline_s=1), 1)
    processes = RecordedProcesses([(lambda _: True, failed)])
    with pytest.raises(ToolchainError) as caught:
        interpreter_with("onnxruntime==9.9.9", tmp_path, processes=processes, say=lambda _: None)
    assert caught.value.log_path is not None
    assert "no matching" in caught.value.log_path.read_text()


def test_an_installed_release_is_used_again(tmp_path: Path) -> None:
    (tmp_path / f"1.29.0-py{sys.version_info.major}{sys.version_info.minor}").mkdir()  # as venv
    done = _completed(Command(arguments=("pip",), deadline_s=1), 0)
    said: list[str] = []
    for recordings in ([(lambda _: True, done)], []):
        processes = RecordedProcesses(recordings)
        release = "onnxruntime==1.29.0"
        python = interpreter_with(release, tmp_path, processes=processes, say=said.append)
        assert python.name == "python"
    assert len(said) == 1
