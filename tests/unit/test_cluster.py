"""The shell's loop in docs/cluster.md, with a program in place of Python that is ended by signals."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """#!/bin/sh
for word; do last=$word; done
echo "$last" >>words
case $(wc -l <words) in
1) exit 143 ;; # before its first checkpoint
2) mkdir -p runs/mine/checkpoints && touch runs/mine/checkpoints/previous.ckpt && exit 143 ;;
*) exit 0 ;;
esac
"""


def test_the_loop_resumes_only_where_there_is_a_checkpoint(tmp_path: Path) -> None:
    text = (ROOT / "docs/cluster.md").read_text()
    (loop,) = (block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "while" in block)
    (tmp_path / "python").write_text(PROGRAM)
    (tmp_path / "python").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", loop], cwd=tmp_path, env=environment, timeout=20, check=True)
    started = (tmp_path / "words").read_text().split()
    assert started == ["hydra.run.dir=runs/mine", "hydra.run.dir=runs/mine", "resume=runs/mine"]
