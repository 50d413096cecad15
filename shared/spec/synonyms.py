"""What other tools call the aggregate functions."""

_ALSO_CALLED = {
    "count": "size n len length rows count_rows value_count counts",
    "sum": "total add sums",
    "mean": "avg average mean_value",
    "min": "minimum lowest smallest",
    "max": "maximum highest largest",
    "var": "variance var_samp variance_samp var_pop variance_pop varp",
    "std": "stddev stdev stddev_samp stddev_pop sd standard_deviation stdevp",
    "sem": "standard_error stderr",
    "any": "bool_or some",
    "all": "bool_and every",
    "first": "first_value any_value head",
    "last": "last_value tail",
    "arg_min": "argmin idxmin min_by",
    "arg_max": "argmax idxmax max_by",
    "nunique": "distinct count_distinct distinct_count unique n_unique uniq countdistinct",
    "mode": "most_common most_frequent",
    "median": "med middle",
    "quantile": "percentile quantiles percentile_cont quantile_cont percentiles",
    "top": "nlargest top_k topk",
    "bottom": "nsmallest bottom_k bottomk",
    "cov": "covariance covar covar_samp",
    "corr": "correlation pearson",
}
SYNONYMS = {other: name for name, others in _ALSO_CALLED.items() for other in others.split()}
"""What other tools call a function -> what it is called here."""
