"""Drives the page in a real chromium. Arguments: a scenario, the browser's path, the page's address, perhaps a file.

Each prints what it saw, as JSON: `complaints` of the browser, `findings` of axe-core, and what its test compares.
"""

import json
import sys
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

DEPTH = "To what depth may the pump be submerged?"
DEEP = "To what depth in metres may the pump be submerged?"
UNSURE = "How old is the pump?"
PHONE: Any = {"width": 380, "height": 760}


def asked_by_keyboard(tab: Any, _file: str) -> dict[str, Any]:
    tab.wait_for_function("document.activeElement?.id === 'q'")  # the page's own doing, a moment after it is loaded
    tab.keyboard.type(DEPTH)
    tab.keyboard.press("Enter")
    tab.locator("#found .answer", has_text="12 metres").wait_for()
    seen = {"address": tab.url, "findings": findings(tab)}
    tab.locator("#found a.place").focus()
    tab.keyboard.press("Enter")
    tab.locator("#viewer mark", has_text="12 metres").wait_for()
    seen["document"] = tab.locator("#viewer h2").inner_text()
    seen["findings"] += findings(tab)
    tab.keyboard.press("Escape")
    seen["open"] = tab.locator("#viewer").is_visible()
    return seen


def going_back(tab: Any, _file: str) -> dict[str, Any]:
    for question, expected in ((DEPTH, "12 metres"), (UNSURE, "Not sure")):
        tab.fill("#q", question)
        tab.keyboard.press("Enter")
        tab.locator("#found", has_text=expected).wait_for()
    tab.go_back()
    tab.locator("#found .answer", has_text="12 metres").wait_for()
    return {"question": tab.input_value("#q")}


def file_asked_then_added(tab: Any, file: str) -> dict[str, Any]:
    tab.set_input_files("#file", file)
    tab.fill("#q", "Who built the bridge?")
    tab.click("#chosen-ask")
    tab.locator("#found .answer", has_text="Ada Stone").wait_for()
    seen = {"findings": findings(tab)}
    tab.click("#chosen-add")
    tab.locator("#adding-said", has_text="is added").wait_for()
    tab.locator("#documents", has_text="3 documents").wait_for(state="attached")
    tab.click("#asked-file button")
    tab.click("button.main")
    tab.locator("#found a.place", has_text="characters 24 to 33").wait_for()
    seen["place"] = tab.locator("#found a.place").inner_text()
    return seen


def light_and_dark(tab: Any, _file: str) -> dict[str, Any]:
    seen: dict[str, Any] = {"findings": []}
    tab.fill("#q", UNSURE)
    tab.click("button.main")
    tab.locator("#found", has_text="Not sure").wait_for()
    tab.click("#documents summary")
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        seen["findings"] += findings(tab)
    seen["width"] = tab.evaluate("document.documentElement.scrollWidth")
    return seen


def looked_at_again(tab: Any, _file: str) -> dict[str, Any]:
    held: list[Any] = []
    tab.route(lambda address: "q=" in address and "first=1" not in address, lambda route: held.append(route))
    tab.fill("#q", DEEP)  # which no other test has had the careful reader asked
    tab.keyboard.press("Enter")
    tab.locator("#found", has_text="Looking again, more carefully").wait_for()
    seen: dict[str, Any] = {"first": tab.locator("#found .answer").inner_text(), "findings": findings(tab)}
    while not held:
        tab.wait_for_timeout(10)
    held[0].continue_()
    tab.locator("#found .again").wait_for(state="detached")
    seen["then"] = tab.locator("#found .answer").inner_text()
    seen["findings"] += findings(tab)
    return seen


def refused(tab: Any, file: str) -> dict[str, Any]:
    tab.set_input_files("#file", file)
    tab.click("#chosen-add")
    tab.locator("#token-field").wait_for()
    seen = {"said": tab.locator("#adding-said").inner_text(), "findings": findings(tab)}
    tab.fill("#token-field", "wrong")
    tab.keyboard.press("Enter")
    tab.locator("#documents .problem", has_text="not known").wait_for()
    tab.locator("#token-field").wait_for()
    seen["findings"] += findings(tab)
    seen["cookies"] = tab.context.cookies()
    tab.fill("#q", DEPTH)
    tab.keyboard.press("Enter")
    tab.locator("#found .answer", has_text="12 metres").wait_for()
    return seen


def findings(tab: Any) -> list[str]:
    return [found["id"] for found in Axe().run(tab).response["violations"]]


def main() -> None:
    scenario, program, address, file = (*sys.argv[1:], "")[:4]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport=PHONE)
        complaints: list[str] = []
        tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(address)
        seen = globals()[scenario](tab, file)
        browser.close()
    print(json.dumps({"complaints": complaints, **seen}))


main()
