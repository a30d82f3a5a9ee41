"""The pages as a person uses them: in a real browser, by keyboard, with the program ended and started again."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.annotations import Annotation, read_annotations, read_lines, write_annotations
from datamodules.pages.annotate import AnnotationPage
from datamodules.pages.revise import RevisionPage
from depictqa.image import load_image
from depictqa.questionnaire import Level, Overall, Questionnaire
from depictqa.sample import Slot

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="pages need Gradio: uv sync --extra page")
playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright: uv sync --extra test")

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser_test = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path: apt-get install chromium")

SIZES = {"r.png": (160, 120), "a.jpg": (160, 120), "b.png": (160, 120)}
IMAGES = {"reference": "r.png", "a": "a.jpg", "b": "b.png"}
RIGHT = "The image is severely noisy. The rest is fine. Overall, it is severely distorted."
WRONG = "The image is slightly noisy. The rest is fine. Overall, it is severely distorted."


@pytest.fixture
def raw(tmp_path) -> Path:
    """A pair with a reference, then a single image; noise, so that any change to a pixel shows."""
    for seed, (name, (width, height)) in enumerate(SIZES.items()):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps({"key": key, "images": images}) + "\n" for key, images in
                            (("<i>0</i>", IMAGES), ("1", {"a": "b.png"}))))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    playwright.expect.set_options(timeout=30_000)  # ms; machines are slow at times
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(page: AnnotationPage | RevisionPage) -> Iterator[str]:
    """Its address."""
    from datamodules.pages.application import server
    from datamodules.pages.serve import listen

    with listen(0) as taken:
        waiting = server(page)
        thread = threading.Thread(target=waiting.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        waiting.should_exit = True
        thread.join(10)
    assert not thread.is_alive()


@contextmanager
def opened(browser: playwright.Browser, url: str, shown: str) -> Iterator[playwright.Page]:
    """A tab that has loaded; nothing but this server was asked for anything, and no script failed."""
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    asked, errors = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(url)
    tab.wait_for_selector(shown, timeout=60_000)
    yield tab
    tab.close()
    assert [address for address in asked if not address.startswith((url, "data:"))] == []
    assert errors == []


def say(tab: playwright.Page, words: str) -> None:
    playwright.expect(tab.locator(".message")).to_contain_text(words)


def fill_pair(tab: playwright.Page) -> None:
    """Two letters for the second category in F, and a digit for each other question: row by row A, B, better."""
    for key in ("f", "f", "Enter", *("1", "3", "1") * 7):
        tab.keyboard.press(key)


def transforms(tab: playwright.Page) -> list[list[float]]:
    """[scale, x, y] of each image, as the browser computes them."""
    found = tab.evaluate("[...document.querySelectorAll('.pane img')].map((i) => getComputedStyle(i).transform)")
    values = [[float(number) for number in re.findall(r"-?[\d.]+", matrix)] for matrix in found]
    return [[scale, x, y] for scale, _, _, _, x, y in values]


@browser_test
def test_a_pair_is_annotated_by_keyboard_and_a_new_start_goes_on(raw, browser):
    out = raw.parent / "out.jsonl"
    command = [sys.executable, str(ROOT / "run.py"), "program=annotate", f"raw={raw}", f"out={out}", "annotator=ada"]
    program = subprocess.Popen(
        [*command, "port=0"], cwd=raw.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        address = program.stdout.readline().split()
        with opened(browser, address[0], "form.answers") as tab:
            tab.keyboard.press("Control+Enter")
            say(tab, "not saved: texture category of image A is not answered")
            fill_pair(tab)
            tab.keyboard.press("ArrowUp")  # from the button, which is in no question: stays there
            tab.keyboard.press("Control+Enter")
            say(tab, "saved item 1")
            assert "item 2 of 2 (open) · 1 done by ada" in tab.inner_text(".place")
            assert tab.locator(":checked[type=radio]").count() == 0  # no answer is carried over
            program.send_signal(signal.SIGINT)  # while the browser still shows the page
            assert program.wait(20) == 0
            tab.keyboard.press("Control+Enter")
            say(tab, "no answer from the program, nothing was saved")
        said = program.stdout.read() + program.stderr.read()
        assert said.strip() == f"ada: 1 of 2 done, in '{out}'"
    finally:
        program.kill()
    assert {path.name for path in raw.parent.iterdir()} == {*SIZES, raw.name, "out.jsonl", ".out.jsonl.lock"}
    saved = read_annotations(out)[0]
    form = Questionnaire(texture="Faces", texture_damage=Level.UNDISTORTED)
    severe = {field: Level.SEVERE for field in ("brightness", "color", "noise", "artifacts", "blur", "texture_damage")}
    assert saved.forms == {Slot.A: form, Slot.B: Questionnaire(**severe, overall=Overall.SEVERE, texture="Faces")}
    assert saved.better is Slot.A and set(saved.better_by_field.values()) == {Slot.A}
    assert len(saved.better_by_field) == 6 and saved.images == {Slot(slot): path for slot, path in IMAGES.items()}
    with served(AnnotationPage(raw, out, "ada")) as url, opened(browser, url, "form.answers") as tab:
        assert "item 2 of 2 (open) · 1 done by ada" in tab.inner_text(".place")
        tab.keyboard.press("PageUp")
        playwright.expect(tab.locator(".place")).to_contain_text("item 1 of 2 (done)")
        assert tab.locator(":checked[type=radio]").count() == 7 * 3
        tab.keyboard.press("ArrowDown")  # to the damage of A, which is undistorted
        tab.keyboard.press("2")
        tab.once("dialog", lambda dialog: dialog.dismiss())
        tab.keyboard.press("PageDown")  # asks, as there is something to lose
        tab.keyboard.press("Control+Enter")
        say(tab, "saved item 1")
    assert [line.forms[Slot.A].texture_damage for line in read_annotations(out)] == [Level.MILD]


@browser_test
def test_images_arrive_unchanged_and_zoom_together_without_smoothing(raw, browser):
    out = raw.parent / "out.jsonl"
    with served(AnnotationPage(raw, out, "ada")) as url, opened(browser, url, "form.answers") as tab:
        tab.wait_for_function("[...document.querySelectorAll('.pane img')].every((i) => i.complete && i.naturalWidth)")
        for image, path in zip(tab.locator(".pane img").all(), IMAGES.values(), strict=True):
            sent = image.evaluate(_PIXELS)
            expected = np.asarray(load_image(raw.parent / path))
            assert np.array_equal(np.array(sent, dtype=np.uint8).reshape(*expected.shape[:2], 4)[..., :3], expected)
        assert [scale for scale, _, _ in transforms(tab)] == [1, 1, 1]
        for _ in range(7):
            tab.keyboard.press("+")
        assert transforms(tab) == [[8.0, *transforms(tab)[0][1:]]] * 3
        _assert_nearest_neighbour(tab, np.asarray(load_image(raw.parent / "r.png")))
        before = transforms(tab)[0]
        tab.keyboard.press("Shift+ArrowRight")
        assert transforms(tab) == [[8.0, before[1] - 64, before[2]]] * 3
        box = tab.locator(".pane").nth(1).bounding_box()
        tab.mouse.move(box["x"] + 100, box["y"] + 100)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 130, box["y"] + 80, steps=3)
        tab.mouse.up()
        moved = transforms(tab)
        assert moved == [[8.0, before[1] - 34, before[2] - 20]] * 3
        tab.mouse.wheel(0, 100)
        closer = transforms(tab)[1]
        assert closer[0] == 6  # what is under the pointer stays there, to a pixel of the screen
        assert (130 - closer[1]) / 6 == pytest.approx((130 - moved[1][1]) / 8, abs=0.2)
        tab.keyboard.press("Home")
        assert transforms(tab)[0][0] == 1
        tab.set_viewport_size({"width": 400, "height": 700})
        tab.keyboard.press("End")
        assert transforms(tab)[0][0] == pytest.approx(
            tab.locator(".pane").first.bounding_box()["width"] / 160, rel=0.01
        )


@browser_test
def test_a_draft_is_mended_until_no_field_is_marked(raw, browser):
    folder = raw.parent
    form = Questionnaire(noise=Level.SEVERE, overall=Overall.SEVERE)
    write_annotations(folder / "annotations.jsonl", [Annotation("k<b>", "bob", {Slot.A: "a.jpg"}, {Slot.A: form})])
    draft = {"key": "k<b>", "task": "description", "question": "<u>Why?</u>", "outcome": "written"}
    (folder / "drafts.jsonl").write_text(
        "".join(json.dumps(draft | {"text": text}) + "\n" for text in (WRONG, RIGHT, "{{value}} ${value}"))
    )
    names = [folder / name for name in ("drafts.jsonl", "annotations.jsonl", "revised.jsonl")]
    with served(RevisionPage(*names, "ada")) as url, opened(browser, url, "textarea") as tab:
        assert tab.locator("u").count() == 0 and "<u>Why?</u>" in tab.inner_text(".text")
        assert tab.locator(".wrong").evaluate_all("(cells) => cells.map((cell) => cell.dataset.field)") == ["a.noise"]
        assert "severe" in tab.inner_text(".wrong") and "text: mild" in tab.inner_text(".wrong")
        tab.fill("textarea", RIGHT)
        playwright.expect(tab.locator(".wrong")).to_have_count(0)
        tab.keyboard.press("Control+Enter")
        say(tab, "edited item 1")
        tab.keyboard.press("Control+Enter")
        say(tab, "accepted item 2")
        assert tab.input_value("textarea") == "{{value}} ${value}"
        tab.keyboard.press("Control+Shift+Enter")
        say(tab, "all 3 are done")
    with served(RevisionPage(*names, "bob")) as url, opened(browser, url, "textarea") as tab:
        assert "item 1 of 3 (open) · 0 done by bob" in tab.inner_text(".place")
    lines = [value for _, value in read_lines(folder / "revised.jsonl")]
    assert [(line["draft"], line["text"], line["verdict"]) for line in lines] == [
        (WRONG, RIGHT, "edited"),
        (RIGHT, RIGHT, "accepted"),
        ("{{value}} ${value}", "{{value}} ${value}", "rejected"),
    ]


def test_images_come_by_number_and_slot_alone(raw):
    from fastapi.testclient import TestClient

    from datamodules.pages.application import application

    client = TestClient(application(AnnotationPage(raw, raw.parent / "out.jsonl", "ada")))
    answer = client.get("/image/0/b")
    assert answer.headers["content-type"] == "image/png" and answer.headers["cache-control"] == "no-store"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(load_image(raw.parent / "b.png")))
    for address in ("1/reference", "7/a", "-9/a", "0/c", "0/..%2Fitems.jsonl", "..%2Fitems.jsonl"):
        assert client.get(f"/image/{address}").status_code in (404, 422), address
    assert client.get(f"/gradio_api/file={raw}").status_code == 403


def test_a_port_in_use_is_said_in_one_line(raw):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["program=annotate", f"raw={raw}", f"out={raw.parent}/out.jsonl", "annotator=ada", f"port={port}"]
        done = subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *words], cwd=raw.parent, capture_output=True, text=True
        )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip() == f"error: port {port} is in use; choose another (port={port + 1})"


_PIXELS = """(image) => {
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""


def _assert_nearest_neighbour(tab: playwright.Page, pixels: np.ndarray) -> None:
    """What the screen shows of the first pane at 8x: blocks of 8 x 8 of one colour, those of the image."""
    _, x, y = (int(value) for value in transforms(tab)[0])
    pane = tab.locator(".pane").first
    shot = np.asarray(Image.open(io.BytesIO(pane.screenshot())).convert("RGB"))
    rows, columns = np.arange(10, 60), np.arange(10, 50)
    left, top = -x // 8, -y // 8  # the image pixels at the pane's corner
    blocks = pixels[top + rows[:, None], left + columns[None]]
    for inside in (1, 4, 6):  # beside an edge, and in the middle, of each block
        shown = shot[(top + rows[:, None]) * 8 + y + inside, (left + columns[None]) * 8 + x + inside]
        assert np.array_equal(shown, blocks)
