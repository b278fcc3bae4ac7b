# Fits of MASS and stats for small.py: "fit METHOD" answers with the seconds and the coefficients,
# intercept first, of rlm with Huber's loss and proposal 2, of the same with its default, a scale by
# the MAD, of rlm with Tukey's biweight, or of lm.fit. No formula, no data frame.

source("_serve.R")

rlm <- function(...) {
  # warns after 20 iterations, its default
  suppressWarnings(MASS::rlm(design, y, ...)$coefficients)
}

serve("MASS", list(
  `rlm-proposal-2` = function() rlm(scale.est = "proposal 2"),
  `rlm-mad` = function() rlm(),
  `rlm-bisquare` = function() rlm(psi = MASS::psi.bisquare),
  lm = function() lm.fit(design, y)$coefficients
))
