import AuthDNS
import AuthDNSCore
import Farm
import Foundation
import Logging
import TestSupport
import Testing
import ZoneFile

/// What an operator sets about a running name server: its names, and the file of cookie secrets.
@Suite struct ServerSettingsTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func server(_ settings: ServerSettings) throws -> NameServer {
        let text = "$ORIGIN f.test.\n@ 60 IN SOA ns1 hm 1 60 15 604800 30\n@ 60 IN NS ns1\n"
        let zone = try readZone(at: directory.write("f.test.zone", text + "ns1 60 A 127.0.0.1\n"))
        return try NameServer(
            configuration: NameServerConfiguration(
                listen: [(.v4(0x7F00_0001), 0)], stateDirectory: directory.path,
                coalescing: .zero, settings: settings),
            zone: zone, logger: Logger(label: "test"))
    }

    private func ask(_ server: NameServer, _ options: [UInt8]) throws -> [UInt8] {
        let port = try #require(server.endpoints.first).port
        let client = try #require(LoopbackClient(port: port, stream: false))
        client.send(Question.bytes("f.test", 6, options: options))
        return try #require(client.receive())
    }

    private func secrets(_ text: String, mode: Int = 0o600) throws -> String {
        let path = try directory.write("secrets", text)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    private static let first = "e5e973e5a6b2a43f48e7dc849e37bfcf"
    private static let second = "445536bcd2513298075a5d379663c962"
    private static let third = "dd3bdf9344b678b185a6f5cb60fca715"

    @Test func itTellsItsNameOnceItHasOne() throws {
        var settings = ServerSettings()
        settings.identity = "ns-a.example"
        let named = try server(settings)
        named.start()
        defer { named.stop() }
        let reply = try ask(named, [0, 3, 0, 0])
        #expect(reply.suffix(12) == ArraySlice("ns-a.example".utf8))
        settings.identity = String(repeating: "n", count: 65)
        #expect(throws: NameServerError.self) { try server(settings) }
    }

    /// Servers that share a file know each other's cookies, also while one secret follows another.
    @Test func secretsAreSharedAndRolledOver() throws {
        var settings = ServerSettings()
        settings.cookies.isRequired = true
        settings.cookies.secretsFile = try secrets(Self.first + "\n")
        let server = try server(settings)
        server.start()
        defer { server.stop() }
        let client: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
        func code(_ cookie: [UInt8]) throws -> (UInt8, [UInt8]) {
            let reply = try ask(server, [0, 10, 0, UInt8(cookie.count)] + cookie)
            // The OPT record stands last: 11 octets, then the option of 28.
            let opt = reply.suffix(39)
            return (
                reply[3] & 15 | opt[opt.startIndex + 5] << 4, Array(reply.suffix(24))
            )
        }
        let (refused, learned) = try code(client)
        #expect(refused == 23 && Array(learned.prefix(8)) == client)
        #expect(try code(learned).0 == 0)

        _ = try secrets("# rolling\n\(Self.second)\n\(Self.first)\n")
        try server.rereadCookieSecrets()
        let (accepted, renewed) = try code(learned)
        #expect(accepted == 0 && renewed != learned)

        _ = try secrets(Self.second)
        try server.rereadCookieSecrets()
        #expect(try code(learned).0 == 23 && code(renewed).0 == 0)

        _ = try secrets("nonsense")
        #expect(throws: NameServerError.self) { try server.rereadCookieSecrets() }
        #expect(try code(renewed).0 == 0, "the good secrets stay")
    }

    @Test(
        arguments: [
            ("", 0o600, "no cookie secret"), ("abc\n", 0o600, "secrets:1: error: a cookie secret"),
            ("\n\(first)\nzz", 0o600, "secrets:3: error"),
            ("\(first)\n\(second)\n\(third)", 0o600, "a third secret"),
            (first, 0o604, "chmod 600"),
        ])
    func faultySecretsAreOneClearError(_ text: String, _ mode: Int, _ said: String) throws {
        var settings = ServerSettings()
        settings.cookies.secretsFile = try secrets(text, mode: mode)
        let error = #expect(throws: NameServerError.self) { try server(settings) }
        #expect(error?.description.contains(said) == true, "\(String(describing: error))")
    }

    @Test func aFileThatIsMissingIsOneClearError() throws {
        var settings = ServerSettings()
        settings.cookies.secretsFile = directory.file("none")
        let error = #expect(throws: NameServerError.self) { try server(settings) }
        #expect(error?.description.contains("No such file") == true)
    }
}
