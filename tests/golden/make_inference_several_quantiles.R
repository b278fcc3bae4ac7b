# Wald tests of equal slopes of several quantiles by quantreg, for the tests of robustreg.
#
#     Rscript make_inference_several_quantiles.R inference_several_quantiles.json
#
# anova() of several rq fits has (min(s, t) - s t) H_s J H_t for covariances, with H of summary.rq
# at Hall and Sheather's bandwidth. Its F has n m - (p - 1)(m - 1) degrees of freedom below.
suppressMessages({ library(quantreg); library(jsonlite) })

tested <- function(name, taus) {
  d <- read.csv(file.path("data", paste0(name, ".csv")))
  fits <- lapply(taus, function(tau) suppressWarnings(rq(target ~ ., tau, d)))
  test <- function(...) suppressWarnings(do.call(anova, c(fits, list(...))))$table
  joint <- test()
  list(taus = taus, coef = t(sapply(fits, coef)), ndf = joint$ndf, ddf = joint$ddf,
    nid = joint$Tn, kernel = test(se = "ker")$Tn, each_nid = I(test(joint = FALSE)$Tn))
}

out <- list(
  engel = tested("engel", c(.25, .5, .75)), NOx = tested("NOx", c(.1, .5, .9)),
  delivery = tested("delivery", c(.4, .6)), mtcars = tested("mtcars", c(.3, .5, .6)))
write_json(out, commandArgs(TRUE)[1], digits = NA, auto_unbox = TRUE)
