"""URLs of the gateway, as its clients know it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Links:
    """Makes every URL that an answer has: the path alone, or below *base*, a URL without a last slash."""

    base: str = ""

    def __call__(self, path: str) -> str:
        """*path* begins with a slash."""
        return self.base + path
