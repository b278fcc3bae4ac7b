# What users of R see, at R's defaults, on tables of its own: for docs/coming-from-inference.md.
#   Rscript make_inference_coming_from.R inference_coming_from.json
# Standard errors are se.*, intervals (lower, upper) one row a coefficient, the intercept first.
suppressMessages({library(MASS); library(robustbase); library(quantreg); library(sandwich)})
se <- function(V) unname(sqrt(diag(as.matrix(V))))
json <- function(x) {
  if (is.list(x)) return(paste0("{", paste0('"', names(x), '": ', vapply(x, json, ""), collapse = ",\n"), "}"))
  if (is.matrix(x)) return(paste0("[", paste(apply(x, 1, json), collapse = ", "), "]"))
  cells <- if (is.character(x)) paste0('"', x, '"') else sprintf("%.15g", x)
  if (length(x) == 1) cells else paste0("[", paste(cells, collapse = ", "), "]") }
bare <- function(m) { dimnames(m) <- NULL; m }
statistic <- function(a, column) a[[column]][2]
f <- stack.loss ~ Air.Flow + Water.Temp + Acid.Conc.; f0 <- stack.loss ~ Air.Flow + Water.Temp; new <- stackloss[1:3, ]
groups <- rep(1:7, each = 3)
both <- function(m) list(confidence = bare(predict(m, new, interval = "confidence")[, -1]),
                         prediction = bare(predict(m, new, interval = "prediction")[, -1]))

m <- lm(f, stackloss); m0 <- lm(f0, stackloss); a <- anova(m0, m)
out <- list(lm = list(coef = unname(coef(m)), se = se(vcov(m)), p = unname(coef(summary(m))[, 4]),
  r2 = c(summary(m)$r.squared, summary(m)$adj.r.squared), confint_90 = bare(confint(m, level = .9)),
  anova = c(a$F[2], a$`Pr(>F)`[2]), predict = both(m),
  HC0 = se(vcovHC(m, "HC0")), HC3 = se(vcovHC(m)), CL = se(vcovCL(m, groups)), CL_HC3 = se(vcovCL(m, groups, type = "HC3"))))

m <- rlm(f, stackloss, acc = 1e-12, maxit = 1000)
out$rlm <- list(coef = unname(coef(m)), s = m$s, se = unname(coef(summary(m))[, 2]),
  XtWX = unname(coef(summary(m, method = "XtWX"))[, 2]), vcovHC_HC0 = se(vcovHC(m, "HC0")), vcovHC = se(vcovHC(m)),
  CL_HC1 = se(vcovCL(m, groups, type = "HC1")), predict = bare(predict(m, new, interval = "confidence")[, -1]))

set.seed(1); m <- lmrob(f, stackloss); m0 <- lmrob(f0, stackloss)
out$lmrob <- list(coef = unname(coef(m)), scale = m$scale, se = unname(coef(summary(m))[, 2]), avar1 = se(vcov(m)), w = se(vcov(m, cov = ".vcov.w")),
  confint = bare(confint(m)), r2 = c(summary(m)$r.squared, summary(m)$adj.r.squared), predict = both(m),
  Wald = unname(unlist(anova(m, f0, test = "Wald")[2, 2:4])), Deviance = unname(unlist(anova(m, m0, test = "Deviance")[2, 2:4])))
set.seed(1); m <- lmrob(y ~ ., wood); m0 <- lmrob(y ~ x1 + x2 + x3 + x4, wood)
out$wood <- list(last = "x5", Wald = statistic(anova(m, y ~ x1 + x2 + x3 + x4, test = "Wald"), "Test.Stat"),
  Deviance = statistic(anova(m, m0, test = "Deviance"), "Test.Stat"))

set.seed(1); m <- ltsReg(f, data = stackloss)
out$ltsReg <- list(coef = unname(coef(m)), se = unname(coef(summary(m))[, 2]))

data(engel, package = "quantreg"); m <- rq(foodexp ~ income, data = engel); sq <- function(...) unname(coef(summary(m, ...))[, 2])
three <- rq(foodexp ~ income, tau = c(.25, .5, .75), data = engel); a <- anova(three)$table
ranks <- function(...) bare(coef(summary(m, se = "rank", ...))[, 2:3])
m0 <- rq(foodexp ~ 1, data = engel)
out$rq <- list(coef = unname(coef(m)), default = ranks(), rank_95 = ranks(alpha = .05), rank_95_nid = ranks(alpha = .05, iid = FALSE),
  nid = sq(se = "nid"), nid_bofinger = sq(se = "nid", hs = FALSE), iid_bofinger = sq(se = "iid", hs = FALSE), ker = sq(se = "ker"), ker_bofinger = sq(se = "ker", hs = FALSE),
  bandwidths = c(bandwidth.rq(.5, 235), bandwidth.rq(.5, 235, hs = FALSE)),
  equal_slopes = c(a$ndf, a$ddf, a$Tn, a$pvalue), rank_test = unname(unlist(anova(m, m0, test = "rank")$table)))
out$versions <- c(list(R = as.character(getRversion())), sapply(c("MASS", "robustbase", "quantreg", "sandwich"), function(x) as.character(packageVersion(x)), simplify = FALSE))
writeLines(json(out), commandArgs(TRUE)[1])
