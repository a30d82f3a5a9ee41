"""`program=judge`: a language model grades the texts in the results of runs; the grades go into the results."""

from __future__ import annotations

from hydra.utils import get_class
from omegaconf import DictConfig

from experiments.chat import open_llm, paid
from experiments.console import relative
from experiments.report import print_report, run_folders

OTHERS = ("protocol", "swap", "prompt")
"""Options of `judge` that are not the model's."""


def run(cfg: DictConfig) -> dict[str, float]:
    """Figures are `<run>/<benchmark>/<model>/<figure>` of what was judged. Replies are kept in `judge.cache` as they
    come in: the same command goes on where it was cut. A file of results is written anew as a whole."""
    folders = run_folders(cfg.runs)
    from rich.progress import Progress

    from depictqa.evaluation.result import read_results, write_results
    from depictqa.judges.judge import Judge, is_judged
    from depictqa.report.judges import judge_table
    from depictqa.report.runs import read_runs, result_files

    files = {path: read_results(path) for paths in result_files(folders).values() for path in paths}
    wanted = {path: results for path, results in files.items() if any(map(is_judged, results))}
    if not wanted:
        raise ValueError(f"no descriptions or reasoning with a person's text in {', '.join(map(str, folders))} (runs)")
    with open_llm(cfg.judge, "judge", OTHERS, keeps_cut_off=True) as llm:
        judge = Judge(llm, get_class(cfg.judge.protocol)(), cfg.judge.prompt, cfg.judge.swap, cfg.judge.num_parallel)
        with Progress() as bars:
            bar = bars.add_task("judged", total=sum(map(judge.num_questions, wanted.values())))
            for path, results in wanted.items():
                write_results(path, judge.judge(results, lambda: bars.advance(bar)))
                if llm.given_up is not None:
                    break
    measured = read_runs(folders)
    table = judge_table(measured)
    print_report([table] if table is not None else [])
    print(paid(llm, "judge"))
    for path in wanted:
        print(f"{'results':13}{relative(path)}")
    if llm.given_up is not None:
        raise ValueError(f"{llm.given_up}; what is judged stands in the results: the same command goes on from there")
    return {
        "/".join(filter(None, (one.run, one.benchmark, one.model, name))): value
        for one in measured
        for name, value in one.figures.items()
        if "judge_" in name
    }
