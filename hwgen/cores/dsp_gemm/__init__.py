"""Dense GEMM on DSP blocks."""
