/* A stand-in for the CUDA driver's libcuda.so.1: it sees the GPUs of the string KD_CUDA_ORDER, one
   digit (the NVML index) each, in that order, as after applying CUDA_VISIBLE_DEVICES. */
#include <stdlib.h>
#include <string.h>

static const char *order(void) { return getenv("KD_CUDA_ORDER"); }

int cuInit(unsigned int flags) {
    (void)flags;
    return order() ? 0 : 100; /* CUDA_ERROR_NO_DEVICE */
}

int cuDeviceGetCount(int *count) {
    *count = (int)strlen(order());
    return 0;
}

int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return 0;
}

int cuDeviceGetUuid(unsigned char uuid[16], int device) {
    memset(uuid, 0x11 * (order()[device] - '0'), 16);
    return 0;
}
