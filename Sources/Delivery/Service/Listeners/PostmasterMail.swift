import DeliveryCore
import Dispatch
import Farm
import Foundation
import Synchronization

/// Mail for postmaster and abuse: a file per message in `postmaster/new`, as a Maildir has it, to be read or
/// fetched by people. Nothing is ever deleted from here: when as much lies there as strangers may leave,
/// further mail is put off until somebody has made room.
final class PostmasterMail: Sendable {
    /// Strangers have left as much as they may.
    struct Full: Error {}

    struct Quota: Sendable {
        var octets = 256 << 20
        var messages = 10_000
    }

    private let directory: String
    private let quota: Quota
    /// What lies in `new`, as of the last look and what was added since; nil before the first look. Disk work
    /// holds it: one message is written at a time.
    private let kept = Mutex<(octets: Int, messages: Int)?>(nil)
    private let queue = DispatchQueue(label: "postmaster")

    /// - Parameter directory: of the agent; `postmaster` is made below it.
    init(directory: String, quota: Quota = Quota()) {
        self.directory = directory + "/postmaster"
        self.quota = quota
    }

    /// - Throws: `Full`, or what the system says, when the message is not on disk.
    func keep(_ message: SMTPServer.Message, from client: SMTPPeer) async throws {
        let name = "\(Int64(Date().timeIntervalSince1970)).\(UUID().uuidString).smurf"
        let sender = message.sender?.address ?? ""
        var text = Data(
            """
            Return-Path: <\(sender)>\r
            Received: from \(client.name.isEmpty ? "unknown" : client.name) \
            (\(client.address?.description ?? "unknown"))\r\n
            """.utf8)
        text.append(contentsOf: message.content)
        let content = text
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            queue.async { done.resume(with: Result { try self.write(content, name) }) }
        }
    }

    private func write(_ content: Data, _ name: String) throws {
        for folder in ["tmp", "new", "cur"] {
            try FileManager.default.createDirectory(
                atPath: directory + "/" + folder, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        }
        try kept.withLock { kept in
            // What people have taken away is found out when it matters.
            if let known = kept, !fits(content, beside: known) { kept = nil }
            let known = try kept ?? look()
            kept = known
            guard fits(content, beside: known) else { throw Full() }
            try file(content, name)
            kept = (known.octets + content.count, known.messages + 1)
        }
    }

    private func fits(_ content: Data, beside known: (octets: Int, messages: Int)) -> Bool {
        known.messages < quota.messages && known.octets + content.count <= quota.octets
    }

    private func look() throws -> (octets: Int, messages: Int) {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory + "/new")
        let sizes = names.map { name in
            let facts = try? FileManager.default.attributesOfItem(
                atPath: directory + "/new/" + name)
            return (facts?[.size] as? NSNumber)?.intValue ?? 0
        }
        return (sizes.reduce(0, +), names.count)
    }

    private func file(_ content: Data, _ name: String) throws {
        let draft = directory + "/tmp/" + name
        guard FileManager.default.createFile(atPath: draft, contents: nil),
            let handle = FileHandle(forWritingAtPath: draft)
        else { throw SpoolError("cannot make '\(draft)'") }
        do {
            try handle.write(contentsOf: content)
            try handle.synchronize()
            try handle.close()
            try FileManager.default.moveItem(atPath: draft, toPath: directory + "/new/" + name)
            for folder in [directory + "/new", directory] { try SpoolDisk.syncDirectory(folder) }
        } catch {
            try? FileManager.default.removeItem(atPath: draft)
            throw error
        }
    }
}
