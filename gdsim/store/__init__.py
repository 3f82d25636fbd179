"""Folders of results, in a directory or in a bucket: what lies there, byte by byte.

They know neither sweeps nor plans.
"""
