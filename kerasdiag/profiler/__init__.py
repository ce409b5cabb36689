"""The profiler: clock marks (recorder), the way Keras shows its wait (data_probe), NVML (gpu), hooks (callback)."""
