"""What all histories by chance have."""
import random

from forge import World


class History:
    def __init__(self, template, seed):
        self.chance = random.Random(seed)
        self.w = World(self.widened(template))
        self.logs = self.w.logs()
        self.versions, self.statements = [self.w.genesis], []

    def widened(self, template):
        return template

    def maybe(self, odds):
        return self.chance.random() < odds

    def one(self, *of):
        return self.chance.choice(of)
