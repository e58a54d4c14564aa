"""Histories by chance: what nodes, officers and subjects might sign, in any order and mostly wrong. Nobody knows what must
be found in them; both verifiers must charge the same entries."""
from .nodes import Nodes
from .people import People


def histories(template, count, first=0):
    """(name, pinned digest, files): logs of nodes without content, then one log full of people's statements."""
    for seed in range(first, first + count):
        for teller in (Nodes, People):
            history = teller(template, seed)
            yield f"{teller.__name__.lower()}-{seed}", history.w.genesis.digest, history.tell()
