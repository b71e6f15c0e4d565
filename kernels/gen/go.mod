module slimlab/kernels/gen

go 1.26.0
