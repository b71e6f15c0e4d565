module slimlab/kernels/gen/gemm

go 1.26.0
