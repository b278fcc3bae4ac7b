# Fits of quantreg for quantile.py, which starts this script and talks to it in lines.
#
#   load PATH N P       reads N x P numbers of X column by column, then N of y; answers "ok"
#   fit METHOD TAU      answers with the seconds of the fit and the coefficients, intercept first
#
# METHOD is pfn, fnb (rq.fit.pfn and rq.fit.fnb of quantreg) or conquer (package conquer, which
# quantreg's method "conquer" calls). The clock covers the fit alone: no formula, no data frame.

has_quantreg <- requireNamespace("quantreg", quietly = TRUE)
has_conquer <- requireNamespace("conquer", quietly = TRUE)

fits <- list(
  pfn = function(tau) quantreg::rq.fit.pfn(design, y, tau)$coefficients,
  fnb = function(tau) quantreg::rq.fit.fnb(design, y, tau)$coefficients,
  conquer = function(tau) conquer::conquer(X, y, tau)$coeff
)

answer <- function(...) {
  cat(..., "\n")
  flush(stdout())
}

load_table <- function(path, n, p) {
  source <- file(path, "rb")
  on.exit(close(source))
  X <<- matrix(readBin(source, "double", n * p), n, p)
  y <<- readBin(source, "double", n)
  design <<- cbind(1, X)
}

if (!has_quantreg) {
  answer("no quantreg")
  quit()
}
answer(sprintf(
  "%s, quantreg %s, %s, BLAS %s", R.version.string, packageVersion("quantreg"),
  if (has_conquer) paste("conquer", packageVersion("conquer")) else "no conquer",
  basename(extSoftVersion()[["BLAS"]])
))
input <- file("stdin", "r")
while (length(line <- readLines(input, 1))) {
  word <- strsplit(line, "\t")[[1]]
  if (word[1] == "load") {
    load_table(word[2], as.integer(word[3]), as.integer(word[4]))
    answer("ok")
  } else {
    fit <- fits[[word[2]]]
    gc()
    start <- Sys.time() # system.time counts whole milliseconds only
    # rq.fit.pfn warns when it starts again with twice the sample: part of its time, not an error
    coefficients <- suppressWarnings(fit(as.numeric(word[3])))
    seconds <- as.numeric(Sys.time() - start, units = "secs")
    answer(sprintf("%.17g", c(seconds, coefficients)))
  }
}
