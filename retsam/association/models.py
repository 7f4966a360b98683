"""The two estimators: maximum-likelihood logistic regression with a cluster-robust variance, and Firth's.

Cluster-robust (method ``logit_cluster``): ``V = A^-1 (sum_g s_g s_g') A^-1 x G/(G-1) x (N-1)/(N-K)`` (CR1), where A
is the observed information, s_g the sum of the scores of cluster g, G the number of clusters, N of rows, K of
columns; tests and intervals use Student's t with G-1 degrees of freedom. Without clusters (``logit``): inverse
information and the normal.

Firth (``firth``): the likelihood is penalised by Jeffreys' prior, ``l(b) + 0.5 log |I(b)|``; the p value is the
penalised likelihood-ratio test and the interval the penalised profile likelihood. It has no cluster-robust variance,
so the caller gives it independent rows.

References
----------
Liang KY, Zeger SL (1986). Longitudinal data analysis using generalized linear models. Biometrika 73, 13-22.
Cameron AC, Miller DL (2015). A practitioner's guide to cluster-robust inference. J Hum Resour 50, 317-372.
Firth D (1993). Bias reduction of maximum likelihood estimates. Biometrika 80, 27-38.
Heinze G, Schemper M (2002). A solution to the problem of separation in logistic regression. Stat Med 21, 2409-2419.
Konis K (2007). Linear programming algorithms for detecting separated data in binary logistic regression models. Oxford.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import statsmodels.api as sm
from firthmodels import FirthLogisticRegression, detect_separation
from scipy.stats import norm
from statsmodels.tools.sm_exceptions import PerfectSeparationError

EXPOSURE = 1
"""Column of the design that is reported; column 0 is the intercept."""

FIRTH_TOLERANCES = (1e-6, 1e-5, 1e-4)
"""Tried in turn: near its optimum the penalised likelihood is flat to the last bit, and a tight one may not be met."""


@dataclass(frozen=True)
class Fit:
    """The exposure's line of one fitted model, on the log-odds scale.

    Attributes
    ----------
    log_or : float
        Coefficient per unit of the design's exposure column.
    se : float
        Standard error.
    ci_low, ci_high : float
        Confidence limits.
    p : float
        Two-sided p value.
    method : str
        ``logit_cluster``, ``logit`` or ``firth``.
    ci_method : str
        ``t`` (G-1 degrees of freedom), ``wald`` (normal) or ``profile``.
    df : float
        Degrees of freedom of t; NaN otherwise.
    """

    log_or: float
    se: float
    ci_low: float
    ci_high: float
    p: float
    method: str
    ci_method: str
    df: float = float("nan")


def fit_logit(y: np.ndarray, design: np.ndarray, clusters: np.ndarray | None, confidence: float = 0.95) -> Fit | None:
    """Maximum-likelihood logistic regression.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    clusters : (n,) int array, optional
        Person of each row, for a cluster-robust variance; None for the model's own.
    confidence : float
        Level of the interval.

    Returns
    -------
    Fit or None
        None where the iterations do not converge: under separation the estimate is infinite, and they never do.
    """
    robust = (
        {} if clusters is None else {"cov_type": "cluster", "cov_kwds": {"groups": clusters, "use_correction": True}}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of is looked at below
        try:
            result = sm.Logit(y, design, check_rank=False).fit(
                method="newton", maxiter=50, disp=0, warn_convergence=False, use_t=clusters is not None, **robust
            )
        except (np.linalg.LinAlgError, PerfectSeparationError):
            return None
        estimate, se, p = (float(v[EXPOSURE]) for v in (result.params, result.bse, result.pvalues))
        low, high = (float(v) for v in result.conf_int(1 - confidence)[EXPOSURE])
    if not result.mle_retvals["converged"] or not np.isfinite([estimate, se, p, low, high]).all() or se <= 0:
        return None
    if clusters is None:
        return Fit(estimate, se, low, high, p, "logit", "wald")
    return Fit(estimate, se, low, high, p, "logit_cluster", "t", float(len(np.unique(clusters)) - 1))


def is_separated(y: np.ndarray, design: np.ndarray) -> bool:
    """Whether a combination of the columns splits cases from controls, so that no finite estimate exists.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present.
    design : (n, k) float array
        Full column rank.

    Notes
    -----
    Konis's linear programme; complete and quasi-complete separation. A rank or solver failure counts as separated.
    """
    try:
        return bool(detect_separation(design, y, fit_intercept=False).separation)
    except (np.linalg.LinAlgError, RuntimeError):
        return True


def fit_firth(y: np.ndarray, design: np.ndarray, confidence: float = 0.95) -> Fit | None:
    """Firth's penalised logistic regression.

    Parameters
    ----------
    y : (n,) float array
        0 or 1, both present; rows are independent.
    design : (n, k) float array
        Intercept, exposure, covariates; full column rank.
    confidence : float
        Level of the interval.

    Returns
    -------
    Fit or None
        None where no tolerance in ``FIRTH_TOLERANCES`` was met. The interval is the profile likelihood's, or Wald's
        (said in ``ci_method``) in the rare case that the profile cannot be followed.
    """
    wald = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is looked at
        for tolerance in FIRTH_TOLERANCES:
            try:
                fit, profiled = _firth(y, design, confidence, tolerance)
            except np.linalg.LinAlgError:
                continue
            if fit is not None and profiled:
                return fit
            wald = wald or fit
    return wald


def _firth(y: np.ndarray, design: np.ndarray, confidence: float, tolerance: float) -> tuple[Fit | None, bool]:
    """One attempt: the fit, and whether its interval is the profile's."""
    model = FirthLogisticRegression(
        backend="numpy", fit_intercept=False, gtol=tolerance, xtol=tolerance, max_iter=200
    ).fit(design, y)
    model.lrt([EXPOSURE])
    estimate, se, p = model.coef_[EXPOSURE], model.bse_[EXPOSURE], model.lrt_pvalues_[EXPOSURE]
    if not model.converged_ or not np.isfinite([estimate, se, p]).all():
        return None, False
    half = norm.ppf(0.5 + confidence / 2) * se
    wald = Fit(float(estimate), float(se), float(estimate - half), float(estimate + half), float(p), "firth", "wald")
    try:
        low, high = model.conf_int(1 - confidence, method="pl", features=[EXPOSURE], max_iter=200, tol=tolerance)[
            EXPOSURE
        ]
    except np.linalg.LinAlgError:
        return wald, False
    if not np.isfinite([low, high]).all() or not low < estimate < high:
        return wald, False
    return Fit(float(estimate), float(se), float(low), float(high), float(p), "firth", "profile"), True
