"""Pages that lie beside docs/ in the repository, and links between the two."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

BESIDE = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository's root, and where they stand on the site."""

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add those pages."""
    root = Path(config.config_file_path).parent
    for name, place in BESIDE.items():
        files.append(File.generated(config, place, content=(root / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between the two places into the site's own; what is no page of the site stays as words."""
    outside = page.file.src_uri in BESIDE.values()

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        if outside and target.startswith("docs/"):
            return f"[{words}]({target.removeprefix('docs/')})"
        if not outside and target.startswith("../") and not page.file.src_uri.startswith("reference/"):
            name, hash_, anchor = target.removeprefix("../").partition("#")
            return f"[{words}]({BESIDE[name]}{hash_}{anchor})" if name in BESIDE else words
        beside, hash_, anchor = target.partition("#")
        if outside and beside in BESIDE:
            return f"[{words}]({BESIDE[beside]}{hash_}{anchor})"
        inside = target.startswith(("http", "#", "mailto:")) or not outside
        return found.group() if inside else words

    return LINK.sub(link, markdown)
