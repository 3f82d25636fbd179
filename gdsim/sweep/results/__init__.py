"""Results as xarray.Datasets, in memory or read from a folder as they are asked for."""
