# Fits of robustbase for high_breakdown.py and small.py: "fit METHOD SEED", with the defaults of
# lmrob and ltsReg.
#
#   lmrob          answers with the seconds, the S scale and the coefficients, intercept first, and
#                  keeps the fit
#   lmrob.S        answers with the seconds and the S scale: the first half of lmrob
#   ltsReg         answers with the seconds, h and the raw coefficients, intercept first
#   ltsReg-no-mcd  the same without the robust distances of the rows, which are no part of the fit
#
# For inference.py "fit avar1" and "fit w" answer with the seconds and the standard errors of the fit
# that is kept, by .vcov.avar1 and .vcov.w.
#
# lmrob.fit is lmrob without formula and data frame; it computes the covariance matrix, too.

source("_serve.R")

lts <- function(seed, ...) {
  set.seed(seed)
  fit <- robustbase::ltsReg(X, y, ...)
  c(fit$quan, fit$raw.coefficients)
}

serve("robustbase", list(
  lmrob = function(seed) {
    set.seed(seed)
    kept <<- robustbase::lmrob.fit(design, y, robustbase::lmrob.control())
    c(kept$init.S$scale, kept$coefficients)
  },
  lmrob.S = function(seed) {
    set.seed(seed)
    robustbase::lmrob.S(design, y, robustbase::lmrob.control())$scale
  },
  avar1 = function() sqrt(diag(robustbase:::.vcov.avar1(kept, design))),
  w = function() sqrt(diag(robustbase:::.vcov.w(kept, x = design))),
  ltsReg = lts,
  `ltsReg-no-mcd` = function(seed) lts(seed, mcd = FALSE)
))
