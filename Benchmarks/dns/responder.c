/* responder PORT OCTETS: the least that can be called a server, for the kernel's limit: batches of 32 by recvmmsg and
   sendmmsg, each query sent back with QR set and a fixed tail, so that it has OCTETS in all. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
enum { BATCH = 32, ROOM = 2048 };
int main(int argc, char **argv) {
  if (argc != 3) return 2;
  static unsigned char bytes[BATCH][ROOM];
  static struct sockaddr_in from[BATCH];
  struct mmsghdr m[BATCH] = {0};
  struct iovec v[BATCH];
  size_t size = (size_t)atoi(argv[2]);
  int s = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(s, (struct sockaddr *)&at, sizeof at)) return 1;
  for (;;) {
    for (int i = 0; i < BATCH; i++) {
      v[i] = (struct iovec){bytes[i], ROOM};
      m[i].msg_hdr = (struct msghdr){
          .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &v[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(s, m, BATCH, MSG_WAITFORONE, 0);
    for (int i = 0; i < count; i++) {
      bytes[i][2] |= 0x84;
      memset(bytes[i] + m[i].msg_len, 0x5a, size - m[i].msg_len);
      v[i].iov_len = size;
    }
    for (int sent = 0; sent < count;) {
      int now = sendmmsg(s, m + sent, (unsigned)(count - sent), 0);
      sent += now > 0 ? now : 1;
    }
  }
}
