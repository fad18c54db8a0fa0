import Foundation

/// Whether somebody listens at a TCP address at this moment.
public enum Reachable {
    /// Connects and hangs up at once.
    public static func tcp(_ address: String, _ port: UInt16) -> Bool {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = inet_addr(address)
        return withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

/// Asks `condition` again and again until it holds.
/// - Throws: `Failure` with `what` when it does not within `limit`.
public func eventually(
    _ what: String, within limit: Duration = .seconds(60),
    every pause: Duration = .milliseconds(100),
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return }
        try await Task.sleep(for: pause)
    }
    throw Failure("not within \(limit): \(what)")
}
