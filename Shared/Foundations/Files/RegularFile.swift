internal import Glibc

/// Checks what a path names before it is opened.
///
/// Opening a pipe blocks until somebody writes to it, and reading a device or a kernel file may never end. Readers of
/// files that people name must do neither.
public enum RegularFile {
    /// Where the kernel exposes files that have no end, or block.
    private static let kernelFolders = ["/proc/", "/sys/"]

    /// Checks that a path names a file that is stored somewhere, or a link to one.
    ///
    /// - Throws: `InputFileError` when there is nothing, or something else, and what to do then.
    public static func check(_ path: String) throws(InputFileError) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw InputFileError(path, errno == ENOENT ? "does not exist" : "cannot be opened: \(lastError)")
        }
        try check(status, path)
        let real = realPath(path)
        if kernelFolders.contains(where: real.hasPrefix) {
            throw InputFileError(path, "is made up by the kernel and no stored file; copy what it says to a file")
        }
    }

    /// Whether a path names a file that is stored somewhere, or a link to one.
    public static func exists(_ path: String) -> Bool {
        do throws(InputFileError) {
            try check(path)
            return true
        } catch {
            return false
        }
    }

    /// Where a path leads, with links resolved; the path itself where it leads nowhere.
    public static func realPath(_ path: String) -> String {
        guard let place = realpath(path, nil) else { return path }
        defer { free(place) }
        return String(cString: place)
    }

    /// Whether two paths lead to one file, by whatever links.
    public static func isSame(_ path: String, _ other: String) -> Bool {
        var (one, two) = (stat(), stat())
        return stat(path, &one) == 0 && stat(other, &two) == 0 && one.st_dev == two.st_dev && one.st_ino == two.st_ino
    }

    static func check(_ status: stat, _ path: String) throws(InputFileError) {
        switch status.st_mode & S_IFMT {
        case S_IFREG: return
        case S_IFDIR: throw InputFileError(path, "is a folder; give a file")
        case S_IFIFO:
            throw InputFileError(path, "is a pipe, which can be read only once; write what comes out of it to a file")
        case S_IFSOCK: throw InputFileError(path, "is a socket; give a file")
        case S_IFCHR, S_IFBLK: throw InputFileError(path, "is a device; give a file")
        default: throw InputFileError(path, "is no file")
        }
    }

    static var lastError: String { String(cString: strerror(errno)) }
}
