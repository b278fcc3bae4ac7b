# Fits of quantreg for quantile.py: "fit METHOD TAU" answers with the seconds and the coefficients,
# intercept first. METHOD is pfn, fnb (rq.fit.pfn and rq.fit.fnb of quantreg: no formula, no data
# frame) or conquer (package conquer, which quantreg's method "conquer" calls).
#
# Standard errors for inference.py. "fit rq TAU" fits, with formula, and keeps the fit; then
#
#   fit iid          answers with the seconds and the standard errors by summary.rq(se = "iid"), with
#   fit nid          Bofinger's bandwidth; likewise "nid"
#   fit ker          and "ker"
#   fit pwxy TAU R   of R draws of the bootstrap with exponential weights
#   fit rank TAU     fits, and answers with the widths of 95 % intervals by rank tests

source("_serve.R")

errors <- function(se) summary(kept, se = se, hs = FALSE)$coefficients[, 2]

serve(c("quantreg", "conquer"), list(
  # warns when it starts again with twice the sample: part of its time, not an error
  pfn = function(tau) suppressWarnings(quantreg::rq.fit.pfn(design, y, tau)$coefficients),
  fnb = function(tau) quantreg::rq.fit.fnb(design, y, tau)$coefficients,
  conquer = function(tau) conquer::conquer(X, y, tau)$coeff,
  rq = function(tau) (kept <<- quantreg::rq(y ~ X, tau, method = "fn"))$coefficients,
  iid = function() errors("iid"),
  nid = function() errors("nid"),
  ker = function() errors("ker"),
  rank = function(tau) {
    limits <- quantreg::rq.fit.br(design, y, tau, ci = TRUE, alpha = 0.05)$coefficients
    limits[, 3] - limits[, 2]
  },
  # what boot.rq(bsmethod = "pwxy") calls, but without the number of draws
  pwxy = function(tau, R) {
    apply(quantreg::boot.rq.pwxy(design, y, tau, kept$coefficients, R)$B, 2, sd)
  }
))
