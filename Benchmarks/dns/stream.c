/* stream PORT SECONDS: 8 TCP connections, each sent 16 queries for smtp-out A in one write as soon as the 16 answers
   before are there; prints the number of answers. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
enum { CONNECTIONS = 8, FLIGHT = 16 };
static unsigned char batch[FLIGHT * 64];
static int batch_length;
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}
int main(int argc, char **argv) {
  if (argc != 3) return 2;
  static const unsigned char query[] =
      "\0\50\0\1\1\0\0\1\0\0\0\0\0\0\10smtp-out\4farm\4test\0\0\1\0\1";
  int length = (int)sizeof query - 1;
  for (int i = 0; i < FLIGHT; i++) {
    memcpy(batch + batch_length, query, (size_t)length);
    batch[batch_length + 1] = (unsigned char)(length - 2);
    batch_length += length;
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct pollfd p[CONNECTIONS];
  int missing[CONNECTIONS], need[CONNECTIONS], have[CONNECTIONS];
  unsigned char head[CONNECTIONS][2];
  for (int i = 0; i < CONNECTIONS; i++) {
    p[i] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
    if (connect(p[i].fd, (struct sockaddr *)&to, sizeof to)) return 1;
    if (write(p[i].fd, batch, (size_t)batch_length) != batch_length) return 1;
    missing[i] = FLIGHT, need[i] = 0, have[i] = 0;
  }
  long answers = 0;
  static unsigned char room[1 << 16];
  for (double end = now() + atof(argv[2]); now() < end;) {
    poll(p, CONNECTIONS, 100);
    for (int i = 0; i < CONNECTIONS; i++) {
      if (!(p[i].revents & POLLIN)) continue;
      long got = read(p[i].fd, room, sizeof room);
      if (got <= 0) return 1;
      for (long at = 0; at < got;) {
        if (have[i] < 2) {
          head[i][have[i]++] = room[at++];
          if (have[i] == 2) need[i] = head[i][0] << 8 | head[i][1];
          continue;
        }
        long take = got - at < need[i] ? got - at : need[i];
        need[i] -= (int)take, at += take;
        if (need[i] == 0) have[i] = 0, answers++, missing[i]--;
      }
      if (missing[i] == 0) {
        missing[i] = FLIGHT;
        if (write(p[i].fd, batch, (size_t)batch_length) != batch_length) return 1;
      }
    }
  }
  printf("%ld\n", answers);
}
