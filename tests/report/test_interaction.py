"""The page in a browser: a click, a key and a selection reach all that is linked; nothing is asked for elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from browsers import Opened, opened
from reports import Written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(written: Written) -> Iterator[Opened]:
    """The example report, with its first plot drawn."""
    with opened(written.page) as found:
        found.page.locator("#explore").scroll_into_view_if_needed()
        found.page.wait_for_selector(".plot .scatterlayer .point", timeout=60000)
        found.page.wait_for_selector("#particle h3:not(:empty)", timeout=60000)
        yield found


def title(browser: Opened) -> str:
    return str(browser.page.inner_text("#particle h3"))


def drawn_rows(browser: Opened) -> int:
    return int(browser.page.locator("#table tbody tr").count())


def centre(locator: Any) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_click_on_a_point_shows_its_particle(browser: Opened) -> None:
    points = browser.page.locator(".plot").first.locator(".scatterlayer .trace").first.locator(".point")
    seen = set()
    for index in range(2):
        browser.page.mouse.click(*centre(points.nth(index)))
        browser.page.wait_for_timeout(100)
        seen.add(title(browser))
    assert len(seen) == 2
    assert all("label" in name for name in seen)
    assert "1 - contact_cbd" in browser.page.inner_text("#particle .row")  # definitions stand beside the numbers
    drawn = "canvas => canvas.toDataURL().length"
    assert browser.page.locator("#particle canvas.sections").evaluate(drawn) > 5000


def test_the_surface_turns_under_the_mouse_and_by_keys(browser: Opened) -> None:
    page, solid = browser.page, browser.page.locator("#particle .solid")
    page.wait_for_selector("#particle .solid canvas", timeout=60000)
    eye = "() => JSON.stringify(document.querySelector('#particle .solid')._fullLayout.scene._scene.getCamera().eye)"
    before = page.evaluate(eye)
    solid.scroll_into_view_if_needed()
    x, y = centre(solid)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 20, steps=4)
    page.mouse.up()
    page.wait_for_function(f"before => ({eye})() !== before", arg=before, timeout=20000)
    turned = page.evaluate(eye)
    solid.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"before => ({eye})() !== before", arg=turned, timeout=20000)
    page.select_option("#particle select", "resistance")
    page.wait_for_function("() => document.querySelector('#particle .scale').textContent.includes('resistance')")


def test_a_selection_holds_in_all_plots_and_in_the_table(browser: Opened) -> None:
    page, everything = browser.page, drawn_rows(browser)
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6, steps=5)
    page.mouse.up()
    page.wait_for_selector("#unselect:not([hidden])")
    page.wait_for_timeout(1000)
    chosen = drawn_rows(browser)
    assert 0 < chosen < everything
    assert f"{chosen} of {everything} particles selected" in page.inner_text("#selected")
    faint = "plots => plots.map(plot => plot.data.flatMap(trace => trace.selectedpoints || []).length)"
    ready = page.locator(".plot.js-plotly-plot").evaluate_all(faint)
    assert len(ready) >= 2
    assert set(ready) == {chosen}
    page.keyboard.press("Escape")
    assert drawn_rows(browser) == everything
    assert page.inner_text("#selected") == ""


def test_keys_walk_through_plot_and_table(browser: Opened) -> None:
    page = browser.page
    page.locator(".plot").first.focus()
    page.keyboard.press("ArrowRight")
    first = title(browser)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert title(browser) != first
    page.locator("#table tbody tr").first.focus()
    page.keyboard.press("Enter")
    one = title(browser)
    page.keyboard.press("ArrowDown")
    assert title(browser) != one
    assert page.locator("#table tr[aria-current]").count() == 1
    page.fill("#filter", "slow-1")
    assert drawn_rows(browser) == 7
    page.click("#select-filtered")
    assert "selected" in page.inner_text("#selected")
    page.click("#unselect")
    page.fill("#filter", "")


def test_slices_are_browsed_and_show_their_particles(browser: Opened) -> None:
    page = browser.page
    page.locator("#browser").scroll_into_view_if_needed()
    page.wait_for_selector("canvas.slice")
    slider = page.locator("#browser input[type=range]")
    slider.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('canvas.slice').getAttribute('aria-label')")
    before = page.get_attribute("canvas.slice", "aria-label")
    slider.focus()
    page.keyboard.press("ArrowRight")
    moved = "before => document.querySelector('canvas.slice').getAttribute('aria-label') !== before"
    page.wait_for_function(moved, arg=before)
    for layer in ("phases", "contact", "resistance", "none", "detachment"):
        page.select_option("#browser select[aria-label=Layer]", layer)
    assert page.locator("canvas.slice").evaluate("canvas => canvas.toDataURL().length") > 5000
    page.locator("#table tbody tr").nth(3).click()
    label = title(browser)
    page.wait_for_timeout(500)
    seen = "canvas => { const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
    seen += " return data.some((value, i) => i % 4 === 0 && value === 255 && data[i + 1] === 235); }"
    assert page.locator("canvas.slice").evaluate(seen)  # the outline of the particle that is shown
    assert label.split(" · ")[1] in page.get_attribute("canvas.slice", "aria-label")


def test_columns_are_sorted(browser: Opened) -> None:
    page = browser.page
    heads = page.locator("#table th").all_inner_texts()
    index = next(i for i, head in enumerate(heads) if head.startswith("volume"))
    page.locator("#table th button").nth(index).click()
    volumes = [float(text) for text in page.locator(f"#table td:nth-child({index + 1})").all_inner_texts()]
    assert volumes == sorted(volumes, reverse=True)


def test_dark_and_light(browser: Opened) -> None:
    page = browser.page
    background = "() => getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.click("#theme")
    assert page.evaluate(background) != "rgb(255, 255, 255)"
    ink = page.evaluate("() => getComputedStyle(document.querySelector('.plot .xtick text')).fill")
    assert min(int(part) for part in ink.strip("rgb()").split(", ")) > 128
    page.click("#theme")


def test_nothing_is_complained_of_or_asked_for(browser: Opened) -> None:
    assert browser.complaints == []
    assert not browser.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    broken = "[...document.images].filter(image => image.complete && !image.naturalWidth).length"
    assert browser.page.evaluate(broken) == 0
