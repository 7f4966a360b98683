"""Columns of an association table."""

import pyarrow as pa

MAIN = "main"
"""Name of the analysis that the study declared."""

PER_SD = "per_sd"
"""Term of an effect per standard deviation of the biomarker."""

ASSOCIATION = pa.schema(
    [
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("biomarker", pa.string(), nullable=False),
        pa.field("family", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        # main; all_gradabilities, gradable_only, one_eye, without_site:NAME, imputed; stratum:COLUMN=LEVEL
        pa.field("analysis", pa.string(), nullable=False),
        # per_sd; q2_vs_q1, q3_vs_q1, q4_vs_q1, trend (per quartile); nonlinear; interaction:COVARIATE
        pa.field("term", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # of the outcome: binary, ordinal, continuous
        pa.field("unit", pa.string(), nullable=False),  # eye or participant: what a row of the model is
        pa.field("n", pa.int64(), nullable=False),  # rows of the analysis set
        pa.field("n_events", pa.int64(), nullable=False),  # of them with outcome 1; above the lowest grade; 0
        pa.field("n_participants", pa.int64(), nullable=False),
        pa.field("n_participants_events", pa.int64(), nullable=False),  # with at least one such row
        pa.field("n_unknown_outcome", pa.int64(), nullable=False),  # rows left out: outcome unknown
        pa.field("n_missing", pa.int64(), nullable=False),  # rows left out: exposure or a covariate missing
        pa.field("n_missing_exposure", pa.int64(), nullable=False),
        pa.field("n_other_rows", pa.int64(), nullable=False),  # rows left out: another row stands for the participant
        pa.field("transform", pa.string(), nullable=False),  # of the exposure: none, log1p, rank_normal
        pa.field("mean", pa.float64()),  # of the transformed exposure
        pa.field("sd", pa.float64()),  # what "per SD" means: per row, n - 1, transformed
        pa.field("mean_raw", pa.float64()),  # of the exposure in its own unit
        pa.field("sd_raw", pa.float64()),
        pa.field("or", pa.float64()),  # binary and ordinal; a ratio of odds ratios for an interaction
        pa.field("ci_low", pa.float64()),
        pa.field("ci_high", pa.float64()),
        pa.field("beta", pa.float64()),  # continuous: in the outcome's unit
        pa.field("beta_low", pa.float64()),
        pa.field("beta_high", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("q", pa.float64()),  # Benjamini-Hochberg within outcome, analysis, term, model and family
        pa.field("family_size", pa.int64(), nullable=False),  # number of tests behind q
        pa.field("q_all", pa.float64()),  # Benjamini-Hochberg within outcome, analysis, term and model
        pa.field("log_or", pa.float64()),  # binary and ordinal
        pa.field("se", pa.float64()),  # of log_or or beta
        pa.field("df", pa.float64()),  # of t or F (denominator); null for the normal, chi-squared and the profile
        pa.field("method", pa.string()),  # the estimator; null if nothing was fitted
        pa.field("ci_method", pa.string()),  # t, wald, profile; f, chi2 for a joint test
        pa.field("covariates", pa.string(), nullable=False),  # those in the fit, comma-separated
        pa.field("definitional", pa.bool_(), nullable=False),
        pa.field("evidence", pa.string()),
        pa.field("icc", pa.float64()),  # repeatability of the biomarker, 0-1
        pa.field("icc_source", pa.string()),
        pa.field("or_if_reliable", pa.float64()),  # exp(log_or / icc): without classical measurement error
        pa.field("status", pa.string(), nullable=False),
        pa.field("note", pa.string(), nullable=False),
    ]
)
"""One row per biomarker, model, analysis and term.

One that could not be estimated keeps its counts and has nulls, a status and a note. Rows of analysis ``main`` and term
``per_sd`` are the declared analysis; every other row is additional, with q values of its own.
"""
