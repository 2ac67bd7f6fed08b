"""The documentation site: it builds without a warning, asks no other server for anything, and tells everything."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from filelock import FileLock

import trunkline
from trunkline import cli
from trunkline.config.section import Section

ROOT = Path(__file__).parents[2]
LOADING = {"src", "srcset", "poster", "data", "action", "background"}
"""Attributes whose address a browser fetches by itself; `href` it fetches of a `<link>` alone."""
THEMES_OWN = {
    "https://unpkg.com/",
    "https://api.github.com/",
    "https://gitlab.com/",
    "https://github.com/",
    "https://giscus.app",
}
"""In the theme's script, for what no page here has: diagrams in mermaid, a repository's stars, comments."""


class Page(HTMLParser):
    """What a page loads, what it links to and what can be linked to in it."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.anchors, self.classes = [], [], set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in LOADING or (name == "href" and tag == "link"):
                self.loads.append(value)
            elif name == "href" and tag == "a":
                self.links.append(value)
            elif name == "style":
                self.loads += re.findall(r"url\(([^)]*)\)", value)
            elif name in ("id", "name"):
                self.anchors.add(value)
            elif name in ("class", "data-md-component"):
                self.classes |= {*(value or "").split()}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; processes that test side by side build it once."""
    beside = os.environ.get("PYTEST_XDIST_WORKER")
    folder = tmp_path_factory.getbasetemp().parent if beside else tmp_path_factory.getbasetemp()
    folder = folder / "site"
    with FileLock(f"{folder}.lock"):
        if not (folder / "index.html").exists():
            build(folder)
    return folder


def build(folder):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode or "WARNING" in done.stderr:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.fail(f"mkdocs build --strict: status {done.returncode}\n{done.stderr}")


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def outside(address):
    return bool(re.match(r"\s*['\"]?(?:[a-z][a-z+.-]*:)?//", address)) and not address.startswith("data:")


def test_no_page_loads_anything_from_another_server(site, pages):
    assert len(pages) > 20
    for name, page in pages.items():
        assert len(page.loads) > 3, name
        assert [address for address in page.loads if outside(address)] == [], name
        assert page.classes.isdisjoint({"mermaid", "source", "comments"}), name


def test_no_style_sheet_does_either(site):
    sheets = [*site.rglob("*.css")]
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        assert "@import" not in text
        assert [address for address in re.findall(r"url\(([^)]*)\)", text) if outside(address)] == []


def test_scripts_know_no_server_but_those_of_what_is_not_used(site):
    called = re.compile(r"""["'`](?:https?:)?//[\w.-]+\.\w+/?[^"'`]*""")
    found = {address[1:] for script in site.rglob("*.js") for address in called.findall(script.read_text("utf-8"))}
    assert found
    strange = {one for one in found if not any(one.startswith(known) for known in THEMES_OWN) and "w3.org" not in one}
    assert strange == set()


def test_what_pages_link_to_is_there(site, pages):
    for name, page in pages.items():
        if name == "404.html":
            continue
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            place, _, anchor = unquote(link).partition("#")
            there = (site / name).parent / place if place else site / name
            assert there.resolve().is_file(), (name, link)
            if anchor and there.suffix == ".html":
                target = pages[there.resolve().relative_to(site.resolve()).as_posix()]
                assert anchor in target.anchors or anchor == "__codelineno", (name, link)


def test_every_public_name_has_its_place(pages):
    anchors = {anchor for name, page in pages.items() if name.startswith("reference/api-") for anchor in page.anchors}
    rooms = {"balance", "sharing", "tasks"}
    assert [name for name in trunkline.__all__ if name not in rooms and f"trunkline.{name}" not in anchors] == []
    assert {"trunkline.tasks.Binary", "trunkline.sharing.MMoE", "trunkline.balance.PCGrad"} <= anchors


def test_every_key_of_the_config_and_every_command_is_told(site):
    config = (site / "reference" / "config.html").read_text(encoding="utf-8")
    sections = {Section, *Section.__subclasses__(), *(b for a in Section.__subclasses__() for b in a.__subclasses__())}
    keys = {key for section in sections for key in section.model_fields if section.__module__.startswith("trunkline")}
    assert len(keys) > 50
    assert [key for key in sorted(keys) if f"<code>{key}</code>" not in config] == []

    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    known = typer.main.get_command(cli.app).commands
    assert [name for name in known if f"<code>trunkline {name}</code>" not in commands] == []
