"""A sweep's jobs as their folders tell of them."""

from __future__ import annotations

import pytest

from experiments.jobs import Job, State, point_of, points, read_job, read_list, refresh_list, write_list

SEEDS = (("data=a", "seed=1"), ("data=b", "seed=1"))


@pytest.fixture
def sweep(tmp_path):
    write_list(tmp_path / "s", ["data=a,b"], {}, [Job(tmp_path / "s" / str(n), words) for n, words in enumerate(SEEDS)])
    return tmp_path / "s"


def test_states_are_those_of_the_folders_and_not_of_the_list(sweep):
    arguments, _, jobs = read_list(sweep)
    assert arguments == ["data=a,b"] and [job.state for job in jobs] == [State.WAITING] * 2
    Job(sweep / "0", SEEDS[0], State.FAILED, "no room").save()
    Job(sweep / "1", SEEDS[1], State.STARTED).save()
    assert [(job.state, job.cause) for job in refresh_list(sweep)] == [("failed", "no room"), ("started", "")]
    assert "cause: no room" in (sweep / "jobs.yaml").read_text()
    (sweep / "1" / "metrics.json").write_text("{}")  # killed after its last line was written
    assert read_job(sweep / "1").state is State.FINISHED


def test_jobs_that_a_sweeper_chose_as_it_went_are_listed_in_order(sweep):
    for number in (10, 2):
        Job(sweep / str(number), (f"lr={number}",), State.FINISHED).save()
    assert [job.folder.name for job in refresh_list(sweep)] == ["0", "1", "2", "10"]
    assert [job.folder.name for job in read_list(sweep)[2]] == ["0", "1", "2", "10"]


def test_a_point_is_what_not_all_have():
    assert points(SEEDS) == ["data=a", "data=b"]
    jobs = [(*words, f"x={n}") for n in (1, 2) for words in SEEDS]
    assert points(jobs) == ["data=a x=1", "data=b x=1", "data=a x=2", "data=b x=2"]
    assert points(jobs, without=["x"]) == ["data=a", "data=b"] * 2


def test_a_jobs_folder_tells_its_point(sweep, tmp_path):
    assert [point_of(sweep / name) for name in "01"] == ["data=a", "data=b"]
    assert point_of(sweep) == point_of(tmp_path / "elsewhere") == ""


def test_a_folder_without_a_list_is_no_sweep(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no jobs.yaml"):
        read_list(tmp_path)


@pytest.mark.parametrize("text", ["", "- a", "jobs: [a]", "jobs: 3", "jobs: []", "{", "arguments: []\nparams: {}"])
def test_another_programs_list_names_no_point_and_is_no_sweep(tmp_path, text):
    (tmp_path / "jobs.yaml").write_text(text)
    assert point_of(tmp_path / "0") == ""
    with pytest.raises(ValueError, match="jobs.yaml is no sweep's list of its jobs"):
        read_list(tmp_path)
