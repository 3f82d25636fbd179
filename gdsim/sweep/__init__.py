"""Sweeps: an experiment that is planned, trained and opened, and what is done with its folder.

    experiment/   what is run, as data: fields, cells, forms in TOML
    planning/     chunks, their memory, their parts
    folder/       what a results folder holds of these, what it lacks, whether it may take them
    results/      Datasets, in memory or read from a folder as they are asked for
    ranks/        what cells are compared by: times to a target, ranks, tables
    execution/    chunks trained on threads, progress, runs that go on from earlier ends
    cluster/      chunks trained on a Dask cluster, and clusters started for a sweep
    run/          all of these joined: what was chosen, runs in memory alone, what a folder lacks

Each imports from those above it only. Here lies what users call: `gd.Sweep`, `gd.continue_from`,
`gd.evaluate`, ...; of these files `doctor`, `known_bits` and `lr_range` train sweeps themselves.
"""
