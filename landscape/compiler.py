"""What releases of the compiler get wrong, and are told not to do."""

import importlib.metadata
import importlib.util
import os

FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def avoid_wrong_sums() -> None:
    """Keep jaxlib 0.10.2 and 0.11 from wrong sums of products of many rows on a CPU (JAX issue 39103).

    They hand such sums to a library that mixes up rows: a Hessian of `landscape.cross_entropy` was off by a third of
    its largest entry. Through XLA_FLAGS, which XLA reads when JAX first computes: import this package before that. What
    the user has set of this flag stays; where a TPU's own compiler reads the flags too, it is not touched.

    The price: a loop of plain reductions written by hand ran 3 to 5 times slower; surfaces cost what they did.
    """
    version = tuple(int(part) for part in importlib.metadata.version("jaxlib").split(".")[:3] if part.isdecimal())
    given = os.environ.get("XLA_FLAGS", "")
    if (0, 10, 2) <= version < (0, 12) and FLAG not in given and importlib.util.find_spec("libtpu") is None:
        os.environ["XLA_FLAGS"] = f"{given} {FLAG}=-reduce".strip()
