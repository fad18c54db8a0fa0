#ifndef CLDNS_SHIM_H
#define CLDNS_SHIM_H
/* <stdbool.h> must come before ldns.h: without it ldns defines bool as signed char. */
#include <stdbool.h>

#include <stdio.h>

#include <ldns/ldns.h>
#endif
