"""The page of a review in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from replay.review.groups import grouped
from replay.review.page import page
from replay.review.stories import Run, told
from tests.support.chromium import Chromium
from tests.support.reviews import found, history, wrong

pytestmark = pytest.mark.slow

HOSTILE = "<script>document.title = 'broken'</script><img src=x onerror=\"document.title = 'broken'\">"
MEASURE = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script>"
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


def document(text: str) -> dict[str, Any]:
    """Return a review of some false alarms, told in `text`."""
    alarm = found(1, 0, reason=text, features={"slack_hours": -3.0, "lane": text, "a_feature_of_a_long_name": 1.0})
    subjects = [
        wrong(finding=alarm, what=text, traits={"category": text}, entity=f"order:{n}", error=1 - n / 10)
        for n in range(1, 5)
    ]
    groups = grouped(subjects, [{"category": text}, *[{"category": "other"}] * 9])
    told_groups = [told(group, Run([alarm], [], []), {"order:1": history()}) for group in groups]
    return {"recording": "shop", "truth": "Judged.", "counts": {"false alarms": 4}, "groups": told_groups}


def written(folder: Path, text: str) -> Path:
    path = folder / "review.html"
    path.write_text(text, encoding="utf-8")
    return path


def title_of(dom: str) -> str:
    return str(re.findall(r"<title>([^<]*)</title>", dom)[0])


def test_text_of_events_is_seen_and_does_nothing(chromium: Chromium, tmp_path: Path) -> None:
    # Even without its policy the page runs nothing: all text is escaped.
    text = POLICY.sub("", page(document(HOSTILE)))
    dom = chromium.dom(written(tmp_path, text))
    assert title_of(dom) == "Review of shop"
    assert "<img" not in dom
    assert "<script" not in dom
    assert "&lt;script&gt;" in dom


def test_policy_of_the_page_forbids_what_should_ever_slip_in(chromium: Chromium, tmp_path: Path) -> None:
    text = page(document("well")).replace("</body>", f"{HOSTILE}</body>")
    assert title_of(chromium.dom(written(tmp_path, text))) == "Review of shop"
    # The same without the policy runs: this test can fail.
    assert title_of(chromium.dom(written(tmp_path, POLICY.sub("", text)))) == "broken"


@pytest.mark.parametrize("width", [360, 1000])
def test_page_fits_a_telephone_and_a_desk(chromium: Chromium, tmp_path: Path, width: int) -> None:
    text = POLICY.sub("", page(document(f"An order of a long name {'x' * 300}.")))
    dom = chromium.dom(written(tmp_path, text.replace("</body>", f"{MEASURE}</body>")), width)
    wide, of = map(int, title_of(dom).split(" of "))
    assert wide <= of
    image = chromium.shot(written(tmp_path, page(document("well"))), tmp_path / "page.png", width)
    assert image.startswith(b"\x89PNG")
    assert len(image) > 10_000
