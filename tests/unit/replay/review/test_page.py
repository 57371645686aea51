from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from replay.review.groups import grouped
from replay.review.page import page
from replay.review.stories import Run, told
from tests.support.reviews import found, history, wrong

HEAD = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3"}
TAGS = HEAD | {"p", "ul", "ol", "li", "b", "br", "details", "summary", "span", "div", "time", "dl", "dt", "dd"}


def document(text: str) -> dict[str, Any]:
    """Return a review in which every word that comes from events is `text`."""
    alarm = found(1, 0, reason=text, features={text: text}, agent=text, kind=text)
    subject = wrong(finding=alarm, what=text, kind=text, like=text, traits={text: text}, entity=f"order:{text}")
    more = [wrong(entity=f"order:{n}", kind=text, like=text, traits={text: text}, error=0.1) for n in range(3)]
    group = grouped([subject, *more], [{text: text}, {text: "other"}, {text: "other"}])[0]
    group_told = told(group, Run([alarm], [], []), {subject.entity: history()})
    return {"recording": text, "truth": text, "counts": {text: 1}, "groups": [group_told]}


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(text: str) -> Seen:
    parser = Seen()
    parser.feed(page(document(text)))
    parser.close()
    return parser


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><b>",
    "&lt;i&gt;",
    "\u202egnp\x00",
    "'",
]


@given(st.sampled_from(HOSTILE) | st.text(min_size=1))
def test_text_of_events_is_shown_and_never_obeyed(text: str) -> None:
    plain, hostile = seen("plain"), seen(text)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert [attributes for _, attributes in hostile.tags] == [attributes for _, attributes in plain.tags]
    if text.isprintable() and text.strip() == text:
        assert text in hostile.text


def test_page_needs_nothing_else_and_runs_nothing() -> None:
    found_on_page = seen("plain")
    assert {tag for tag, _ in found_on_page.tags} <= TAGS
    names = {name for _, attributes in found_on_page.tags for name in attributes}
    assert names <= {"lang", "charset", "name", "content", "http-equiv", "class", "open"}
    text = page(document("plain"))
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text


def test_page_without_wrongs_says_so() -> None:
    assert "Nothing was wrong." in page({"recording": "r", "truth": "t", "counts": {}, "groups": []})
