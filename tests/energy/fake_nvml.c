/* A driver library for tests. FAKE_NVML names its state: a text file of lines "key value", read
 * anew at each call; of several lines with one key the last holds. Keys of a GPU begin with its
 * number, as in "0.energy 1000"; "0.energy.error 15" makes the call fail with that code, and
 * "MIG-x 1" is a slice of GPU 1. A limit that is set is appended to the state, and noted in
 * FAKE_NVML.log. "0.set.kill 1" kills the process before the limit is set, 2 after it.
 * Built with -DOLD_DRIVER it lacks the calls that old drivers lack.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUM_GPUS = 8, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6 };
static int gpus[NUM_GPUS], slices[NUM_GPUS]; /* handles point into them */

static long long value(const char *key, long long otherwise) {
    FILE *file = fopen(getenv("FAKE_NVML"), "r");
    char name[100];
    long long found = otherwise, number;
    while (file && fscanf(file, "%99s %lld", name, &number) == 2)
        if (!strcmp(name, key)) found = number;
    if (file) fclose(file);
    return found;
}

static long long of_gpu(void *handle, const char *what, long long otherwise) {
    char key[100];
    snprintf(key, sizeof key, "%d.%s", *(int *)handle, what);
    return value(key, otherwise);
}

static int answer(void *handle, const char *what, long long otherwise, unsigned *into) {
    char key[100];
    snprintf(key, sizeof key, "%s.error", what);
    *into = (unsigned)of_gpu(handle, what, otherwise);
    return (int)of_gpu(handle, key, 0);
}

static void append(const char *suffix, void *handle, const char *what, unsigned number) {
    char path[1000];
    snprintf(path, sizeof path, "%s%s", getenv("FAKE_NVML"), suffix);
    FILE *file = fopen(path, "a");
    fprintf(file, "%d.%s %u\n", *(int *)handle, what, number);
    fclose(file);
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return (int)value("init.error", 0); }
int nvmlShutdown(void) { return (int)value("shutdown.error", 0); }
const char *nvmlErrorString(int code) { (void)code; return "fake driver error"; }

int nvmlDeviceGetCount_v2(unsigned *number) {
    *number = (unsigned)value("count", 0);
    return (int)value("count.error", 0);
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    if (index >= NUM_GPUS) return INVALID_ARGUMENT;
    gpus[index] = (int)index;
    *handle = &gpus[index];
    return (int)of_gpu(*handle, "handle.error", 0);
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    int index = !strncmp(uuid, "GPU-", 4) ? atoi(uuid + 4) : (int)value(uuid, -1);
    if (index < 0 || index >= value("count", 0)) return NOT_FOUND;
    if (!strncmp(uuid, "GPU-", 4)) return nvmlDeviceGetHandleByIndex_v2((unsigned)index, handle);
    slices[index] = index;
    *handle = &slices[index];
    return 0;
}
int nvmlDeviceGetIndex(void *handle, unsigned *index) { *index = *(unsigned *)handle; return 0; }
int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) {
    snprintf(uuid, length, "GPU-%d", *(int *)handle);
    return (int)of_gpu(handle, "uuid.error", 0);
}
int nvmlDeviceGetName(void *handle, char *name, unsigned length) {
    snprintf(name, length, "Model %lld", of_gpu(handle, "model", 0));
    return 0;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *power) {
    return answer(handle, "power", 0, power);
}

#ifndef OLD_DRIVER
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *energy) {
    *energy = (unsigned long long)of_gpu(handle, "energy", 0);
    return (int)of_gpu(handle, "energy.error", 0);
}
int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    *pending = 0;
    *current = (unsigned)of_gpu(handle, "mig", -1);
    return of_gpu(handle, "mig", -1) < 0 ? NOT_SUPPORTED : 0;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *slice, void **handle) {
    return nvmlDeviceGetHandleByIndex_v2(*(unsigned *)slice, handle);
}
#endif

int nvmlDeviceGetPowerManagementLimit(void *handle, unsigned *limit) {
    return answer(handle, "limit", 300000, limit);
}
int nvmlDeviceGetPowerManagementLimitConstraints(void *handle, unsigned *least, unsigned *most) {
    *least = (unsigned)of_gpu(handle, "limit.min", 100000);
    *most = (unsigned)of_gpu(handle, "limit.max", 300000);
    return (int)of_gpu(handle, "range.error", 0);
}
int nvmlDeviceSetPowerManagementLimit(void *handle, unsigned limit) {
    long long error = of_gpu(handle, "set.error", 0), kill_at = of_gpu(handle, "set.kill", 0);
    if (limit < of_gpu(handle, "limit.min", 100000) || limit > of_gpu(handle, "limit.max", 300000))
        error = INVALID_ARGUMENT;
    append(".log", handle, error ? "refused" : "set", limit);
    if (kill_at == 1) raise(SIGKILL);
    if (!error) append("", handle, "limit", limit);
    if (kill_at == 2) raise(SIGKILL);
    return (int)error;
}
