"""Other projects' pages: linked when they answer, plain text when they do not."""

import concurrent.futures
import urllib.request
from collections.abc import Mapping


def online(pages: Mapping[str, str], seconds: float = 3) -> dict[str, tuple[str, None]]:
    """Of ``pages``, name -> address, those whose inventory answers within ``seconds``, as intersphinx takes them."""

    def answers(address: str) -> bool:
        try:
            with urllib.request.urlopen(f"{address}objects.inv", timeout=seconds) as answer:
                return answer.read(15) == b"# Sphinx invent"
        except (OSError, ValueError):
            return False

    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = list(pool.map(answers, pages.values()))
    return {name: (address, None) for (name, address), there in zip(pages.items(), found, strict=True) if there}
