from __future__ import annotations

import csv
from pathlib import Path

import pytest

from experiments.loggers import CsvLogger, wandb_logger, wandb_mode


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_new_metrics_add_columns_and_every_row_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.csv"
    logger = CsvLogger(path)
    logger.log_metrics({"train/loss": 2.0}, 0)
    logger.log_metrics({"train/loss": 1.5, "val/loss": 1.75}, 1)
    assert rows(path) == [
        {"step": "0", "train/loss": "2.0", "val/loss": ""},
        {"step": "1", "train/loss": "1.5", "val/loss": "1.75"},
    ]


def test_a_resumed_log_goes_on_where_training_does(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    logger = CsvLogger(path)
    for step in range(5):
        logger.log_metrics({"loss": step}, step)
    again = CsvLogger(path)
    again.rewind(3)
    again.log_metrics({"loss": 30}, 3)
    assert [(row["step"], row["loss"]) for row in rows(path)] == [
        ("0", "0.0"), ("1", "1.0"), ("2", "2.0"), ("3", "30.0"),
    ]  # fmt: skip


@pytest.fixture
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_wandb_is_offline_unless_there_is_a_login(
    no_login: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wandb_mode() == "offline"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password none\n")
    assert wandb_mode() == "online"
    (tmp_path / "netrc").write_text("machine elsewhere.example login user password none\n")
    assert wandb_mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "not-a-key")
    assert wandb_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_mode() == "offline"


def test_disabled_wandb_is_no_logger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_logger(tmp_path, "p", "n", None, {}) is None
    assert list(tmp_path.iterdir()) == []
