"""Nemesis: several faults in one test, by a schedule that is plain data, made from a seed and run again from it."""

from airproof.faults.nemesis.generation import schedule
from airproof.faults.nemesis.running import Nemesis
from airproof.faults.nemesis.schedule import Anchor, Disturbance, Schedule

__all__ = ["Anchor", "Disturbance", "Nemesis", "Schedule", "schedule"]
