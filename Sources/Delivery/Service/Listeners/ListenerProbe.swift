import Farm
import NIOCore
import NIOPosix

/// The test that a listener makes of itself before it calls itself ready: a connection from outside, as a
/// client would make it, and the first thing that is said on it.
enum ListenerProbe {
    private static let patience = Duration.seconds(5)

    /// - Parameters:
    ///   - saying: what the client says first; empty where the server greets.
    ///   - expected: how the answer may begin.
    /// - Throws: `ListenerError` when another answer comes, or none in five seconds.
    static func check(
        _ address: IPAddress, _ port: Int, saying text: String = "", expecting expected: [String],
        _ group: any EventLoopGroup
    ) async throws {
        let place = "\(address) port \(port)"
        let answer: String?
        do {
            answer = try await withThrowingTaskGroup(of: String?.self) { tasks in
                tasks.addTask { try await ask(address, port, text, group) }
                tasks.addTask {
                    try await Task.sleep(for: patience)
                    return nil
                }
                defer { tasks.cancelAll() }
                return try await tasks.next() ?? nil
            }
        } catch {
            throw ListenerError("nobody can connect to \(place): \(error)")
        }
        guard let answer else { throw ListenerError("no answer on \(place)") }
        guard expected.contains(where: answer.hasPrefix) else {
            throw ListenerError("\(place) answers '\(answer.prefix(80))', not '\(expected[0])…'")
        }
    }

    private static func ask(
        _ address: IPAddress, _ port: Int, _ text: String, _ group: any EventLoopGroup
    ) async throws -> String {
        let channel = try await ClientBootstrap(group: group).connect(
            host: address.description, port: port
        ) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        return try await channel.executeThenClose { inbound, outbound in
            if !text.isEmpty { try await outbound.write(ByteBuffer(string: text)) }
            for try await buffer in inbound {
                return String(decoding: buffer.readableBytesView, as: UTF8.self)
            }
            return ""
        }
    }
}
