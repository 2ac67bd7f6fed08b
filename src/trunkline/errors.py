"""User errors: what a user did that cannot work, said in the user's words."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(ValueError):
    """One or several problems with what the user gave; the command line prints them all and exits with 2.

    Args:
        problems: one sentence a problem: the rule, the value found and the remedy.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class Problems:
    """Collects problems so that all of them reach the user at once.

    Examples:
        >>> problems = Problems()
        >>> problems.add("column 'price' is not in items.csv")
        >>> bool(problems)
        True
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        """Remember one problem."""
        if problem not in self.found:
            self.found.append(problem)

    @contextmanager
    def collect(self, prefix: str = "") -> Iterator[None]:
        """Remember the problems of a `UserError` raised inside, each after `prefix`."""
        try:
            yield
        except UserError as error:
            for problem in error.problems:
                self.add(prefix + problem)

    def __bool__(self) -> bool:
        return bool(self.found)

    def raise_if_any(self) -> None:
        """Raise a `UserError` with everything found so far, if anything was."""
        if self.found:
            raise UserError(self.found)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint `"; did you mean 'x'?"` for a misspelt name, or an empty string; never one of our own, as `__row__`."""
    users = [one for one in known if not (one.startswith("__") and one.endswith("__"))]
    close = get_close_matches(name, users, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
