# Covariance matrices of least squares for inference.py. "fit lm" fits, and keeps the fit; then
#
#   fit HC3          answers with the seconds and the standard errors by vcovHC(lm, "HC3")
#   fit CR1 GROUPS   by vcovCL(lm, type = "HC1") of so many groups of consecutive rows
#   fit CR3 GROUPS   by vcovCL(lm, type = "HC3")

source("_serve.R")

errors <- function(V) sqrt(diag(V))
groups <- function(count) floor((seq_along(y) - 1) * count / length(y))

serve("sandwich", list(
  lm = function() coef(kept <<- lm(y ~ X)),
  HC3 = function() errors(sandwich::vcovHC(kept, "HC3")),
  CR1 = function(count) errors(sandwich::vcovCL(kept, groups(count), "HC1")),
  CR3 = function(count) errors(sandwich::vcovCL(kept, groups(count), "HC3"))
))
