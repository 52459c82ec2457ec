"""Functions of a surface that know what a cliff is: where it is, how high, how wide, of which kind, and what hides it.

A cliff is where the loss of ever longer sequences tends to a jump. At a finite length it is a ridge of the gradient,
and soon one far thinner than any grid: the largest *sampled* gradient then falls with length while the true one
explodes. So cells are judged by the jump of the loss across them, and cuts are refined where the loss jumps.
"""

from landscape.cliffs.adaptive import dense, refine
from landscape.cliffs.cuts import cut
from landscape.cliffs.describing import describe
from landscape.cliffs.joins import join
from landscape.cliffs.laws import Growth, growth
from landscape.cliffs.limits import closed_form, limit, multipliers
from landscape.cliffs.measures import curvature, jumps
from landscape.cliffs.polish import polish, trace
from landscape.cliffs.ridges import ridge
from landscape.cliffs.surveys import Survey, report, survey, surveyed, text
from landscape.cliffs.tables import ranked, table

__all__ = [
    "Growth",
    "Survey",
    "closed_form",
    "curvature",
    "cut",
    "dense",
    "describe",
    "growth",
    "join",
    "jumps",
    "limit",
    "multipliers",
    "polish",
    "ranked",
    "refine",
    "report",
    "ridge",
    "survey",
    "surveyed",
    "table",
    "text",
    "trace",
]
