"""The studio in a real browser: what a clip will cost, drop an image, generate, cancel one, extend a result backward, read its label.

And the page of grid studies: pick a network, run, and watch its map.
"""

from __future__ import annotations

import base64
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from gridding import ensemble, five_buses, write_net
from serving import FAST, Server

ZONE = ZoneInfo("Asia/Taipei")  # of the browser: what it sends as "ready by" is local time, and not this machine's
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
        page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US", timezone_id=ZONE.key)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto(server.url)
        yield page
        browser.close()
        assert not faults


def finished(server: Server) -> list[str]:
    return [v["id"] for v in server.get("/v1/videos?limit=100").json()["data"] if v["status"] == "completed"]


def local(at_s: float) -> str:
    """As a field for date and time holds it."""
    return datetime.fromtimestamp(at_s, ZONE).strftime("%Y-%m-%dT%H:%M")


def in_two_hours_s() -> int:
    return int(time.time() // 60 + 120) * 60


def test_a_day_in_the_studio(page: Page, server: Server, photo: Path) -> None:
    page.fill("#prompt", "a red ball bounces on sand at dusk with a flumph")
    expect(page.locator("#understood")).to_contain_text("red")
    expect(page.locator("#not-understood")).to_contain_text("flumph")
    page.fill("#seconds", "1")
    page.fill("#size", "64x64")
    box = page.locator("#timeline").bounding_box()
    page.evaluate(DROP, [box, base64.b64encode(photo.read_bytes()).decode(), "photo.png"])
    expect(page.locator("#timeline .anchor")).to_have_count(1)
    before = finished(server)
    expect(page.locator("#predicted .unit")).to_have_text(re.compile("Wh$"))  # before anything is spent
    page.locator(".composer details.advanced summary").click()
    page.fill("#budget_gco2e", "5")
    deadline = in_two_hours_s()
    page.fill("#deadline", local(deadline))
    page.click("#generate")
    expect(page.locator(".toast")).to_contain_text("the deadline changes nothing")  # no hourly intensities here, and the server says so
    end = time.monotonic() + 60
    while not (new := [id for id in finished(server) if id not in before]) and time.monotonic() < end:
        time.sleep(0.2)
    assert len(new) == 1
    expect(page.locator(f'#gallery .clip[data-id="{new[0]}"]')).to_be_visible(timeout=20_000)
    made = server.get(f"/v1/videos/{new[0]}").json()
    assert made["prompt"].startswith("a red ball")
    assert (made["budget_gco2e"], made["deadline"]) == (5.0, deadline)
    label = server.get(f"/v1/videos/{new[0]}/label").json()
    assert [a["at"] for a in label["shot"]["anchors"]] == ["end"]

    # One that would take long is cancelled.
    page.fill("#budget_gco2e", "")
    page.fill("#deadline", "")
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
    page.fill("#adds", "0.5")
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
    label = server.get(f"/v1/videos/{past[0]}/label").json()
    expect(page.locator("#label .grade")).to_have_text(label["figures"]["class"])
    expect(page.locator("#label .verdict")).to_have_attribute("data-state", "good" if label["verdict"]["clean"] else "open")
    expect(page.locator("#label .verdict li")).to_have_text(label["verdict"]["sentences"])
    expect(page.locator("#label .phases")).to_contain_text("paid once")
    drawn = page.locator("#label .drawn-label")
    expect(drawn).to_have_attribute("alt", re.compile(f"class {label['figures']['class']}; .*Wh"))
    expect(drawn).to_have_js_property("naturalWidth", 420)
    for kind, begins in (("svg", b"<svg"), ("png", b"\x89PNG")):
        with page.expect_download() as saved:
            page.locator(f"#label .save-{kind}").click()
        assert saved.value.suggested_filename == f"kinowatt-{past[0]}-label.{kind}"
        assert Path(saved.value.path()).read_bytes().startswith(begins)


def test_what_it_will_cost(page: Page, server: Server) -> None:
    """The server's answers are altered here: a guess, then a history; a job that waits; a label with everything in it."""
    id = server.post("/v1/videos", json={"prompt": "a red ball", **FAST}).json()["id"]
    made = server.wait(id)
    begins, deadline, clips = time.time() + 3600, in_two_hours_s(), [0]
    sent: list[dict[str, object]] = []

    def plan(route: Route) -> None:
        told = (answer := route.fetch()).json()
        told["predicted"] |= {"Wh": 0.0024, "p10_Wh": 0.0012, "p90_Wh": 0.0046, "seconds": 7.0, "clips": clips[0]}
        told["warnings"] = ["for the budget of 2 mWh: 8 steps"] if clips[0] else []
        route.fulfill(response=answer, json=told)

    def create(route: Route) -> None:
        if route.request.method != "POST":
            return route.fallback()
        sent.append(dict(route.request.post_data_json or {}))
        job = {**made, "id": "video_waits", "status": "queued", "energy": None, "not_before": begins, "deadline": deadline}
        return route.fulfill(json=job)

    def label(route: Route) -> None:
        told = (answer := route.fetch()).json()
        told["energy"] |= {"gpu_J": 36.0, "not_measured": {"dram_J": "no counter"}, "pue": 1.18, "embodied_gCO2e": 0.0008}
        told["verdict"] |= {"clean": False, "intact": False, "footage": "changed", "sentences": ["the footage was changed"]}
        route.fulfill(response=answer, json=told)

    page.route("**/v1/videos/plan", plan)
    page.route("**/v1/videos", create)
    page.route("**/v1/videos/*/label", label)
    page.fill("#prompt", "a red ball")
    expect(page.locator("#predicted .value")).to_have_text("2.40")
    expect(page.locator("#predicted")).to_contain_text("1.20 to 4.60 mWh")
    expect(page.locator("#predicted .basis")).to_contain_text("guess")
    expect(page.locator("#predicted .grams")).to_have_text(re.compile("CO₂e$"))
    page.locator(".composer details.advanced summary").click()
    page.fill("#budget_gco2e", "0.5")
    expect(page.locator("#notes")).to_contain_text("applied when the clip begins")
    clips[0] = 5
    page.fill("#cache", "2")
    expect(page.locator("#predicted .basis")).to_contain_text("5 clips")
    expect(page.locator("#notes")).to_have_text("for the budget of 2 mWh: 8 steps")
    page.fill("#deadline", local(time.time() - 3600))
    expect(page.locator("#deadline-said")).to_contain_text("passed")
    page.fill("#deadline", local(deadline))
    page.click("#generate")
    waits = page.locator('#queue .job[data-id="video_waits"] .state')
    expect(waits).to_contain_text("waits for greener electricity until")
    expect(waits).to_contain_text(local(begins)[-5:])
    assert (sent[0]["budget_gco2e"], sent[0]["deadline"], sent[0]["cache"]) == (0.5, deadline, 2)

    page.evaluate("""localStorage.setItem("kinowatt.key", '"any"')""")  # with a key, pictures are fetched and shown from memory
    page.locator(f'#gallery .clip[data-id="{id}"] .screen').click()
    expect(page.locator("#viewer .bill-grade .grade")).to_have_text(re.compile("^[A-G]$"))
    page.locator("#viewer .show-label").click()
    expect(page.locator("#label .drawn-label")).to_have_attribute("src", re.compile("^blob:"))
    expect(page.locator("#label .drawn-label")).to_have_js_property("naturalWidth", 420)
    expect(page.locator("#label .verdict")).to_have_attribute("data-state", "bad")
    for said in ("Changed", "not measured", "no counter", "1.18", "0.800 mg CO₂e", "measured, in part modelled"):
        expect(page.locator("#label")).to_contain_text(said)
    page.keyboard.press("Escape")
    page.click("#language")
    expect(waits).to_contain_text("等候較乾淨的電力")
    expect(page.locator("#predicted .basis")).to_contain_text("5 支影片")


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


def pick_and_run(page: Page, home: Path) -> None:
    """Five buses and their weather are uploaded; PV grows to eleven times what stands."""
    day = ensemble(4)
    noon = slice(10, 13)  # little to compute, and sun in all of it
    replace(day, values_MTCHW=day.values_MTCHW[:, noon], times=day.times[noon]).to_netcdf(home / "sky.nc")
    page.click(".pages a[data-page=grid]")
    expect(page.locator("#grid-network optgroup").first).to_be_attached(timeout=60_000)  # SimBench is asked by another process
    page.set_input_files("#grid-files", write_net(five_buses(), home / "five.json"))
    expect(page.locator("#grid-network")).to_have_value(re.compile("^file:"))
    page.set_input_files("#weather-files", home / "sky.nc")
    expect(page.locator("#grid-weather")).to_have_value(re.compile("^file:"))
    expect(page.locator("#grid-place")).not_to_be_checked()
    page.fill("#grid-most", "11")
    expect(page.locator("#grid-most-said")).to_have_text("× 11, 11 steps")
    for field, value in (("scenarios", "4"), ("horizon", "3"), ("placements", "2"), ("risk", "1")):
        page.fill(f"#grid-{field}", value)
    page.click("#study-run")


def test_a_study_in_the_studio(page: Page, server: Server, tmp_path: Path) -> None:
    pick_and_run(page, tmp_path)
    expect(page).to_have_url(re.compile("#grid/study_"))
    progress = page.locator(".study-progress [role=progressbar]")
    expect(progress).to_be_visible(timeout=20_000)
    lines = page.locator(".network-map .element")
    expect(lines).to_have_count(5, timeout=120_000)  # the map is there before the study has ended: four lines and the transformer
    expect(page.locator(".found .capacity b")).to_have_text(re.compile(r"^\d+(\.\d+)? MW$"), timeout=180_000)
    expect(progress).to_be_hidden()
    id = page.url.rsplit("/", 1)[-1]
    summary = server.get(f"/v1/studies/{id}/summary").json()
    row = summary["hosting_capacity"][0]
    expect(page.locator(".found .limit b")).to_have_text(next(iter(row["limiting"])))
    expect(page.locator(".found .energy b")).to_have_text(re.compile("Wh$"))
    growth, risk = summary["map"]["growth"], summary["weathers"]["field"]["risk"]
    expect(page.locator(".growth-said b")).to_contain_text(f"× {growth:g}")  # at first the growth beyond the hosting capacity

    # The slider goes through the growths, the buttons through the weathers; what is pointed at is named.
    slider = page.locator("#map-growth")
    slider.press("End")
    expect(page.locator(".growth-said span")).to_have_text(f"{float(f'{100 * risk[-1]:.3g}'):g} % of steps with a violation")
    drawn = server.get(f"/v1/studies/{id}/map").json()
    share, worst = max(zip(drawn["weathers"]["field"]["elements"][-1], (e["name"] for e in drawn["elements"]), strict=True))
    first = page.locator(".worst-row").first
    expect(first).to_contain_text(worst)
    expect(first).to_contain_text(f"{float(f'{100 * share:.3g}'):g} %")
    expect(page.locator(".element.p3, .element.p4, .element.p5").first).to_be_visible()
    slider.press("Home")
    expect(page.locator(".worst")).to_contain_text("Nothing is above its limit")
    slider.press("End")
    page.locator(".hits .point").hover(force=True)
    expect(page.locator(".tip")).to_contain_text("T")
    expect(page.locator(".tip")).to_contain_text(re.compile("of steps|never"))
    page.locator('.choice.small input[value="pixel"]').check()
    pixel = summary["weathers"]["pixel"]["risk"][-1]
    expect(page.locator(".growth-said span")).to_contain_text(f"{float(f'{100 * pixel:.3g}'):g} %")

    with page.expect_popup() as opened:
        page.locator(".files-card .report").click()
    expect(opened.value.locator("h1")).to_have_text("Grid study: five")
    assert opened.value.evaluate("getComputedStyle(document.querySelector('.card')).borderTopWidth") == "1px", (
        "its own style is let through"
    )
    opened.value.close()
    with page.expect_download() as saved:
        page.locator('.files-card a[href$="study.zip"]').click()
    assert Path(saved.value.path()).read_bytes()[:2] == b"PK"

    page.click("#language")
    expect(page.locator("#map-title")).to_have_text("哪裡會超過限制")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing runs out of a phone's side"
    page.locator(".study-delete").click()
    page.locator(".study-delete").click()
    expect(page.locator(".study-empty")).to_be_visible()
    assert server.get(f"/v1/studies/{id}").status_code == 404


def test_a_server_without_grids(page: Page) -> None:
    why = "grid studies need pandapower, which is not installed on this server; its host adds it with kinowatt[grid]"
    told = {
        "object": "study.options",
        "available": False,
        "why": why,
        "ready": True,
        "networks": [],
        "weathers": [{"id": "world"}],
        "uploads": {},
    }
    page.route("**/v1/studies/options", lambda route: route.fulfill(json=told))
    page.click(".pages a[data-page=grid]")
    expect(page.locator("#study-missing")).to_have_text(why)
    expect(page.locator("#study-run")).to_be_disabled()
    page.click(".pages a[data-page=film]")
    expect(page.locator("#prompt")).to_be_visible()
