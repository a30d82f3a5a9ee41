"""Where a run's numbers go: `metrics.csv` always, W&B where it is wanted (offline unless there is a login)."""

from __future__ import annotations

import csv
import netrc
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

STEP, EPOCH = "step", "epoch"


class CsvLogger(Logger):
    """One row a logged step, one column a metric; a new metric adds a column. Every row is on disk once it is logged.

    Opening the file of an earlier run goes on below its rows; `rewind` drops those that a resumed run makes again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._columns: list[str] = []
        if self.path.is_file():
            with self.path.open(newline="") as file:
                self._columns = next(csv.reader(file), [])

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's config.yaml has them all."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {STEP: step, **{name: float(value) for name, value in metrics.items()}}
        new = [name for name in row if name not in self._columns]
        if new:
            rows = self._read()
            self._columns += new
            self._rewrite(rows)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    @rank_zero_only
    def rewind(self, step: int, validates: bool = False) -> None:
        """Drop the rows of `step` and later: they were logged after the checkpoint that training goes on from. Rows are
        counted from 0, so the validation at `step`, which is dropped where training `validates` again, is in the one
        before."""
        if self.path.is_file():
            rows = [row for row in self._read() if int(row[STEP] or 0) < step]
            self._rewrite(
                [row for row in rows if not (validates and int(row[STEP] or 0) == step - 1 and _of_validation(row))]
            )

    def last(self) -> dict[str, float]:
        """The newest value of each metric."""
        values: dict[str, float] = {}
        for row in self._read():
            values |= {name: float(value) for name, value in row.items() if value and name not in (STEP, EPOCH)}
        return values

    def _read(self) -> list[dict[str, str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}.part")
        with beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(beside, self.path)


def _of_validation(row: Mapping[str, str]) -> bool:
    return any(value and name.startswith("val/") for name, value in row.items())


def wandb_mode() -> str:
    """`WANDB_MODE` if it is set; else "online" with a login (key or netrc entry), "offline" without."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    return "online" if os.environ.get("WANDB_API_KEY") or _in_netrc() else "offline"


def _in_netrc() -> bool:
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return path.is_file() and netrc.netrc(str(path)).authenticators(host) is not None
    except (netrc.NetrcParseError, OSError):
        return False


@rank_zero_only
def wandb_logger(folder: Path, project: str, name: str, group: str | None, config: dict[str, Any]) -> Logger | None:
    """A W&B run whose files are under `folder`/wandb, or None where `WANDB_MODE=disabled`.

    A folder that is resumed goes on with its own run. `config` is stored in readable files: it must hold no secret.
    """
    mode = wandb_mode()
    if mode == "disabled":
        return None
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    os.environ.setdefault("WANDB_SILENT", "true")
    _stage_in(folder / "wandb")
    identity = folder / "wandb" / "run_id"
    if not identity.is_file():
        identity.parent.mkdir(parents=True, exist_ok=True)
        identity.write_text(uuid.uuid4().hex[:8])
    run = wandb.init(
        dir=folder,
        project=project,
        name=name,
        group=group,
        config=config,
        id=identity.read_text().strip(),
        resume="allow" if mode == "online" else None,
        mode=mode,  # type: ignore[arg-type]
    )
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return WandbLogger(experiment=run)


def _stage_in(folder: Path) -> None:
    """A table's images wait for `wandb sync` in the run's own folder, not in the home folder, unless the user says
    where."""
    if os.environ.get("WANDB_DATA_DIR") in (None, *_STAGED):
        os.environ["WANDB_DATA_DIR"] = str(folder.absolute())
        _STAGED.add(str(folder.absolute()))


_STAGED: set[str] = set()


def close_wandb(metrics: Mapping[str, float]) -> None:
    """The figures of the whole run into its W&B summary, and the run closed; nothing where there is none."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.run.summary.update(dict(metrics))
        wandb.finish()
