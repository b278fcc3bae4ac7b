# What the R programs beside Python (_r.py) share: they fit what they are asked for, in lines.
#
#   load PATH N P            reads N x P numbers of X column by column, then N of y; answers "ok"
#   load-sparse PATH N P M   reads the M entries of an N x P matrix row by row: their values, columns
#                            from 0 on, where each row starts and the last one ends; then N of y.
#                            For packages that load SparseM; the column of ones is one of the P.
#   fit METHOD ARGUMENT ...  answers with the seconds of the fit and the numbers that it returns
#
# The first line that they answer says what is installed. The clock covers the fit alone.

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

load_sparse_table <- function(path, n, p, entries) {
  source <- file(path, "rb")
  on.exit(close(source))
  values <- readBin(source, "double", entries)
  columns <- readBin(source, "integer", entries)
  starts <- readBin(source, "integer", n + 1)
  y <<- readBin(source, "double", n)
  design <<- methods::new(
    methods::getClass("matrix.csr", where = asNamespace("SparseM")),
    ra = values, ja = columns + 1L, ia = starts + 1L, dimension = c(n, p)
  )
}

installed <- function(package) requireNamespace(package, quietly = TRUE)

about <- function(...) {
  packages <- vapply(c(...), function(package) {
    if (installed(package)) paste(package, packageVersion(package)) else paste("no", package)
  }, "")
  blas <- basename(extSoftVersion()[["BLAS"]])
  paste(c(R.version.string, packages, paste("BLAS", blas)), collapse = ", ")
}

# Answers from the named functions of numbers in `fits`, to the end of the input. Ends at once,
# with "no PACKAGE", where the first of the packages is missing.
serve <- function(packages, fits) {
  if (!installed(packages[1])) {
    answer("no", packages[1])
    return(invisible())
  }
  answer(about(packages))
  input <- file("stdin", "r")
  while (length(line <- readLines(input, 1))) {
    word <- strsplit(line, "\t")[[1]]
    if (word[1] == "load") {
      load_table(word[2], as.integer(word[3]), as.integer(word[4]))
      answer("ok")
    } else if (word[1] == "load-sparse") {
      load_sparse_table(word[2], as.integer(word[3]), as.integer(word[4]), as.integer(word[5]))
      answer("ok")
    } else {
      fit <- fits[[word[2]]]
      arguments <- as.list(as.numeric(word[-(1:2)]))
      gc()
      start <- Sys.time() # system.time counts whole milliseconds only
      numbers <- do.call(fit, arguments)
      seconds <- as.numeric(Sys.time() - start, units = "secs")
      answer(sprintf("%.17g", c(seconds, numbers)))
    }
  }
}
