"""CUDA without a device: kernels as PTX, run instruction by instruction (`ptx`) beside the processor's."""
