"""A seeded world of customers, orders, services and trouble, recorded, with labels that say what was true."""

from replay.world.emit import World
from replay.world.labels import LABELS, Issue, Labels
from replay.world.model import Spec
from replay.world.record import simulate

__all__ = ["LABELS", "Issue", "Labels", "Spec", "World", "simulate"]
