"""How the page looks, and the few lines that draw its figures."""

STYLE = """
:root{--ink:#0f172a;--soft:#64748b;--line:#e2e8f0;--paper:#fff;--tint:#f8fafc}
@media (prefers-color-scheme:dark){:root{--ink:#e2e8f0;--soft:#94a3b8;--line:#334155;--paper:#0f172a;--tint:#1e293b}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1160px;margin:0 auto;padding:16px}
h1{font-size:1.5rem;margin:.4em 0}h2{font-size:1.3rem;border-top:2px solid var(--line);padding-top:1em}
h3{margin:1.6em 0 .4em}h3 small{color:var(--soft);font-weight:400}h4{margin:0;font-size:1rem}
nav a{margin-right:1em;color:inherit}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:16px}
figure{margin:0;padding:12px;border:1px solid var(--line);border-radius:8px;min-width:0;break-inside:avoid}
.plot{min-height:280px;width:100%}
figcaption,.note{color:var(--soft);font-size:.85rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:.4em 0 1em;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.25em .7em;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
pre{background:var(--tint);padding:12px;overflow-x:auto;font-size:.8rem}
summary{cursor:pointer}
.graph{display:block;width:100%;max-width:900px;font:13px system-ui,sans-serif}
.graph rect{fill:var(--tint);stroke:var(--soft)}.graph .trunk rect{stroke:#2563eb;stroke-width:2}
.graph text{text-anchor:middle;fill:var(--ink)}.graph .small{font-size:11px;fill:var(--soft)}
.graph path{fill:none;stroke:var(--soft)}.graph path.stop{stroke-dasharray:5 4}
.graph marker path{fill:var(--soft);stroke:none}
@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--tint:#fff}.grid{grid-template-columns:1fr 1fr}
details{display:none}body{font-size:11px}}
"""

SCRIPT = """
const figures=JSON.parse(document.getElementById('figures').textContent);
const css=name=>getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const axis=given=>{const a=Object.assign({automargin:true,gridcolor:css('--line'),zerolinecolor:css('--line')},given);
if(typeof a.title==='string')a.title={text:a.title};return a};
const draw=place=>{const {traces,layout}=figures[place.dataset.figure];
const narrow=place.clientWidth<420;
const many=traces.filter(t=>t.name).length;
Plotly.newPlot(place,traces,Object.assign({margin:{l:48,r:12,t:many>1?36:8,b:40},height:many>6?340:300,font:{size:narrow?10:12,color:css('--ink')},
paper_bgcolor:'rgba(0,0,0,0)',plot_bgcolor:'rgba(0,0,0,0)',hovermode:'closest',
legend:{orientation:'h',y:1.02,yanchor:'bottom',x:0},showlegend:many>1},layout,{xaxis:axis(layout.xaxis),yaxis:axis(layout.yaxis)}),
{responsive:true,displayModeBar:false})};
const places=[...document.querySelectorAll('.plot')];
places.forEach(draw);
addEventListener('beforeprint',()=>places.forEach(place=>Plotly.Plots.resize(place)));
"""
