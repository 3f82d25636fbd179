"""An experiment and its chunks in a results folder: what it holds, whether it may take another, which chunks
it lacks, how they are put there.
"""
