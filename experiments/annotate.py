"""`program=annotate`: a page in the browser on which a person fills in the questionnaire about images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from datamodules.pages.session import Page


def run(cfg: DictConfig) -> dict[str, float]:
    """Until Ctrl-C. `raw`: items (JSON lines, or a folder of images); `out`: where `annotator`'s answers are kept."""
    if cfg.raw is None or cfg.out is None or not cfg.annotator:
        raise ValueError("say what to annotate, where answers go, and who you are: raw=ITEMS out=FILE annotator=NAME")
    from datamodules.pages.annotate import AnnotationPage

    return serve_page(AnnotationPage(cfg.raw, cfg.out, str(cfg.annotator)), cfg.port)


def serve_page(page: Page, port: int) -> dict[str, float]:
    """Say where the page is, and at the end what there is."""
    from datamodules.pages.serve import serve

    total = len(page.done)
    serve(page, port, lambda url: print(f"{url}  ({sum(page.done)} of {total} done; Ctrl-C ends)", flush=True))
    print(f"\n{page.annotator}: {sum(page.done)} of {total} done, in '{page.out}'", flush=True)
    return {"num_items": float(total), "num_done": float(sum(page.done))}
