// What librdkafka does from C: appends COUNT records of SIZE bytes, acknowledged by all replicas, as fast as it can, and
// prints the seconds until the last acknowledgement. Settings are the event ingestor's.
//
//   kafka-append-peer HOST:PORT TOPIC COUNT SIZE
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long failed;

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    if (message->err) failed++;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int count, char **words) {
    if (count != 5) return fprintf(stderr, "usage: kafka-append-peer HOST:PORT TOPIC COUNT SIZE\n"), 64;
    const char *settings[][2] = {
        {"bootstrap.servers", words[1]}, {"acks", "all"}, {"enable.idempotence", "true"}, {"linger.ms", "2"},
        {"batch.size", "262144"}, {"compression.codec", "lz4"}, {"queue.buffering.max.messages", "100000"},
        {"queue.buffering.max.kbytes", "65536"}, {"partitioner", "murmur2_random"}, {"socket.nagle.disable", "true"},
    };
    char error[512];
    rd_kafka_conf_t *configuration = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(configuration, settings[i][0], settings[i][1], error, sizeof error) != RD_KAFKA_CONF_OK)
            return fprintf(stderr, "%s\n", error), 1;
    rd_kafka_conf_set_dr_msg_cb(configuration, delivered);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, error, sizeof error);
    if (!client) return fprintf(stderr, "%s\n", error), 1;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, words[2], NULL);
    long records = atol(words[3]);
    size_t size = (size_t)atol(words[4]);
    char *value = malloc(size);
    memset(value, 'x', size);
    // The first record waits for the topic's metadata; the clock starts behind it.
    rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size, "0", 1, NULL);
    rd_kafka_flush(client, 30000);
    double start = now();
    for (long i = 0; i < records; i++) {
        char key[24];
        size_t length = (size_t)snprintf(key, sizeof key, "u%ld", i % 5000);
        memcpy(value, key, length < size ? length : size);
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size, key, length, NULL) == -1)
            rd_kafka_poll(client, 10);
        if (i % 256 == 0) rd_kafka_poll(client, 0);
    }
    rd_kafka_flush(client, 60000);
    printf("%.6f\n", now() - start);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return failed > 0;
}
