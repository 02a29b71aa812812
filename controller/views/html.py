"""HTML that needs nothing from elsewhere: the style of every page and chart, and a page that is one file."""

from __future__ import annotations

from html import escape

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#64748b;--rule:#d7dde5;--paper:#fff;
--canary:#c2570c;--primary:#2563a8;--good:#15803d;--bad:#b91c1c}
@media(prefers-color-scheme:dark){:root{--ink:#e5e9f0;--soft:#94a3b8;--rule:#374151;--paper:#14181f;
--canary:#f59e4a;--primary:#6ab0f3;--good:#4ade80;--bad:#f87171}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1180px;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2.2rem}h3{font-size:1rem;margin:1rem 0 .2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--rule);
vertical-align:top}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:1rem}
figure{margin:0}figcaption{color:var(--soft);font-size:.85rem}svg{width:100%;height:auto}
svg text{font-size:11px;fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:var(--rule)}path{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
circle{fill:currentColor}g.canary{color:var(--canary)}g.primary{color:var(--primary)}g.bad{color:var(--bad)}
g.good{color:var(--good)}g.weight{color:var(--soft)}.level{stroke-dasharray:5 4;stroke-width:1.5}
.level.bad{stroke:var(--bad)}.level.good{stroke:var(--good)}
.key{margin-right:1rem}.key::before{content:"";display:inline-block;width:1rem;height:.2rem;margin-right:.35rem;
vertical-align:middle;background:currentColor}.key.canary::before{background:var(--canary)}
.key.primary::before{background:var(--primary)}.key.bad::before{background:var(--bad)}
.key.good::before{background:var(--good)}.promoted{color:var(--good)}.harm,.threshold{color:var(--bad)}
ul{color:var(--soft)}
"""


def standalone(title: str, body: str) -> str:
    """A page in one file. ``title`` is text, ``body`` is HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def figure(caption: str, drawing: str, key: str = "") -> str:
    """A chart with a caption, which is text, and a legend below."""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawing}<div>{key}</div></figure>"
