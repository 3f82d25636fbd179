"""Sweeps: an experiment as data, its cells and plan, its execution, its store and its result."""
