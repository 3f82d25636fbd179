"""Statistics of arrays, arrays to arrays: quantiles, intervals, tests, the bootstrap."""

from gdsim.statistics.comparisons import holm, mcnemar, signed_rank
from gdsim.statistics.quantiles import ArrayLike, median, median_interval, median_ranks, quantile, rank_of
from gdsim.statistics.resampling import accelerated, bootstrap, groups_of, percentiles, resampled
from gdsim.statistics.richness import clusters, richness
from gdsim.statistics.shares import INTERVALS, clopper_pearson, clustered, normal_quantile, wilson

__all__ = [
    "INTERVALS", "ArrayLike", "accelerated", "bootstrap", "clopper_pearson", "clustered", "clusters", "groups_of", "holm", "mcnemar", "median", "median_interval", "median_ranks",
    "normal_quantile", "percentiles", "quantile", "rank_of", "resampled", "richness", "signed_rank", "wilson",
]  # fmt: skip
