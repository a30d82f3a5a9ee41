"""A page as a web application: Gradio around its HTML, its images as PNG.

Gradio's own image components may re-encode and scale; here images come by number and slot, as lossless files, so no
path ever comes from the browser. ValueError where the extra `page` is not installed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before the import: nothing is sent anywhere
try:
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI, HTTPException, Response
except ModuleNotFoundError as error:
    raise ValueError(f"pages need '{error.name}', which is not installed; uv sync --extra page") from error

from datamodules.pages.session import Page, reply
from depictqa.sample import Slot

_HERE = Path(__file__).parent


def application(page: Page) -> FastAPI:
    """The page under `/`, its images under `/image/<number>/<slot>`."""
    app = FastAPI(openapi_url=None)

    @app.get("/image/{number}/{slot}")
    def image(number: int, slot: Slot) -> Response:
        try:
            data = page.image(number, slot)
        except (KeyError, IndexError, OSError, ValueError):
            raise HTTPException(404) from None
        # Never from the browser's cache: the next start may show other items under the same numbers.
        return Response(data, media_type="image/png", headers={"Cache-Control": "no-store"})

    theme = gr.themes.Base(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    blocks = _blocks(page)
    return gr.mount_gradio_app(app, blocks, path="/", theme=theme, css=css, footer_links=[], run_history=False)


def server(page: Page) -> uvicorn.Server:
    # A browser holds a connection open for as long as it shows the page: do not wait for it to close.
    config = uvicorn.Config(application(page), log_level="critical", timeout_graceful_shutdown=1)
    return uvicorn.Server(config)


def _blocks(page: Page) -> gr.Blocks:
    """One HTML component; its script asks `page` and puts the reply's parts in their places."""

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        return reply(page, request)

    parts = "".join(f'<div data-part="{name}"></div>' for name in ("viewer", "form", "bar"))
    script = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("viewer.js", "page.js"))
    with gr.Blocks(title=f"DepictQA: {page.title}", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(
            html_template=f'<div class="depictqa">{parts}</div>',
            js_on_load=script,
            server_functions=[ask],
            apply_default_css=False,
        )
    return blocks
