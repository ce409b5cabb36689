/* A stand-in for the NVIDIA driver's libnvidia-ml.so.1, as far as kerasdiag asks it.

   It has one GPU per name in KD_GPU_NAMES ("A;B"). Everything else is a knob with an integer value,
   set before loading by the environment variable KD_<name>, or while running by kd_set(name, value).
   Compiled with -DWITHOUT_POWER it lacks a function, as an old driver does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, GPU_IS_LOST = 15 };
enum { MAX_GPUS = 4, NAME_LENGTH = 96 };

typedef struct { int index; char name[NAME_LENGTH]; } gpu_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;

static struct { const char *name; volatile int value; } knobs[] = {
    {"INIT_ERROR", 0},         /* what nvmlInit returns */
    {"INIT_SECONDS", 0},       /* how long nvmlInit takes */
    {"CALL_SECONDS", 0},       /* how long a reading of the utilization takes */
    {"UTILIZATION", 40},       /* per cent */
    {"MEMORY_UTILIZATION", 20},
    {"UTILIZATION_ERROR", 0},  /* what the call returns instead, and so on */
    {"MEMORY_ERROR", 0},
    {"POWER_ERROR", 0},
    {"MIG_MODE", 0},
    {"LOST_GPU", -1},          /* NVML index of a GPU that no longer answers */
};
static volatile int users = 0; /* nvmlInit without nvmlShutdown */
static gpu_t gpus[MAX_GPUS];
static unsigned int gpu_count = 0;

static volatile int *knob(const char *name) {
    for (size_t i = 0; i < sizeof knobs / sizeof *knobs; i++)
        if (strcmp(knobs[i].name, name) == 0) return &knobs[i].value;
    abort(); /* a misspelt test */
}

void kd_set(const char *name, int value) { *knob(name) = value; }
int kd_users(void) { return users; }

__attribute__((constructor)) static void read_environment(void) {
    char variable[NAME_LENGTH], names[MAX_GPUS * NAME_LENGTH] = "NVIDIA Test GPU";
    for (size_t i = 0; i < sizeof knobs / sizeof *knobs; i++) {
        snprintf(variable, sizeof variable, "KD_%s", knobs[i].name);
        if (getenv(variable)) knobs[i].value = atoi(getenv(variable));
    }
    if (getenv("KD_GPU_NAMES")) snprintf(names, sizeof names, "%s", getenv("KD_GPU_NAMES"));
    for (char *name = strtok(names, ";"); name && gpu_count < MAX_GPUS; name = strtok(NULL, ";")) {
        gpus[gpu_count].index = (int)gpu_count;
        snprintf(gpus[gpu_count++].name, NAME_LENGTH, "%s", name);
    }
}

static int refusal(const gpu_t *gpu, const char *error) {
    if (users <= 0) return UNINITIALIZED;
    if (gpu == NULL) return INVALID_ARGUMENT;
    if (gpu->index == *knob("LOST_GPU")) return GPU_IS_LOST;
    return error ? *knob(error) : SUCCESS;
}

int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    sleep((unsigned int)*knob("INIT_SECONDS"));
    if (*knob("INIT_ERROR")) return *knob("INIT_ERROR");
    users++;
    return SUCCESS;
}

int nvmlShutdown(void) {
    if (users <= 0) return UNINITIALIZED;
    users--;
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    if (users <= 0) return UNINITIALIZED;
    *count = gpu_count;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, gpu_t **gpu) {
    if (users <= 0) return UNINITIALIZED;
    if (index >= gpu_count) return INVALID_ARGUMENT;
    *gpu = &gpus[index];
    return SUCCESS;
}

int nvmlDeviceGetName(const gpu_t *gpu, char *name, unsigned int length) {
    int code = refusal(gpu, NULL);
    if (code == SUCCESS) snprintf(name, length, "%s", gpu->name);
    return code;
}

/* GPU 0 is GPU-00000000-..., GPU 1 is GPU-11111111-..., and so on. */
int nvmlDeviceGetUUID(const gpu_t *gpu, char *uuid, unsigned int length) {
    int code = refusal(gpu, NULL);
    if (code != SUCCESS) return code;
    char text[] = "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    for (char *c = text; *c; c++)
        if (*c == 'x') *c = (char)('0' + gpu->index);
    snprintf(uuid, length, "%s", text);
    return SUCCESS;
}

int nvmlDeviceGetMigMode(const gpu_t *gpu, unsigned int *current, unsigned int *pending) {
    int code = refusal(gpu, NULL);
    if (code == SUCCESS) *current = *pending = (unsigned int)*knob("MIG_MODE");
    return code;
}

/* One MIG instance, MIG-5, which is a part of the last GPU. */
int nvmlDeviceGetHandleByUUID(const char *uuid, gpu_t **instance) {
    if (strcmp(uuid, "MIG-5") != 0) return INVALID_ARGUMENT;
    *instance = &gpus[gpu_count - 1];
    return SUCCESS;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(gpu_t *instance, gpu_t **gpu) {
    *gpu = instance;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(const gpu_t *gpu, utilization_t *rates) {
    sleep((unsigned int)*knob("CALL_SECONDS"));
    int code = refusal(gpu, "UTILIZATION_ERROR");
    if (code == SUCCESS && *knob("MIG_MODE")) code = NOT_SUPPORTED;
    if (code != SUCCESS) return code;
    rates->gpu = (unsigned int)*knob("UTILIZATION");
    rates->memory = (unsigned int)*knob("MEMORY_UTILIZATION");
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(const gpu_t *gpu, memory_t *memory) {
    int code = refusal(gpu, "MEMORY_ERROR");
    if (code == SUCCESS) *memory = (memory_t){8ULL << 30, 5ULL << 30, 3ULL << 30};
    return code;
}

#ifndef WITHOUT_POWER
int nvmlDeviceGetPowerUsage(const gpu_t *gpu, unsigned int *milliwatts) {
    int code = refusal(gpu, "POWER_ERROR");
    if (code == SUCCESS) *milliwatts = 123400;
    return code;
}
#endif
