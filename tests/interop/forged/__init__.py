"""Stories told by hand (forge.py): what a hostile reader of both verifiers tried on them. Each says what both must find.

Without any view a log is never more than INCOMPLETE, so that is what an honest story gives; in the end each story has
an honest one beside it that differs in the misdeed alone."""
from forge import World

from . import charters, entries, people, releases   # each registers its stories
from .chance import histories
from .told import STORIES

__all__ = ["all_of", "histories"]


def all_of(template):
    """(name, expected class, rule, pinned digest, files) of each story, under a charter like the template."""
    for name, full, expected, rule, tell in STORIES:
        world = World(template)
        yield name, expected, rule, world.genesis.digest, tell(world, full)
