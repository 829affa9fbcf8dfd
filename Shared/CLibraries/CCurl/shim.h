#include <curl/curl.h>

/* curl_easy_setopt and curl_easy_getinfo are variadic, which Swift cannot call. */
static inline CURLcode userllm_curl_set_long(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode userllm_curl_set_size(CURL *handle, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode userllm_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode userllm_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}

typedef size_t (*userllm_curl_callback)(char *, size_t, size_t, void *);

static inline CURLcode userllm_curl_set_callback(CURL *handle, CURLoption option, userllm_curl_callback value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode userllm_curl_status(CURL *handle, long *status) {
    return curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, status);
}

static inline CURLMcode userllm_curl_multi_set_long(CURLM *handle, CURLMoption option, long value) {
    return curl_multi_setopt(handle, option, value);
}

/* The macros of an option's number arrive in Swift as names of an enum, the message's union as a C pointer. */
static inline CURLcode userllm_curl_message_result(const CURLMsg *message) {
    return message->data.result;
}
