"""Telling findings in lines of text: those of one kind together, and what was tried for them once."""

from collections.abc import Sequence

from trunkline.insight.diagnosis.findings import Finding
from trunkline.untrusted import printable

BY_HAND = "by hand: "
NOT_TRIED = " (not tried)"


def told(findings: Sequence[Finding]) -> list[str]:
    """Lines for a terminal, the weightiest kind first.

    Args:
        findings: the weightiest first.
    """
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    lines = list[str]()
    for i, (kind, alike) in enumerate(kinds.items(), 1):
        first, *others = (finding.sentence for finding in alike)
        lines.append(f"{i}. [{alike[0].weight:.2f}] {kind}: {first}")
        lines += [f"   {sentence}" for sentence in others]
        advice = [f"   {line}" for line in what_to_do(alike)]
        lines += ["   advice: as above"] if advice and set(advice) <= set(lines) else advice
    return [printable(line) for line in lines]


def what_to_do(alike: Sequence[Finding]) -> list[str]:
    """What to change for findings of one kind, and what is known of that."""
    lines = list[str]()
    for one in dict.fromkeys(tried.change for f in alike for tried in f.tried if tried.helps):
        results = "; ".join(tried.sentence for f in alike for tried in f.tried if tried.change == one)
        lines += [f"change: {one}", f"tried: {results}"]
    vain = dict.fromkeys((t.change, t.known) for f in alike if not any(t.helps for t in f.tried) for t in f.tried)
    for one, known in vain:
        same = dict.fromkeys(t.sentence for f in alike for t in f.tried if (t.change, t.known) == (one, known))
        lines.append(f"{'tried without success' if known else 'could not be tried'}: {one}: {'; '.join(same)}")
    untried = [finding for finding in alike if not finding.tried]
    for remedy in dict.fromkeys(finding.remedy for finding in untried):
        could = any(finding.changes for finding in untried if finding.remedy == remedy)
        by_hand = remedy.removeprefix(BY_HAND)
        lines.append(by_hand if by_hand != remedy else f"change: {remedy}{NOT_TRIED if could else ''}")
    return lines
