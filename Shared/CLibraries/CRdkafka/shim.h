#include <librdkafka/rdkafka.h>
// Declarations alone: tests use librdkafka's own mock of a cluster.
#include <librdkafka/rdkafka_mock.h>
