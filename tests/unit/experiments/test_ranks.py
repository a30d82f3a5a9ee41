"""How many processes a run starts, and the words that it starts them with."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from experiments.quoting import override
from experiments.ranks import first_failure, num_to_start, quiet_agent

PLACED = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in PLACED:
        monkeypatch.delenv(name, raising=False)


def options(devices, num_nodes=1):
    return OmegaConf.create({"accelerator": "cpu", "devices": devices, "num_nodes": num_nodes, "strategy": "auto"})


@pytest.mark.parametrize(("devices", "num"), [(1, 1), ("1", 1), (2, 2), ("3", 3), ("auto", 1)])
def test_as_many_as_devices(devices, num):
    assert num_to_start(options(devices)) == num


@pytest.mark.parametrize("devices", ["0,", [0, 1], -1])
def test_the_cpu_has_no_numbers_of_devices(devices):
    with pytest.raises(ValueError, match=r"trainer.accelerator=cpu with trainer.devices=.* is not to be had here"):
        num_to_start(options(devices))


@pytest.mark.parametrize("placed", [{"RANK": "3", "LOCAL_RANK": "1"}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "3"}])
def test_none_where_torchrun_or_slurm_has_started_them(monkeypatch, placed):
    for name, value in placed.items():
        monkeypatch.setenv(name, value)
    assert num_to_start(options(2)) == 1


def test_several_nodes_are_slurms_or_torchruns_to_start(monkeypatch):
    with pytest.raises(ValueError, match="trainer.num_nodes is 2: start the run on every node by torchrun or SLURM"):
        num_to_start(options(2, num_nodes=2))
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert num_to_start(options(2, num_nodes=2)) == 1


def test_a_strategy_of_ours_starts_as_many():
    fsdp2 = {"_target_": "depictqa.strategies.fsdp2.FSDP2"}
    assert num_to_start(OmegaConf.merge(options(2), {"strategy": fsdp2})) == 2


def test_one_task_of_slurm_starts_its_own(monkeypatch):
    for name, value in {"NTASKS": "1", "NTASKS_PER_NODE": "1", "PROCID": "0", "NODEID": "0", "JOB_NAME": "x"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert num_to_start(options(2)) == 2


@pytest.mark.parametrize("value", ["runs/a", "my runs/it's, 'a=b'", r"a\'b", "x{y}[z]"])
def test_hydra_reads_the_very_value(value):
    (found,) = OverridesParser.create().parse_overrides([override("hydra.run.dir", value)])
    assert (found.key_or_group, found.value()) == ("hydra.run.dir", value)


@pytest.mark.parametrize("name", ["agent.server.api", "multiprocessing.api"])
def test_the_agent_has_no_word_of_its_own(name):
    quiet_agent()
    assert not logging.getLogger(f"torch.distributed.elastic.{name}").isEnabledFor(logging.ERROR)


@pytest.mark.parametrize(
    ("failures", "first"),
    [
        ({0: (1, 5), 1: (-9, 5)}, 1),  # rank 0 ended because rank 1 was killed, in the same second
        ({0: (-9, 5), 1: (1, 5)}, 0),
        ({0: (-15, 5), 1: (3, 5)}, 1),  # rank 0 was told to end
        ({0: (1, 5), 1: (-9, 40)}, 0),  # rank 1 was killed for it did not end when told to
        ({0: (1, 6), 1: (2, 5)}, 1),
    ],
)
def test_the_first_to_fail_is_named_also_where_others_follow_within_its_second(failures, first):
    given = {rank: SimpleNamespace(exitcode=code, timestamp=at) for rank, (code, at) in failures.items()}
    assert first_failure(given) == (first, given[first])
