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
.wide{overflow-x:auto}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:1rem}
figure{margin:0}figcaption{color:var(--soft);font-size:.85rem}svg{width:100%;height:auto}
svg text{font-size:11px;fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:var(--rule)}path{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
circle{fill:currentColor}g.canary{color:var(--canary)}g.primary{color:var(--primary)}g.bad{color:var(--bad)}
g.good{color:var(--good)}g.weight{color:var(--soft)}.level{stroke-dasharray:5 4;stroke-width:1.5}
.zone{opacity:.13}.zone.bad{fill:var(--bad)}.band{fill:var(--canary);opacity:.25}.band rect{stroke:none}
.level.bad{stroke:var(--bad)}.level.good{stroke:var(--good)}
.key{margin-right:1rem}.key::before{content:"";display:inline-block;width:1rem;height:.2rem;margin-right:.35rem;
vertical-align:middle;background:currentColor}.key.canary::before{background:var(--canary)}
.key.primary::before{background:var(--primary)}.key.bad::before{background:var(--bad)}
.key.good::before{background:var(--good)}.promoted{color:var(--good)}.harm,.threshold{color:var(--bad)}
ul{color:var(--soft)}
"""


PAGE_STYLE = """
body{margin:0 auto 2rem;max-width:1800px}header,nav,form{display:flex;flex-wrap:wrap;gap:.6rem 1rem;align-items:center}
header{padding:.7rem 0;border-bottom:1px solid var(--rule)}header h1{margin:0;font-size:1.15rem;overflow-wrap:anywhere}
a{color:var(--primary)}
select{max-width:13rem}input{max-width:100%}:focus-visible{outline:2px solid var(--primary);outline-offset:2px}
input,select,button{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--soft);border-radius:.3rem;
padding:.25rem .6rem}button{cursor:pointer}button:disabled{color:var(--soft);border-color:var(--rule);cursor:default}
.note,.soft{color:var(--soft);font-size:.9rem}.cards{display:grid;gap:.7rem;padding:0;list-style:none;
grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr))}
.card{border:1px solid var(--rule);border-left:.35rem solid var(--soft);border-radius:.3rem;padding:.5rem .8rem}
.card p{margin:.3rem 0;overflow-wrap:anywhere}.card h2{margin:0;font-size:1rem;overflow-wrap:anywhere}
.card.person{border-left-color:var(--bad)}.card.under-way{border-left-color:var(--canary)}
.card.at-rest{border-left-color:var(--good)}.tag{white-space:nowrap;font-weight:600}
.person .tag,.tag.person{color:var(--bad)}.under-way .tag,.tag.under-way{color:var(--canary)}
.at-rest .tag,.tag.at-rest{color:var(--good)}svg.bar{height:.6rem;width:100%}.bar .all{fill:var(--rule)}
.bar .set{fill:var(--canary)}.bar .seen{fill:var(--ink)}
svg.spark{height:1.5rem;width:100%}.spark polyline{fill:none;stroke:var(--canary);stroke-width:1.5}
.lead{font-size:1.1rem;overflow-wrap:anywhere}.ladder{display:flex;flex-wrap:wrap;gap:.3rem;padding:0;list-style:none}
.ladder li{border:1px solid var(--rule);border-radius:.3rem;padding:.1rem .5rem}.ladder .done{color:var(--good)}
.ladder .now{border-color:var(--canary);color:var(--canary);font-weight:600}.ladder .ahead{color:var(--soft)}
.ladder .failed{color:var(--bad);border-color:var(--bad)}
.columns{display:grid;gap:0 2rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr))}
section{min-width:0;overflow-x:auto}section h2{margin:1.2rem 0 .3rem}td{overflow-wrap:anywhere}
.sides{display:grid;gap:0 1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,230px),1fr))}
.pods{list-style:none;padding:0;margin:0;overflow-wrap:anywhere}.good{color:var(--good)}.bad{color:var(--bad)}
.whole{white-space:nowrap}.actions{list-style:none;padding:0}.actions li{margin:.35rem 0;display:grid;
grid-template-columns:8.2rem 1fr;gap:.7rem;align-items:center}.refused,.away{color:var(--bad)}[hidden]{display:none}
"""


def served(title: str, body: str, *, live: str = "") -> str:
    """A page that the controller serves, with its style and its script beside it, and a source of news.

    Args:
        title: text.
        body: HTML; elements with an id are replaced as they change.
        live: the path of the server-sent events; empty: it does not change.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="/style.css"><script src="/page.js" defer></script></head>'
        f'<body data-live="{escape(live)}">{body}</body></html>\n'
    )


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
