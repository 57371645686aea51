"""A review as one HTML page: no scripts, nothing from elsewhere, and whatever comes from events is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from replay.review.wrong import Row

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --false: #b45309; --missed: #b91c1c; --late: #7c3aed }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.5rem; line-height: 1.2 } h2 { font-size: 1.1rem; margin: 0 }
h3 { font-size: 1rem; margin: 1rem 0 .3rem }
p { margin: .3rem 0 } .soft { opacity: .75 }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; list-style: none }
.counts li { border: 1px solid var(--line); border-radius: .5rem; padding: .3rem .7rem }
.counts b { font-size: 1.2rem; margin-right: .4rem }
details { border: 1px solid var(--line); border-left: .35rem solid var(--missed); border-radius: .5rem }
details { margin: .7rem 0 }
details.false { border-left-color: var(--false) } details.late { border-left-color: var(--late) }
summary { padding: .7rem 1rem; cursor: pointer } summary h2 { display: inline }
.body { padding: 0 1rem 1rem; overflow-wrap: anywhere }
ol { list-style: none; padding: 0; margin: 0; border-left: 2px solid var(--line) }
ol li { padding: .2rem 0 .2rem .8rem } ol time { display: block; font-size: .8rem; opacity: .75 }
li.agent, li.decision { background: var(--soft) } li.truth { font-weight: 600 }
.who { font-size: .75rem; text-transform: uppercase; letter-spacing: .05em; opacity: .75 }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .1rem 1rem; margin: 0 }
dt { opacity: .75 } dd { margin: 0; overflow-wrap: anywhere }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr } dd { margin-bottom: .3rem } body { padding: .6rem } }
@media print { details > .body { display: block } }
"""
CLASSES = {"false alarm": "false", "missed": "missed", "found too late": "late", "wrong service": "late"}


def page(document: Row) -> str:
    """Return the page of a review as `dataflows.cli.review` makes it."""
    stories = "\n".join(_story(number, group) for number, group in enumerate(document["groups"], 1))
    empty = "" if document["groups"] else "<p>Nothing was wrong.</p>"
    counts = "".join(f"<li><b>{_text(count)}</b>{_text(name)}</li>" for name, count in document["counts"].items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'">
<meta name="referrer" content="no-referrer">
<title>Review of {_text(document["recording"])}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>What was wrong: {_text(document["recording"])}</h1>
<p>{_text(document["truth"])} Like ones are told once; those that teach most stand first.</p>
<ul class="counts">{counts}</ul>
<main>
{empty}{stories}
</main>
</body>
</html>
"""


def _story(number: int, group: Row) -> str:
    story = group["story"]
    many = "" if group["count"] == 1 else f" <b>{_text(group['count'])} times</b>"
    opened = " open" if number == 1 else ""
    parts = [f"<p>{_text(story['truth'])}</p>"]
    if group["common"]:
        parts.append("<h3>What they have in common</h3><ul>")
        parts += [f"<li>{_text(common_words(each, group['count']))}</li>" for each in group["common"]]
        parts.append("</ul>")
    parts.append(f"<h3>{_text(story['entity'])}</h3>")
    parts.append(f"<ol>{''.join(map(_moment, story['timeline']))}</ol>")
    if story["thought"] is not None:
        parts.append(_thought(story["thought"]))
    if story["traits"]:
        parts.append(f"<h3>What it was like</h3>{_pairs(story['traits'])}")
    if group["others"]:
        parts.append(f"<h3>Others like it</h3><p class=soft>{_text(', '.join(group['others']))}</p>")
    return (
        f'<details class="{CLASSES[group["verdict"]]}"{opened}><summary><h2>{number}. {_text(title(group))}</h2>{many}'
        f"<br><span class=soft>weight {_text(group['weight'])}</span></summary>"
        f'<div class="body">{"".join(parts)}</div></details>'
    )


def title(group: Row) -> str:
    """Return a group in a few words."""
    return f"{group['verdict'].capitalize()}: {group['kind']}, {group['like']}"


def common_words(common: Row, count: int) -> str:
    """Return what stands out in a group, in words."""
    return (
        f"{common['name']}: {common['value']} in {common['count']} of {count} "
        f"({common['count'] / count:.0%}; {common['elsewhere']:.0%} elsewhere)"
    )


def _moment(moment: Row) -> str:
    who, at = _text(moment["who"]), _text(moment["at"][:16].replace("T", " "))
    return f'<li class="{who}"><time>{at}</time><span class=who>{who}</span> {_text(moment["says"])}</li>'


def _thought(thought: Row) -> str:
    said = f"{thought['agent']}: {thought['kind']}, {thought['severity']}, confidence {thought['confidence']}"
    return f"<h3>What the agent thought</h3><p>{_text(said)}</p>{_pairs(thought['features'])}"


def _pairs(values: Row) -> str:
    return (
        "<dl>" + "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in values.items()) + "</dl>"
    )


def _text(value: Any) -> str:
    """Return a value as text that no browser takes for anything else; what cannot be seen is written out."""
    text = "unknown" if value is None else str(value)
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text), quote=True)
