"""How chunks are trained on a Dask cluster, which is there or is started for a sweep."""
