import Glibc

extension PrivateFile {
    /// Makes a folder, and those above it, unless it is there.
    ///
    /// - Parameters:
    ///   - path: the folder.
    ///   - mode: its permissions, whatever the process's mask.
    ///   - isEnforced: whether a folder that is there gets them too.
    /// - Throws: `ProcessFailure` with the path and the reason.
    public static func makeFolder(_ path: String, mode: UInt32 = 0o755, isEnforced: Bool = false) throws(ProcessFailure)
    {
        var isNew = false
        if try FileEntry(path) == .missing {
            let above = parent(of: path)
            if above != path { try makeFolder(above) }
            isNew = mkdir(path, mode) == 0
            guard isNew || errno == EEXIST else { throw failure("\(path) cannot be made", errno) }
        }
        switch try FileEntry(path) {
        case .folder: break
        case .link(let target):
            throw ProcessFailure("\(path) is a link to \(target), which is not there", exitCode: .configuration)
        case .file, .missing: throw ProcessFailure("\(path) is no folder", exitCode: .configuration)
        }
        if isNew && mode != 0o755 || isEnforced, chmod(path, mode) != 0 {
            throw failure("the permissions of \(path) cannot be set", errno)
        }
    }

    /// Makes a folder that one user alone can enter, or takes the one that is there if it is such a folder.
    ///
    /// The path is examined without following links: in a folder such as `/tmp` it may be somebody else's.
    /// - Parameters:
    ///   - path: the folder; the one above it exists.
    ///   - user: its owner; nil is the user of this process.
    /// - Throws: `ProcessFailure` when it exists and is no folder, belongs to somebody else, or is open to others.
    public static func makeFolder(_ path: String, ownedBy user: String?) throws(ProcessFailure) {
        var owner: (user: uid_t, group: gid_t) = (geteuid(), getegid())
        if let user {
            guard let numbers = OperatingSystemUser.numbers(of: user) else {
                throw ProcessFailure("there is no user \(user)", exitCode: .configuration)
            }
            owner = numbers
        }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("\(path) cannot be made", errno) }
        var found = try status(of: path)
        guard found.st_mode & S_IFMT == S_IFDIR else {
            throw ProcessFailure("\(path) is no folder", exitCode: .configuration)
        }
        // Created just now, or by a start that was killed before it changed the folder's owner.
        if found.st_uid == geteuid(), owner.user != geteuid() {
            guard lchown(path, owner.user, owner.group) == 0 else {
                throw failure("\(path) cannot be given to another user", errno)
            }
            found = try status(of: path)
        }
        guard found.st_uid == owner.user else {
            throw ProcessFailure("\(path) belongs to another user (number \(found.st_uid))", exitCode: .configuration)
        }
        guard found.st_mode & 0o777 == 0o700 || chmod(path, 0o700) == 0 else {
            throw failure("\(path) is open to others", errno)
        }
    }

    /// Removes a folder if nothing is in it.
    public static func removeEmptyFolder(_ path: String) { rmdir(path) }

    private static func status(of path: String) throws(ProcessFailure) -> stat {
        var found = stat()
        guard lstat(path, &found) == 0 else { throw failure("\(path) cannot be looked at", errno) }
        return found
    }
}
