"""Device, precision, threads and seeds: the same code on the CPU and on CUDA. Used by features and training."""

import contextlib
import os

import torch


def prepare(seed, threads):
    """Seed everything and ask for deterministic kernels; returns the device (CUDA when there is one).

    The number of threads is configuration because it changes the last bits of sums on the CPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's condition for deterministic products
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads what it would fill, and it takes time
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    return device()


def device():
    """CUDA when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_bf16(device):
    """Whether this processor multiplies bf16 faster than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def choose_precision(name, device):
    """`auto` -> `bf16` where it is fast, else `fp32`."""
    if name != "auto":
        return name
    return "bf16" if fast_bf16(device) else "fp32"


def autocast(precision, device):
    """Context in which matrix products run in `precision` (fp32 or bf16)."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
