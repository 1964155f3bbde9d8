"""Every figure that the project claims, as a command that measures it and prints it beside its peer."""

import os

# One thread on either side of every comparison; on a busy machine BLAS is also faster so. Has to be set
# before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
