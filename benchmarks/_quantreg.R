# Fits of quantreg for quantile.py: "fit METHOD TAU" answers with the seconds and the coefficients,
# intercept first. METHOD is pfn, fnb (rq.fit.pfn and rq.fit.fnb of quantreg: no formula, no data
# frame) or conquer (package conquer, which quantreg's method "conquer" calls).

source("_serve.R")

serve(c("quantreg", "conquer"), list(
  # warns when it starts again with twice the sample: part of its time, not an error
  pfn = function(tau) suppressWarnings(quantreg::rq.fit.pfn(design, y, tau)$coefficients),
  fnb = function(tau) quantreg::rq.fit.fnb(design, y, tau)$coefficients,
  conquer = function(tau) conquer::conquer(X, y, tau)$coeff
))
