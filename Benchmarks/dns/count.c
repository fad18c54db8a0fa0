/* Counts what a Swift program allocates, retains and releases, by standing in front of the functions (LD_PRELOAD). The
   counts are in the file that COUNTS names, three 64-bit numbers, to be read at any time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static volatile unsigned long spare[3];
static volatile unsigned long *counts = spare;
__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("COUNTS");
  int file = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
  if (file < 0 || ftruncate(file, 4096) < 0) return;
  void *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at != MAP_FAILED) counts = at;
}
#define COUNTED(index, result, name, parameters, arguments) \
  result name parameters {                                  \
    static result(*next) parameters;                        \
    if (!next) next = dlsym(RTLD_NEXT, #name);              \
    __atomic_add_fetch(&counts[index], 1, __ATOMIC_RELAXED); \
    return next arguments;                                  \
  }
COUNTED(0, void *, swift_slowAlloc, (size_t size, size_t mask), (size, mask))
COUNTED(0, void *, swift_allocObject, (void *type, size_t size, size_t mask), (type, size, mask))
COUNTED(1, void *, swift_retain, (void *object), (object))
COUNTED(1, void *, swift_bridgeObjectRetain, (void *object), (object))
COUNTED(2, void, swift_release, (void *object), (object))
COUNTED(2, void, swift_bridgeObjectRelease, (void *object), (object))
