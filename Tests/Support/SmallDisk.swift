import Foundation

/// A file system of its own with little room, for what happens when a disk is full. It is mounted in a
/// directory that is given or temporary, and goes with the value. Needs root.
public final class SmallDisk: Sendable {
    public let path: String

    /// Whether this process may mount.
    public static var isPossible: Bool { geteuid() == 0 }

    private let directory: TemporaryDirectory?

    /// - Parameters:
    ///   - kibibytes: room for files.
    ///   - path: a directory to be made; nil = a temporary one.
    public init(kibibytes: Int, at path: String? = nil) async throws {
        directory = path == nil ? try TemporaryDirectory() : nil
        self.path = path ?? directory?.file("disk") ?? ""
        try FileManager.default.createDirectory(
            atPath: self.path, withIntermediateDirectories: false)
        let mount = try await run([
            "mount", "-t", "tmpfs", "-o", "size=\(kibibytes)k", "smurf-test", self.path,
        ])
        guard mount.status == 0 else { throw Failure("cannot mount: \(mount.errors)") }
    }

    /// Takes all the room that is left.
    public func fill() throws {
        let ballast = path + "/ballast"
        _ = FileManager.default.createFile(atPath: ballast, contents: nil)
        guard let file = FileHandle(forWritingAtPath: ballast) else {
            throw Failure("cannot write \(ballast)")
        }
        file.seekToEndOfFile()
        for size in [1 << 16, 1 << 12, 1] {
            while (try? file.write(contentsOf: Data(count: size))) != nil {}
        }
        try file.close()
    }

    /// Gives back what `fill` took.
    public func relieve() throws { try FileManager.default.removeItem(atPath: path + "/ballast") }

    deinit {
        let unmount = Process()
        unmount.executableURL = URL(fileURLWithPath: "/bin/umount")
        unmount.arguments = ["-l", path]
        try? unmount.run()
        unmount.waitUntilExit()
    }
}
