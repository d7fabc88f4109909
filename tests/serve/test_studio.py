"""The studio in a real browser: type, drop an image, generate, cancel one, extend a result backward, read its label."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from serving import Server

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
DROP = """([box, data, name]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  const target = document.querySelector("#timeline");
  const where = { bubbles: true, cancelable: true, dataTransfer: transfer };
  const at = { ...where, clientX: box.x + box.width * 0.98, clientY: box.y + box.height / 2 };
  for (const kind of ["dragenter", "dragover", "drop"]) target.dispatchEvent(new DragEvent(kind, at));
}"""


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; make system-packages installs it")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto(server.url)
        yield page
        browser.close()
        assert not faults


def finished(server: Server) -> list[str]:
    return [v["id"] for v in server.get("/v1/videos?limit=100").json()["data"] if v["status"] == "completed"]


def test_a_day_in_the_studio(page: Page, server: Server, photo: Path) -> None:
    page.fill("#prompt", "a red ball bounces on sand at dusk with a zebra")
    expect(page.locator("#understood")).to_contain_text("red")
    expect(page.locator("#not-understood")).to_contain_text("zebra")
    page.fill("#seconds", "2")
    box = page.locator("#timeline").bounding_box()
    page.evaluate(DROP, [box, base64.b64encode(photo.read_bytes()).decode(), "photo.png"])
    expect(page.locator("#timeline .anchor")).to_have_count(1)
    before = finished(server)
    page.click("#generate")
    end = time.monotonic() + 60
    while not (new := [id for id in finished(server) if id not in before]) and time.monotonic() < end:
        time.sleep(0.2)
    assert len(new) == 1
    expect(page.locator(f'#gallery .clip[data-id="{new[0]}"]')).to_be_visible(timeout=20_000)
    made = server.get(f"/v1/videos/{new[0]}").json()
    assert made["prompt"].startswith("a red ball")
    label = server.get(f"/v1/videos/{new[0]}/label").json()
    assert [a["at"] for a in label["shot"]["anchors"]] == ["end"]

    # One that would take long is cancelled.
    page.locator("details.advanced summary").click()
    page.fill("#steps", "1000")
    page.click("#generate")
    job = page.locator("#queue .job").first
    expect(job).to_be_visible(timeout=10_000)
    long = job.get_attribute("data-id")
    page.locator(f'#queue .job[data-id="{long}"] .cancel').click()
    end = time.monotonic() + 20
    while server.get(f"/v1/videos/{long}").json()["status"] in ("queued", "in_progress") and time.monotonic() < end:
        time.sleep(0.1)
    assert server.get(f"/v1/videos/{long}").json()["error"]["code"] == "cancelled"
    page.fill("#steps", "2")

    # The result runs on into the past.
    clip = page.locator(f'#gallery .clip[data-id="{new[0]}"]')
    clip.scroll_into_view_if_needed()
    clip.click()
    page.locator("#viewer .extend-backward").click()
    accept = page.locator("#viewer .confirm:visible, dialog .confirm:visible")
    if accept.count():
        accept.first.click()
    end = time.monotonic() + 60
    past: list[str] = []
    while not past and time.monotonic() < end:
        rows = server.get("/v1/videos?limit=100").json()["data"]
        past = [v["id"] for v in rows if v["mode"] == "backward" and v["sources"] == [new[0]] and v["status"] == "completed"]
        time.sleep(0.2)
    assert past

    # Its label says what it cost.
    if page.locator("#viewer").is_visible():
        page.keyboard.press("Escape")
    longer = page.locator(f'#gallery .clip[data-id="{past[0]}"]')
    expect(longer).to_be_visible(timeout=20_000)
    longer.click()
    page.locator("#viewer .show-label").click()
    expect(page.locator("#label .wh")).to_contain_text("Wh")


def test_it_speaks_chinese_and_works_by_keyboard(page: Page, server: Server) -> None:
    kept = server.post("/v1/files", data={"purpose": "vision"}, files={"file": ("x.png", PIXEL)}).json()["id"]
    (server.data / "files" / kept).unlink()
    body = {"prompt": "w" * 300, "size": "64x64", "seconds": "0.5", "anchors": [{"file_id": kept}]}
    assert server.post("/v1/videos", json=body).status_code == 400  # the file is gone before the job is taken
    long = server.post("/v1/videos", json={**body, "anchors": []}).json()["id"]
    server.wait(long)
    page.click("#language")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hant")
    page.fill("#prompt", "一個紅球在草地上")
    expect(page.locator("#understood")).to_contain_text("紅")
    page.locator("#prompt").focus()
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id"))
    assert {"generate", "move", "size", "seconds"} <= seen
    page.click("#theme")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing runs out of a phone's side"
