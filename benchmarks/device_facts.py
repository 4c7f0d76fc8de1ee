"""What the device of a benchmark is called, has held at most and could compute at most."""

# Dense bfloat16 with float32 sums, in TFLOP/s, by NVIDIA's data sheets; the first that fits.
PEAKS = {
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "GH200": 989,
    "H200": 989,
    "A100": 312,
}


def peak_tflops(name):
    """Of a device by its name, or None where it is not known."""
    return next((peak for known, peak in PEAKS.items() if known in name), None)


def facts(framework):
    """Function that gives name and memory of the device that "jax" or "torch" runs on.

    Memory is the most that has been held at once, in MiB, since the process began; None on a CPU,
    where that of the process tells.
    """

    def of_jax():
        import jax

        [device, *_] = jax.local_devices()
        held = (device.memory_stats() or {}).get("peak_bytes_in_use")
        return {"device": device.device_kind, "held": held and held / 2**20}

    def of_torch():
        import torch

        if not torch.cuda.is_available():
            return {"device": "cpu", "held": None}
        held = torch.cuda.max_memory_allocated() / 2**20
        return {"device": torch.cuda.get_device_name(), "held": held}

    return {"jax": of_jax, "torch": of_torch}[framework]
