# Fits of quantreg for quantile.py, wide.py and small.py: "fit METHOD TAU" answers with the seconds and
# the coefficients, intercept first. METHOD is pfn, fnb, br (rq.fit.pfn, rq.fit.fnb and rq.fit.br of
# quantreg: no formula, no data frame), conquer (package conquer, which quantreg's method "conquer"
# calls) or sfn (rq.fit.sfn, of sparse tables), which has a second argument, SMALL, its tolerance.
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
  br = function(tau) quantreg::rq.fit.br(design, y, tau)$coefficients,
  sfn = function(tau, small) {
    # at the default sizes of its workspaces it fails; a factor without zeros needs the most
    most <- ncol(design) * (ncol(design) + 1) / 2
    control <- list(small = small, tmpmax = min(most, 5e7), nnzlmax = min(most, 3e8))
    # warns where it stops before the optimum, which the objective shows as well
    suppressWarnings(quantreg::rq.fit.sfn(design, y, tau, control = control)$coefficients)
  },
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
