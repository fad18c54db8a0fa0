import Foundation
import TestSupport

/// A Postfix with its own configuration, queue and address, in the foreground, outside any chroot: a
/// relay that takes mail by SMTP, or a client that takes mail from `sendmail`, or both.
final class PostfixServer {
    struct Settings {
        var name: String
        /// Where its SMTP server listens; none when it only takes mail from `sendmail`.
        var listen: (address: String, port: UInt16)?
        /// `[host]:port`, everything goes there.
        var relayHost: String
        /// The address it connects from.
        var bindAddress: String
        /// Its resolver asks this name server, port 53; nil leaves the machine's resolver.
        var nameServer: String?
        /// Further lines of main.cf.
        var further: [String] = []
    }

    static let isHere = FileManager.default.isExecutableFile(atPath: "/usr/sbin/postfix")

    let configuration: String
    private let daemon: Daemon
    private let directory: TemporaryDirectory

    var log: String { daemon.log }

    /// Starts the mail system and waits until it takes mail.
    init(_ settings: Settings) async throws {
        directory = try TemporaryDirectory()
        // Its processes run as 'postfix' and must get through to the queue.
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o755], ofItemAtPath: directory.path)
        for folder in ["conf", "queue", "data"] {
            try FileManager.default.createDirectory(
                atPath: directory.file(folder), withIntermediateDirectories: false)
        }
        let owned = try await run(["chown", "postfix", directory.file("data")])
        guard owned.status == 0 else { throw Failure("chown: \(owned.errors)") }
        configuration = directory.file("conf")
        try directory.write("conf/main.cf", PostfixServer.main(settings, directory))
        try directory.write("conf/master.cf", PostfixServer.master(settings))
        let isolation = try PostfixServer.isolation(settings, directory)
        // `master` becomes the leader of a session, which the leader of a process group cannot: so it is a
        // child of the shell, and dies with it.
        let command =
            "\(isolation) postfix -c \(configuration) check && "
            + "setpriv --pdeathsig TERM /usr/lib/postfix/sbin/master -c \(configuration) -s; exit $?"
        daemon = try Daemon(
            settings.name, ["unshare", "-m", "bash", "-c", command], directory: directory,
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
        let socket = directory.file("queue/public/cleanup")
        try await daemon.ready {
            guard let listen = settings.listen else {
                return FileManager.default.fileExists(atPath: socket)
            }
            return Reachable.tcp(listen.address, listen.port)
        }
    }

    /// Ends the mail system with all its processes.
    func stop() async {
        // Its own word for who it is: the signal reaches it whatever stands between it and this process.
        let file = directory.file("queue/pid/master.pid")
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        if let master = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)), master > 1 {
            // Programs started by the tests inherit blocked signals: SIGTERM would never arrive.
            kill(master, SIGKILL)
        }
        await daemon.stop()
    }

    /// Hands one message to `sendmail`, as a program on the client's machine does.
    func inject(from sender: String, to recipient: String, message: String) async throws {
        let result = try await run(
            ["sendmail", "-C", configuration, "-i", "-f", sender, recipient], input: message)
        guard result.status == 0 else { throw Failure("sendmail: \(result.errors)") }
    }

    /// The queue, one line per message with why it waits; empty when everything has left.
    func queue() async throws -> [String] {
        let result = try await run(["postqueue", "-c", configuration, "-j"])
        guard result.status == 0 else { throw Failure("postqueue: \(result.errors)") }
        return result.output.split(separator: "\n").map(String.init)
    }

    private static func isolation(
        _ settings: Settings, _ directory: TemporaryDirectory
    ) throws -> String {
        guard let server = settings.nameServer else { return "" }
        let resolver = try directory.write("resolv.conf", "nameserver \(server)\n")
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o644], ofItemAtPath: resolver)
        return "mount --make-rprivate / && mount --bind \(resolver) /etc/resolv.conf &&"
    }

    private static func main(_ settings: Settings, _ directory: TemporaryDirectory) -> String {
        let lines = [
            "compatibility_level = 3.6",
            "queue_directory = \(directory.file("queue"))",
            "data_directory = \(directory.file("data"))",
            "command_directory = /usr/sbin",
            "daemon_directory = /usr/lib/postfix/sbin",
            "mail_owner = postfix",
            "setgid_group = postdrop",
            "myhostname = \(settings.name).example.test",
            "mydestination =",
            "alias_maps =",
            "inet_interfaces = 127.0.0.1",
            "inet_protocols = ipv4",
            "mynetworks = 127.0.0.0/8",
            "smtp_bind_address = \(settings.bindAddress)",
            "relayhost = \(settings.relayHost)",
            "maillog_file = /dev/stdout",
            "smtpd_peername_lookup = no",
            "smtpd_client_connection_count_limit = 0",
            "minimal_backoff_time = 5s",
            "maximal_backoff_time = 10s",
            "queue_run_delay = 5s",
        ]
        return (lines + settings.further).joined(separator: "\n") + "\n"
    }

    private static func master(_ settings: Settings) -> String {
        let entry =
            settings.listen.map { "\($0.address):\($0.port) inet n - n - - smtpd\n" } ?? ""
        return entry + """
            pickup unix n - n 60 1 pickup
            cleanup unix n - n - 0 cleanup
            qmgr unix n - n 300 1 qmgr
            rewrite unix - - n - - trivial-rewrite
            bounce unix - - n - 0 bounce
            defer unix - - n - 0 bounce
            trace unix - - n - 0 bounce
            verify unix - - n - 1 verify
            flush unix n - n 1000? 0 flush
            proxymap unix - - n - - proxymap
            smtp unix - - n - 20 smtp
            relay unix - - n - 20 smtp
            showq unix n - n - - showq
            error unix - - n - - error
            retry unix - - n - - error
            discard unix - - n - - discard
            anvil unix - - n - 1 anvil
            scache unix - - n - 1 scache
            postlog unix-dgram n - n - 1 postlogd

            """
    }
}
