/* A driver library for tests: answers from the text file named by FAKE_NVML, read at each call.
 * First line: the error code of init. Then a line per GPU:
 *   counter_mj counter_error power_mw power_error
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned long long counter; int counter_error; unsigned power; int power_error; } Gpu;
static Gpu gpus[8];
static int init_error, count;
static int handles[8];

static void load(void) {
    FILE *file = fopen(getenv("FAKE_NVML"), "r");
    count = 0;
    if (fscanf(file, "%d", &init_error) != 1) init_error = 999;
    while (count < 8 && fscanf(file, "%llu %d %u %d", &gpus[count].counter,
           &gpus[count].counter_error, &gpus[count].power, &gpus[count].power_error) == 4) count++;
    fclose(file);
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; load(); return init_error; }
int nvmlInit_v2(void) { load(); return init_error; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *number) { load(); *number = count; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    handles[index] = index; *handle = &handles[index]; return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *energy) {
    load(); Gpu *gpu = &gpus[*(int *)handle]; *energy = gpu->counter; return gpu->counter_error;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *power) {
    load(); Gpu *gpu = &gpus[*(int *)handle]; *power = gpu->power; return gpu->power_error;
}
int nvmlDeviceGetName(void *handle, char *name, unsigned length) { /* FAKE_MODELS=AB: a letter each */
    const char *models = getenv("FAKE_MODELS");
    snprintf(name, length, "Model %c", models ? models[*(int *)handle] : 'A'); return 0;
}
int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) {
    snprintf(uuid, length, "GPU-%d", *(int *)handle); return 0;
}
const char *nvmlErrorString(int code) { (void)code; return "fake driver error"; }
