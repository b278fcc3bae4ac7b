# Fits of robustbase for high_breakdown.py: "fit METHOD SEED", with the defaults of lmrob and ltsReg.
#
#   lmrob          answers with the seconds, the S scale and the coefficients, intercept first
#   ltsReg         answers with the seconds, h and the raw coefficients, intercept first
#   ltsReg-no-mcd  the same without the robust distances of the rows, which are no part of the fit
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
    fit <- robustbase::lmrob.fit(design, y, robustbase::lmrob.control())
    c(fit$init.S$scale, fit$coefficients)
  },
  ltsReg = lts,
  `ltsReg-no-mcd` = function(seed) lts(seed, mcd = FALSE)
))
