public import ServiceRuntime
public import MessageLogs

extension StreamError: ExitCodeError {
    /// 78 for a wrong setting, 69 for a log that is unreachable or not set up, 1 for the rest.
    public var exitCode: ExitCode {
        switch self {
        case .configuration, .topicMismatch, .settingMismatch: .configuration
        case .unavailable, .unknownTopic: .unavailable
        default: .failure
        }
    }
}
