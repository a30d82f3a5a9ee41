"""`program=revise`: a page in the browser on which a person corrects drafts, accepts them or throws them out."""

from __future__ import annotations

from omegaconf import DictConfig

from experiments.annotate import serve_page


def run(cfg: DictConfig) -> dict[str, float]:
    """Until Ctrl-C. `raw`: drafts; `annotations`: what they were written from; `out`: where verdicts are kept."""
    if cfg.raw is None or cfg.annotations is None or cfg.out is None or not cfg.annotator:
        raise ValueError(
            "say what to revise, what it was written from, where verdicts go, and who you are: "
            "raw=DRAFTS annotations=FILE out=FILE annotator=NAME"
        )
    from datamodules.pages.revise import RevisionPage

    return serve_page(RevisionPage(cfg.raw, cfg.annotations, cfg.out, str(cfg.annotator), cfg.images), cfg.port)
