"""The page in a browser: on a phone's width and on a desk's."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from trunkline.report import read_comparison, read_run
from trunkline.report.insight import find_insight
from trunkline.report.page import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WATCH = """<script>
window.problems=[];onerror=(m)=>problems.push(String(m));console.error=(...m)=>problems.push(m.join(' '));
addEventListener('load',()=>setTimeout(()=>{
const all=(place,what)=>[...place.querySelectorAll(what)],box=one=>one.getBoundingClientRect();
const plots=all(document,'.plot');
const drawn=plots.filter(p=>p.querySelector('.main-svg .trace, .main-svg .point, .main-svg .heatmaplayer image'));
Plotly.Fx.hover(plots[0],[{curveNumber:0,pointNumber:1}]);
const cut=[],met=[];
for(const p of plots){const edge=box(p),name=p.parentElement.querySelector('h4').textContent;
for(const text of all(p,'.xtick text,.ytick text,.legendtext,.xtitle,.ytitle')){const b=box(text);
if(b.left<edge.left-1||b.right>edge.right+1||b.bottom>edge.bottom+1||b.top<edge.top-1)
cut.push(name+': '+text.textContent)}
const labels=all(p,'.ytick text').map(box).sort((a,b)=>a.top-b.top);
if(labels.some((b,i)=>i&&b.top<labels[i-1].bottom-2))met.push(name);
const legend=p.querySelector('.legend'),bars=p.querySelector('.plot .gridlayer, .cartesianlayer .gridlayer');
if(legend&&bars&&box(bars).height&&box(legend).bottom>box(bars).top+6)met.push(name+' legend')}
document.body.setAttribute('data-found',JSON.stringify({problems,plots:plots.length,drawn:drawn.length,cut,met,
hover:all(document,'.hoverlayer .hovertext').length,tags:all(document,'.plot i, .plot b').length,
wide:document.documentElement.scrollWidth-document.documentElement.clientWidth}))},2500))</script>"""


@pytest.fixture(scope="module")
def shown(first_run, first_compared, tmp_path_factory):
    """A comparison, one that lasted for one seed and has long names, and a run with all that is found in it."""
    compared, run = read_comparison(first_compared), read_run(first_run)
    copy = shutil.copytree(first_run, tmp_path_factory.mktemp("browser") / "run")
    networks = [
        replace(one, label=f"{one.label}, network.sharing={{kind: mmoe, experts: {i}, <b>hidden: [64, 32]}}")
        for i, one in enumerate(compared.comparison.networks)
    ]
    long = replace(compared, comparison=replace(compared.comparison, networks=networks))
    return [compared, long, replace(run, insight=find_insight(copy, lambda step: None))]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; the page is not opened")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_draws_every_figure_without_a_word(shown, tmp_path, width):
    text = page(shown)
    assert len(text) < 6_000_000
    # A headless window is not narrower than 500 px: a frame of the width asked for stands in for a phone.
    (tmp_path / "page.html").write_text(text.replace("<head>", f"<head>{WATCH}", 1), encoding="utf-8")
    frame = (
        f'<iframe id="f" src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
        "<script>setInterval(()=>{document.body.setAttribute('data-found',"
        "document.getElementById('f').contentDocument?.body?.getAttribute('data-found'))},500)</script>"
    )
    (tmp_path / "frame.html").write_text(f"<!doctype html><body>{frame}</body>", encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--window-size=1300,950",
    ]
    dumped = subprocess.run(
        [CHROMIUM, *options, "--virtual-time-budget=30000", "--dump-dom", f"file://{tmp_path}/frame.html"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = json.loads(re.search(r'data-found="([^"]*)"', dumped)[1].replace("&quot;", '"').replace("&lt;", "<"))

    assert found["problems"] == []
    assert found["plots"] == found["drawn"] > 35
    assert found["hover"] > 0
    assert found["wide"] <= 0  # nothing to scroll sideways
    assert found["cut"] == []  # no label leaves its figure
    assert found["met"] == []  # no label lies on another, no legend on the picture
    assert found["tags"] == 0  # names are text
