public import Datasets
public import Files
public import ServiceRuntime

extension DatasetError: ExitCodeError {
    /// 65: the input is wrong.
    public var exitCode: ExitCode { .badInput }
}

extension InputFileError: ExitCodeError {
    /// 65: the input is wrong.
    public var exitCode: ExitCode { .badInput }
}
