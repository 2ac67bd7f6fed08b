"""The style sheet: on a phone, in the dark, on paper."""

STYLE = """
:root{--ink:#0f172a;--soft:#64748b;--line:#e2e8f0;--paper:#fff;--tint:#f8fafc;--good:#047857;--bad:#b91c1c}
@media (prefers-color-scheme:dark){:root{--ink:#e2e8f0;--soft:#94a3b8;--line:#334155;--paper:#0f172a;--tint:#1e293b;
--good:#34d399;--bad:#f87171}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:1160px;margin:0 auto;padding:16px}
h1{font-size:1.5rem;margin:.4em 0}h2{font-size:1.3rem;border-top:2px solid var(--line);padding-top:1em}
h3{margin:1.6em 0 .4em}h3 small{color:var(--soft);font-weight:400}h4{margin:0;font-size:1rem}
nav a{margin-right:1em;color:inherit}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:16px}
figure{margin:0;padding:12px;border:1px solid var(--line);border-radius:8px;min-width:0;break-inside:avoid}
.plot{min-height:160px;width:100%}
figcaption,.note{color:var(--soft);font-size:.85rem}
.verdict{font-size:1.15rem;font-weight:600;border-left:4px solid #2563eb;padding-left:.7em}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:.4em 0 1em;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.25em .7em;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper);
white-space:normal;min-width:10em}
pre{background:var(--tint);padding:12px;overflow-x:auto;font-size:.8rem}
summary{cursor:pointer}
td.good{color:var(--good);font-weight:600}td.bad,.missing b{color:var(--bad);font-weight:600}
.findings{padding:0;list-style:none}
.findings li{margin:.5em 0;padding:.5em .8em;border:1px solid var(--line);border-radius:8px}
.weight{float:right;margin-left:1em;color:var(--soft);font-variant-numeric:tabular-nums}
code{background:var(--tint);padding:.1em .3em;border-radius:4px;font-size:.9em}
.down{display:none}
@media screen and (max-width:640px){.across{display:none}.down{display:block}
th,td{padding:.25em .45em}th:first-child,td:first-child{min-width:6.5em}}
.graph{display:block;width:100%;max-width:900px;font:13px system-ui,sans-serif}
.graph rect{fill:var(--tint);stroke:var(--soft)}.graph .trunk rect{stroke:#2563eb;stroke-width:2}
.graph text{text-anchor:middle;fill:var(--ink)}.graph .small{font-size:11px;fill:var(--soft)}
.graph path{fill:none;stroke:var(--soft)}.graph path.stop{stroke-dasharray:5 4}
.graph marker path{fill:var(--soft);stroke:none}
.paper main{width:680px;padding:0}.paper .grid{grid-template-columns:1fr 1fr}
@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--tint:#fff;
--good:#000;--bad:#000}
details{display:none}html,body{font-size:11px}h2,h3{break-after:avoid}tr{break-inside:avoid}
th:first-child,td:first-child{position:static}}
"""
