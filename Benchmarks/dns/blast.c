/* blast PORT SECONDS [do|count]: with `do`, DNSSEC is asked for; with `count`, waits a second for answers at the end and
   prints how many queries had none beside. A closed loop of 20 connected sockets with 10 queries in flight each, by
   sendmmsg and recvmmsg; prints the number of answers. Mix: 60 % smtp-out A (8 members), 15 % AAAA,
   10 % MX, 10 % web A, 5 % NXDOMAIN. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
enum { SOCKETS = 20, FLIGHT = 10, KINDS = 20 };
static unsigned char query[KINDS][64];
static int length[KINDS];
static int wants_dnssec;
static void make(int kind, const char *host, int type) {
  unsigned char *p = query[kind];
  memcpy(p, "\0\1\1\0\0\1\0\0\0\0\0\1", 12);
  p += 12;
  const char *labels[] = {host, "farm", "test"};
  for (int i = 0; i < 3; i++) {
    *p++ = (unsigned char)strlen(labels[i]);
    memcpy(p, labels[i], strlen(labels[i]));
    p += strlen(labels[i]);
  }
  memcpy(p, "\0\0\0\0\1\0\0\51\4\320\0\0\0\0\0\0", 16);
  p[2] = (unsigned char)type;
  if (wants_dnssec) p[12] = 0x80;
  length[kind] = (int)(p + 16 - query[kind]);
}
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}
static unsigned turn;
static long sent;
static void fire(int s, int count) {
  struct mmsghdr m[FLIGHT] = {0};
  struct iovec v[FLIGHT];
  for (int i = 0; i < count; i++) {
    unsigned k = turn++ % KINDS;
    v[i] = (struct iovec){query[k], (size_t)length[k]};
    m[i].msg_hdr.msg_iov = &v[i];
    m[i].msg_hdr.msg_iovlen = 1;
  }
  int taken = sendmmsg(s, m, (unsigned)count, 0);
  if (taken > 0) sent += taken;
}
int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) return 2;
  int counts = argc == 4 && !strcmp(argv[3], "count");
  wants_dnssec = argc == 4 && !counts;
  for (int k = 0; k < KINDS; k++)
    k < 12   ? make(k, "smtp-out", 1)
    : k < 15 ? make(k, "smtp-out", 28)
    : k < 17 ? make(k, "bounce", 15)
    : k < 19 ? make(k, "web", 1)
             : make(k, "nothing", 1);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct pollfd p[SOCKETS];
  for (int i = 0; i < SOCKETS; i++) {
    p[i] = (struct pollfd){.fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN};
    if (connect(p[i].fd, (struct sockaddr *)&to, sizeof to)) return 1;
    fire(p[i].fd, FLIGHT);
  }
  static unsigned char room[FLIGHT][2048];
  long answers = 0;
  double end = now() + atof(argv[2]);
  while (now() < end + counts) {
    int ready = poll(p, SOCKETS, 100);
    for (int i = 0; i < SOCKETS; i++) {
      if (ready == 0 && now() < end) fire(p[i].fd, FLIGHT); /* everything was lost: start again */
      if (!(p[i].revents & POLLIN)) continue;
      struct mmsghdr m[FLIGHT] = {0};
      struct iovec v[FLIGHT];
      for (int k = 0; k < FLIGHT; k++) {
        v[k] = (struct iovec){room[k], 2048};
        m[k].msg_hdr.msg_iov = &v[k];
        m[k].msg_hdr.msg_iovlen = 1;
      }
      int got = recvmmsg(p[i].fd, m, FLIGHT, MSG_DONTWAIT, NULL);
      if (got <= 0) continue;
      answers += got;
      if (now() < end) fire(p[i].fd, got);
    }
  }
  if (counts) printf("%ld ", sent - answers);
  printf("%ld\n", answers);
  return 0;
}
