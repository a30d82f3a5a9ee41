from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.errors import InstantiationException

from experiments.console import one_line_errors, terminating, user_message

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("error", [ValueError("a\nb  c"), FileNotFoundError("a b c"), OSError("a b c")])
def test_user_errors_are_one_line_and_exit_code_1(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, one_line_errors():
        raise error
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: a b c\n"


def test_what_hydra_wraps_is_unwrapped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_line_errors():
        raise InstantiationException("Error in call to target") from ValueError("the cause")
    assert capsys.readouterr().err == "error: the cause\n"


@pytest.mark.parametrize("error", [AssertionError("x"), TypeError("x"), KeyError("x")])
def test_bugs_keep_their_stack(error: Exception) -> None:
    with pytest.raises(type(error)), one_line_errors():
        raise error


def test_debug_shows_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPICTQA_DEBUG", "1")
    with pytest.raises(ValueError), one_line_errors():
        raise ValueError("x")


def test_ctrl_c_is_a_word_and_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, one_line_errors():
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "stopped\n"


def run_py(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ROOT / "run.py"), *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["experiment=ful_mix"],
            "error: experiment 'ful_mix' unknown; choose detailed_only, full_mix, templated_only\n",
        ),
        (["model/language=foo"], "error: model/language 'foo' unknown; choose llama2_chat, llama_small, "),
        (["baseline=[psnr,foo]"], "error: baseline 'foo' unknown; choose answers, api, deepiqa, "),
        (["seed=1", "model=null"], "error: model=null: choose paper, paper_abstractor, tiny, or leave it out\n"),
        (["trainer=[cpu,ddp]"], "error: trainer=[cpu,ddp]: trainer takes one choice and no list\n"),
        (["trainer.max_epoch=3"], "key 'trainer.max_epoch' unknown, did you mean 'trainer.max_epochs'?; --cfg job"),
        (["trainer.max_epochs=abc"], "could not be converted to Integer"),
        (
            ["name=What's (this)?"],
            "error: name=What's (this)?: its signs mean something else here; quote it twice: "
            """name='"What'"'"'s (this)?"'\n""",
        ),
        (["baseline=[psnr"], "error: "),
        (["program=assess", "image=it's [a], photo=1.png"], "image 'it's [a], photo=1.png' not found"),
        (["data.root=x"], "key 'data.root' unknown, but with data=templated|detailed|external it is known; --cfg job"),
        (["baseline=[psnr,psnr]"], "error: baseline 'psnr' is named twice; name it once\n"),
        (["evaluation.tasks=comparison"], "give a list: evaluation.tasks=[comparison]\n"),
        (["program=train", "resume=nowhere"], "cannot resume nowhere"),
        (["scale=paper"], "ViT-L-14.pt"),
    ],
)
def test_the_command_line_reports_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run_py(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_the_papers_scale_names_all_that_is_missing_at_once(tmp_path: Path) -> None:
    error = run_py("scale=paper", "experiment=full_mix", cwd=tmp_path).stderr
    for path in (
        "weights/ViT-L-14.pt",
        "weights/vicuna-7b-v1.5",
        *(f"data/paper/{s}" for s in ("templated", "detailed", "external")),
    ):
        assert path in error


def test_help_and_config_load_no_heavy_library(tmp_path: Path) -> None:
    check = (
        "import sys, runpy; sys.argv = ['run.py', sys.argv[1], *sys.argv[2:]]\n"
        "try: runpy.run_path(RUN, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'lightning', 'transformers', 'peft', 'wandb'} & set(sys.modules)), file=sys.stderr)"
    ).replace("RUN", repr(str(ROOT / "run.py")))
    for arguments in (["--help"], ["--cfg", "job"]):
        done = subprocess.run([sys.executable, "-c", check, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.stderr == "[]\n"
        assert "full_mix" in done.stdout or "name: train" in done.stdout


def test_help_is_short_and_lists_what_can_be_typed(tmp_path: Path) -> None:
    said = run_py("--help", cwd=tmp_path).stdout
    assert "\nscale: paper, tiny\n" in said and "\nmodel/prompt: released, short\n" in said
    assert "schema" not in said and len(said.splitlines()) < 60


def test_what_the_system_refuses_names_the_place_and_what_helps():
    full = OSError(errno.ENOSPC, "No space left on device", "/out/report.md")
    said = "'/out/report.md': no space left on device; free some space, then run the same command again"
    assert user_message(full) == said
    assert user_message(NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b")).endswith("choose another path")
    assert user_message(FileNotFoundError("checkpoint 'x' not found; give one")) == "checkpoint 'x' not found; give one"


def test_a_terminated_block_is_left_in_order():
    left, before = [], signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, terminating():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        finally:
            left.append(True)
    assert stop.value.code == 143 and left and signal.getsignal(signal.SIGTERM) is before
