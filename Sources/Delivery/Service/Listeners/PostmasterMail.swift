import DeliveryCore
import Farm
import Foundation

/// Mail for postmaster and abuse: a file per message in `postmaster/new`, as a Maildir has it, to be read or
/// fetched by people. Nothing is ever deleted from here.
struct PostmasterMail: Sendable {
    let directory: String

    /// - Parameter directory: of the agent; `postmaster` is made below it.
    init(directory: String) { self.directory = directory + "/postmaster" }

    /// - Throws: when the message is not on disk.
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
        let (directory, content) = (directory, text)
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            DispatchQueue.global().async {
                done.resume(
                    with: Result { try PostmasterMail.write(content, name, below: directory) })
            }
        }
    }

    private static func write(_ content: Data, _ name: String, below directory: String) throws {
        for folder in ["tmp", "new", "cur"] {
            try FileManager.default.createDirectory(
                atPath: directory + "/" + folder, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        }
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
