import Foundation

/// The account that a control node runs as once its ports are bound: root is needed for port 53 and for nothing
/// else. Giving root up is for good and holds for every thread.
struct Privileges {
    let name: String
    private let user: uid_t
    private let group: gid_t

    /// - Parameter name: of an account on this machine.
    /// - Throws: when there is none, or this process is not root and not it.
    init(of name: String) throws(ControlNodeError) {
        guard let entry = unsafe getpwnam(name) else {
            throw ControlNodeError(
                description: "--user \(name): there is no such account: make one by 'adduser "
                    + "--system --group \(name)'")
        }
        self.name = name
        user = unsafe entry.pointee.pw_uid
        group = unsafe entry.pointee.pw_gid
        guard geteuid() == 0 || geteuid() == user else {
            throw ControlNodeError(
                description: "--user \(name): only root can become another account")
        }
    }

    /// Makes `path` and what is in it the account's.
    func own(_ path: String) throws(ControlNodeError) {
        guard geteuid() == 0 else { return }
        let inside = FileManager.default.enumerator(atPath: path)
        let items = inside?.compactMap { ($0 as? String).map { path + "/" + $0 } } ?? []
        for item in [path] + items
        where unsafe lchown(item, user, group) != 0 {
            throw ControlNodeError(
                description: "cannot give '\(item)' to \(name): \(reason(errno))")
        }
    }

    /// Becomes the account.
    /// - Parameter files: what it must be able to read again later.
    /// - Throws: when the kernel refuses, or root could be had again: nothing must be served then.
    func take(toRead files: [String]) throws(ControlNodeError) {
        try take()
        for file in files where unsafe access(file, R_OK) != 0 {
            throw ControlNodeError(
                description:
                    "\(name) cannot read '\(file)': \(reason(errno)): SIGHUP could not read it anew"
            )
        }
    }

    private func take() throws(ControlNodeError) {
        guard geteuid() == 0, user != 0 else { return }
        guard unsafe initgroups(name, group) == 0, setgid(group) == 0, setuid(user) == 0,
            setuid(0) != 0
        else {
            throw ControlNodeError(
                description: "cannot become \(name): \(reason(errno))")
        }
    }
}
