#include <microhttpd.h>

/* What the server asks of the library; MHD_start_daemon is variadic, which Swift cannot call. */
struct userllm_mhd_settings {
    int listen_socket;
    unsigned int connection_limit;
    unsigned int connection_limit_per_address;
    unsigned int idle_timeout_seconds;
    size_t header_memory;
};

static inline struct MHD_Daemon *userllm_mhd_start(
    const struct userllm_mhd_settings *settings,
    MHD_AccessHandlerCallback on_request,
    MHD_RequestCompletedCallback on_completed,
    size_t (*unescape)(void *, struct MHD_Connection *, char *),
    void *context
) {
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC,
        0, NULL, NULL, on_request, context,
        MHD_OPTION_LISTEN_SOCKET, settings->listen_socket,
        MHD_OPTION_CONNECTION_LIMIT, settings->connection_limit,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, settings->connection_limit_per_address,
        MHD_OPTION_CONNECTION_TIMEOUT, settings->idle_timeout_seconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, settings->header_memory,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, context,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, context,
        MHD_OPTION_END
    );
}
