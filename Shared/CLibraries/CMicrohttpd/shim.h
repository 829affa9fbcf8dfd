#include <microhttpd.h>
#include <sys/epoll.h>

/* What the server asks of the library; MHD_start_daemon is variadic, which Swift cannot call. */
struct userllm_mhd_settings {
    int listen_socket;
    unsigned int connection_limit;
    unsigned int idle_timeout_seconds;
    size_t header_memory;
};

/* What the library calls, always on its own thread. */
struct userllm_mhd_callbacks {
    MHD_AccessHandlerCallback on_request;
    MHD_RequestCompletedCallback on_completed;
    MHD_NotifyConnectionCallback on_connection;
    void *(*on_target)(void *, const char *, struct MHD_Connection *);
    size_t (*unescape)(void *, struct MHD_Connection *, char *);
    MHD_LogCallback on_message;
};

static inline struct MHD_Daemon *userllm_mhd_start(
    const struct userllm_mhd_settings *settings,
    const struct userllm_mhd_callbacks *callbacks,
    void *context
) {
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG,
        0, NULL, NULL, callbacks->on_request, context,
        /* First, because the options behind it may already have something to say. */
        MHD_OPTION_EXTERNAL_LOGGER, callbacks->on_message, context,
        MHD_OPTION_LISTEN_SOCKET, settings->listen_socket,
        MHD_OPTION_CONNECTION_LIMIT, settings->connection_limit,
        MHD_OPTION_CONNECTION_TIMEOUT, settings->idle_timeout_seconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, settings->header_memory,
        MHD_OPTION_NOTIFY_COMPLETED, callbacks->on_completed, context,
        MHD_OPTION_NOTIFY_CONNECTION, callbacks->on_connection, context,
        MHD_OPTION_URI_LOG_CALLBACK, callbacks->on_target, context,
        MHD_OPTION_UNESCAPE_CALLBACK, callbacks->unescape, context,
        MHD_OPTION_END
    );
}

/* MHD_get_connection_info is variadic too; what it tells is there as long as its connection. */
static inline int userllm_mhd_descriptor(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static inline const struct sockaddr *userllm_mhd_client_address(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info == NULL ? NULL : info->client_addr;
}

static inline void *userllm_mhd_socket_context(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static inline size_t userllm_mhd_head_byte_count(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info == NULL ? 0 : info->header_size;
}

static inline int userllm_mhd_begins(enum MHD_ConnectionNotificationCode code) {
    return code == MHD_CONNECTION_NOTIFY_STARTED;
}
