/* A stand-in for the NVIDIA driver's libnvidia-ml.so.1, as far as kerasdiag asks it.

   It has one GPU per name in KD_GPU_NAMES ("A;B"). Everything else is a knob with an integer value,
   set before loading by the environment variable KD_<name>, or KD_<name>_<NVML index> for one GPU,
   or while running by kd_set(name, value). kd_push(index, level) puts a sample into a ring buffer.
   Compiled with -DOLD_DRIVER it lacks functions, as an old driver does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, GPU_IS_LOST = 15 };
enum { MAX_GPUS = 8, MAX_SAMPLES = 120, MAX_PROCESSES = 8, NAME_LENGTH = 96 };

typedef struct { unsigned long long stamp; union { double d; unsigned int u; unsigned long long ull; } value; } sample_t;
typedef struct { int index; char name[NAME_LENGTH]; sample_t ring[MAX_SAMPLES]; volatile unsigned int pushed; } gpu_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { char legacy[16]; unsigned int domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;
typedef struct { unsigned int pid; unsigned long long memory; unsigned int gpu_instance, compute_instance; } process_t;

static struct { const char *name; volatile int value, of_gpu[MAX_GPUS], is_set[MAX_GPUS]; } knobs[] = {
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
    {"RING_ERROR", 0},
    {"EMPTY_RING", 6},         /* what a ring buffer without new samples returns: NOT_FOUND, or 0 and no samples */
    {"OLD_SAMPLES", 0},        /* how many samples of 100 % a ring buffer holds from the beginning */
    {"BUS", -1},               /* PCI bus, by default the NVML index */
    {"CLOCK", 1410},           /* MHz, of 1980 */
    {"CLOCK_ERROR", 0},
    {"SLOW_REASONS", 0},       /* bits of nvmlClocksEventReasons */
    {"SLOW_REASONS_ERROR", 0},
    {"PCIE_MS", 0},            /* how long a reading of the throughput takes */
    {"PCIE_ERROR", 0},
    {"PROCESSES", 0},          /* how many others compute: process 4000001 and so on */
    {"DRAWING", 0},            /* how many of them draw, too */
    {"OWN_PROCESS", 0},        /* whether this process computes, too: 1; by another number: 2 */
    {"PROCESSES_ERROR", 0},
    {"GPM", 1},                /* whether it has performance monitoring */
    {"GPM_ERROR", 0},
    {"GPM_VALUE_ERROR", 0},    /* of the metric of the tensor cores alone */
    {"SM_BUSY", 30},           /* per cent, as the next; the bandwidth is that of MEMORY_UTILIZATION */
    {"TENSOR_BUSY", 12},
};
static volatile int users = 0; /* nvmlInit without nvmlShutdown */
static gpu_t gpus[MAX_GPUS];
static unsigned int gpu_count = 0;

static size_t find(const char *name) {
    for (size_t i = 0; i < sizeof knobs / sizeof *knobs; i++)
        if (strcmp(knobs[i].name, name) == 0) return i;
    abort(); /* a misspelt test */
}

static volatile int *knob(const char *name) { return &knobs[find(name)].value; }

static int of(const gpu_t *gpu, const char *name) {
    size_t i = find(name);
    return knobs[i].is_set[gpu->index] ? knobs[i].of_gpu[gpu->index] : knobs[i].value;
}

void kd_set(const char *name, int value) { *knob(name) = value; }
int kd_users(void) { return users; }

static void push(gpu_t *gpu, unsigned long long stamp, int level) {
    sample_t *sample = &gpu->ring[gpu->pushed % MAX_SAMPLES];
    unsigned long long last = gpu->pushed ? gpu->ring[(gpu->pushed - 1) % MAX_SAMPLES].stamp : 0;
    sample->stamp = stamp > last ? stamp : last + 1;
    sample->value.u = (unsigned int)level;
    gpu->pushed++;
}

/* Microseconds since boot, which are nobody else's clock. */
void kd_push(int index, int level) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    push(&gpus[index], 1000000ULL * (unsigned long long)now.tv_sec + (unsigned long long)now.tv_nsec / 1000, level);
}

__attribute__((constructor)) static void read_environment(void) {
    char variable[NAME_LENGTH], names[MAX_GPUS * NAME_LENGTH] = "NVIDIA Test GPU";
    for (size_t i = 0; i < sizeof knobs / sizeof *knobs; i++) {
        snprintf(variable, sizeof variable, "KD_%s", knobs[i].name);
        if (getenv(variable)) knobs[i].value = atoi(getenv(variable));
        for (int index = 0; index < MAX_GPUS; index++) {
            snprintf(variable, sizeof variable, "KD_%s_%d", knobs[i].name, index);
            if ((knobs[i].is_set[index] = getenv(variable) != NULL)) knobs[i].of_gpu[index] = atoi(getenv(variable));
        }
    }
    if (getenv("KD_GPU_NAMES")) snprintf(names, sizeof names, "%s", getenv("KD_GPU_NAMES"));
    for (char *name = strtok(names, ";"); name && gpu_count < MAX_GPUS; name = strtok(NULL, ";")) {
        gpus[gpu_count].index = (int)gpu_count;
        snprintf(gpus[gpu_count].name, NAME_LENGTH, "%s", name);
        for (int i = 0; i < *knob("OLD_SAMPLES"); i++) push(&gpus[gpu_count], 1ULL + (unsigned long long)i, 100);
        gpu_count++;
    }
}

static int refusal(const gpu_t *gpu, const char *error) {
    if (users <= 0) return UNINITIALIZED;
    if (gpu == NULL) return INVALID_ARGUMENT;
    if (gpu->index == *knob("LOST_GPU")) return GPU_IS_LOST;
    return error ? of(gpu, error) : SUCCESS;
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
    if (code == SUCCESS) *current = *pending = (unsigned int)of(gpu, "MIG_MODE");
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
    if (code == SUCCESS && of(gpu, "MIG_MODE")) code = NOT_SUPPORTED;
    if (code != SUCCESS) return code;
    rates->gpu = (unsigned int)of(gpu, "UTILIZATION");
    rates->memory = (unsigned int)of(gpu, "MEMORY_UTILIZATION");
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(const gpu_t *gpu, memory_t *memory) {
    int code = refusal(gpu, "MEMORY_ERROR");
    if (code == SUCCESS) *memory = (memory_t){8ULL << 30, 5ULL << 30, 3ULL << 30};
    return code;
}

int nvmlDeviceGetPciInfo_v3(const gpu_t *gpu, pci_t *pci) {
    int code = refusal(gpu, NULL);
    if (code != SUCCESS) return code;
    memset(pci, 0, sizeof *pci);
    pci->bus = (unsigned int)(of(gpu, "BUS") < 0 ? gpu->index : of(gpu, "BUS"));
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(const gpu_t *gpu, unsigned int kind, unsigned int *megahertz) {
    int code = refusal(gpu, "CLOCK_ERROR");
    if (code == SUCCESS) *megahertz = kind == 1 ? (unsigned int)of(gpu, "CLOCK") : 5001;
    return code;
}

int nvmlDeviceGetMaxClockInfo(const gpu_t *gpu, unsigned int kind, unsigned int *megahertz) {
    int code = refusal(gpu, "CLOCK_ERROR");
    if (code == SUCCESS) *megahertz = kind == 1 ? 1980 : 5001;
    return code;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(const gpu_t *gpu, unsigned long long *reasons) {
    int code = refusal(gpu, "SLOW_REASONS_ERROR");
    if (code == SUCCESS) *reasons = (unsigned long long)of(gpu, "SLOW_REASONS");
    return code;
}

/* Direction 0 is what the GPU sends: 1 MiB/s; 1 is what it receives: 512 MiB/s. */
int nvmlDeviceGetPcieThroughput(const gpu_t *gpu, unsigned int direction, unsigned int *kibibytes) {
    usleep(1000U * (unsigned int)*knob("PCIE_MS"));
    int code = refusal(gpu, "PCIE_ERROR");
    if (code == SUCCESS) *kibibytes = direction ? 512U << 10 : 1U << 10;
    return code;
}

static int list(const process_t *listed, unsigned int count, unsigned int *room, process_t *processes) {
    unsigned int had = *room;
    *room = count;
    if (count > had) return TOO_SMALL;
    for (unsigned int i = 0; i < count; i++) processes[i] = listed[i];
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(const gpu_t *gpu, unsigned int *room, process_t *processes) {
    int code = refusal(gpu, "PROCESSES_ERROR");
    if (code != SUCCESS) return code;
    process_t listed[MAX_PROCESSES + 1];
    unsigned int count = 0;
    for (int i = 0; i < of(gpu, "PROCESSES"); i++) listed[count++] = (process_t){4000001U + (unsigned int)i, 0, 0, 0};
    if (of(gpu, "OWN_PROCESS"))
        listed[count++] = (process_t){of(gpu, "OWN_PROCESS") == 1 ? (unsigned int)getpid() : 4100000U, 0, 0, 0};
    return list(listed, count, room, processes);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(const gpu_t *gpu, unsigned int *room, process_t *processes) {
    int code = refusal(gpu, "PROCESSES_ERROR");
    if (code != SUCCESS) return code;
    process_t listed[MAX_PROCESSES];
    for (int i = 0; i < of(gpu, "DRAWING"); i++) listed[i] = (process_t){4000001U + (unsigned int)i, 0, 0, 0};
    return list(listed, (unsigned int)of(gpu, "DRAWING"), room, processes);
}

#ifndef OLD_DRIVER
int nvmlDeviceGetCurrentClocksEventReasons(const gpu_t *gpu, unsigned long long *reasons) {
    return nvmlDeviceGetCurrentClocksThrottleReasons(gpu, reasons);
}

typedef struct { const gpu_t *of; } gpm_sample_t;
typedef struct { unsigned int id; int code; double value; struct { char *a, *b, *c; } info; } gpm_metric_t;
typedef struct { unsigned int version, count; gpm_sample_t *before, *after; gpm_metric_t metrics[]; } gpm_question_t;
typedef struct { unsigned int version, is_supported; } gpm_support_t;
static volatile int gpm_samples = 0; /* allocated and not freed */

int kd_gpm_samples(void) { return gpm_samples; }

int nvmlGpmQueryDeviceSupport(const gpu_t *gpu, gpm_support_t *support) {
    int code = refusal(gpu, NULL);
    if (code == SUCCESS) support->is_supported = (unsigned int)of(gpu, "GPM");
    return code;
}

int nvmlGpmSampleAlloc(gpm_sample_t **sample) {
    *sample = calloc(1, sizeof **sample);
    gpm_samples++;
    return SUCCESS;
}

int nvmlGpmSampleFree(gpm_sample_t *sample) {
    free(sample);
    gpm_samples--;
    return SUCCESS;
}

int nvmlGpmSampleGet(const gpu_t *gpu, gpm_sample_t *sample) {
    int code = refusal(gpu, "GPM_ERROR");
    if (code == SUCCESS) sample->of = gpu;
    return code;
}

int nvmlGpmMetricsGet(gpm_question_t *question) {
    const gpu_t *gpu = question->before->of;
    if (question->version != 1 || gpu == NULL || gpu != question->after->of) return INVALID_ARGUMENT;
    for (unsigned int i = 0; i < question->count; i++) {
        gpm_metric_t *metric = &question->metrics[i];
        metric->code = metric->id == 5 ? *knob("GPM_VALUE_ERROR") : SUCCESS;
        metric->value = metric->id == 2 ? of(gpu, "SM_BUSY") : metric->id == 5 ? of(gpu, "TENSOR_BUSY") : of(gpu, "MEMORY_UTILIZATION");
    }
    return SUCCESS;
}

/* Without room for samples it tells how many there may be, with room it gives those after the stamp. */
int nvmlDeviceGetSamples(const gpu_t *gpu, int kind, unsigned long long since, int *value_kind, unsigned int *count, sample_t *samples) {
    int code = refusal(gpu, "RING_ERROR");
    if (code == SUCCESS && of(gpu, "MIG_MODE")) code = NOT_SUPPORTED;
    if (code == SUCCESS && kind != 1) code = INVALID_ARGUMENT;
    if (code != SUCCESS) return code;
    *value_kind = 1; /* unsigned int */
    unsigned int pushed = gpu->pushed, found = 0;
    for (unsigned int i = pushed > MAX_SAMPLES ? pushed - MAX_SAMPLES : 0; i < pushed; i++) {
        const sample_t *sample = &gpu->ring[i % MAX_SAMPLES];
        if (sample->stamp <= since) continue;
        if (samples && found < *count) samples[found] = *sample;
        if (!samples || found < *count) found++;
    }
    *count = samples ? found : (found ? MAX_SAMPLES : 0);
    return found ? SUCCESS : *knob("EMPTY_RING");
}

int nvmlDeviceGetPowerUsage(const gpu_t *gpu, unsigned int *milliwatts) {
    int code = refusal(gpu, "POWER_ERROR");
    if (code == SUCCESS) *milliwatts = 123400;
    return code;
}
#endif
