import Foundation
import TestSupport
import Testing

/// Files that people write by hand, with their usual mistakes, and machines that do not give what they
/// should: one clear line that names the place, a status that scripts understand, nothing half done.
@Suite(.serialized) struct BadInputTests {
    private static let letter =
        "From: L <l@smurf.example.test>\nTo: {{address}}\nSubject: Hi {{name}}\n\nHello {{name}}\n"

    @Test(arguments: [
        ("address,name\na@b.test,A\n,B\n", "3:1"),
        ("address,name\na@b.test,A\nc@b.test,C\na@B.test,A\n", "4:1"),
        ("address,name\n\"a@b.test\r\nRCPT TO:<x@y.test>\",A\n", "2:"),
        ("name,address\nA,a@b@c.test\n", "2:"),
        ("address,name\na@b.test,A\nc@b.test\n", "3:"),
        ("address,name\na@b.test,\"A\nc@b.test,C\n", "2:10"),
        ("address,name\na@b.test,\u{0}\n", "2:"),
        ("mail,name\na@b.test,A\n", "1:"),
        ("address;name\na@b.test;A\n", "1:1: error: one column, \"address;name\": separate"),
        ("", "1:1"),
    ])
    func tablesAreRefusedByLineAndColumn(_ table: String, _ place: String) async throws {
        let directory = try TemporaryDirectory()
        let result = try await run([
            Product.smurf, "mailing", "check", directory.write("t.eml", BadInputTests.letter),
            directory.write("bad.csv", table),
        ])
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains("bad.csv:\(place)"), "\(result.errors)")
    }

    @Test(arguments: [
        ("From: l@s.test\nTo: {{address}}\nSubject: x\n\nHello {{nmae}}\n", "5:7"),
        ("From: l@s.test\nTo: {{address}}\nSubject: x\n\nHello {{name\n", "5:7"),
        ("From: l@s.test\nSubject: x\n\n{{#name}}Hello\n", "4:1"),
        ("From: l@s.test\nSubject: {{{name}}}\n\nHello\n", "2:"),
        ("To: {{address}}\nSubject: x\n\nHello\n", "1:1"),
        ("", "1:1"),
    ])
    func templatesAreRefusedByLineAndColumn(_ template: String, _ place: String) async throws {
        let directory = try TemporaryDirectory()
        let result = try await run([
            Product.smurf, "mailing", "check", directory.write("bad.eml", template),
            directory.write("good.csv", "address,name\na@b.test,A\n"),
        ])
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains("bad.eml:\(place)"), "\(result.errors)")
    }

    /// A byte order mark and quoted line ends make no bad file; a megabyte in one value does.
    @Test func oddTablesAreTakenAndHugeValuesRefused() async throws {
        let directory = try TemporaryDirectory()
        let template = try directory.write("t.eml", BadInputTests.letter)
        let odd = try directory.write(
            "odd.csv", "\u{FEFF}address,name\r\na@b.test,\"A\r\nB \"\"C\"\"\"\r\nd@b.test,D")
        let fine = try await run([Product.smurf, "mailing", "check", template, odd])
        #expect(fine.status == 0, "\(fine.errors)")
        #expect(fine.output.hasPrefix("2 rows render, 0 do not"))
        let huge = try directory.write(
            "huge.csv", "address,name\na@b.test," + String(repeating: "x", count: 900_000) + "\n")
        let refused = try await run([Product.smurf, "mailing", "check", template, huge])
        #expect(refused.status == 2)
        #expect(refused.errors.contains("huge.csv:2:10: error: {{name}}"), "\(refused.errors)")
    }

    /// A value that does not fit is found where it stands, also behind quotes, line ends and many good rows.
    @Test func valuesAreRefusedByLineAndColumn() async throws {
        let directory = try TemporaryDirectory()
        let template = try directory.write("t.eml", BadInputTests.letter)
        var table = "name,address,other\n"
        for number in 0..<9000 { table += "\"N, \(number)\",r\(number)@b.test,o\n" }
        table += "\"two\nlines\",x@b.test,\"a\u{1}b\"\nA\u{7},y@b.test,\n"
        table += "Ü,z@b.test,\"\",\n"
        let path = try directory.write("late.csv", table)
        let refused = try await run([Product.smurf, "mailing", "check", template, path])
        #expect(refused.status == 2)
        #expect(refused.output.hasPrefix("9001 rows render, 2 do not"), "\(refused.output)")
        #expect(refused.errors.contains("late.csv:9004:1: error: {{name}}"), "\(refused.errors)")
        #expect(refused.errors.contains("late.csv:9005:"), "\(refused.errors)")
    }

    @Test(arguments: [
        ("policy.yml", "min: 2", "mni: 2", "policy.yml:6:26: error: unknown key 'mni'"),
        (
            "policy.yml", "min: 2", "min: 2, check: {smtp: 70000}",
            "policy.yml:6:48: error: '70000' is no port"
        ),
        (
            "policy.yml", "min: 2", "min: 2, check: {every: 5s}",
            "policy.yml:6:34: error: a check is one of tcp, smtp, starttls, http and dns"
        ),
        ("policy.yml", "ttl: 1s", "ttl: 1", "policy.yml:3:17: error: '1' is no TTL"),
        ("policy.yml", "defaults:", "\tdefaults:", "policy.yml:3:"),
        ("static.zone", "ns1 IN A 127.0.0.1", "ns1 IN A 127.0.0", "static.zone:5: error:"),
        ("static.zone", "@ IN SOA ns1 hostmaster 1 60 15 604800 30", "", "static.zone:4: error:"),
        ("static.zone", "@ IN NS ns1", "@ IN NS (ns1", "static.zone:4: error: this '('"),
        ("static.zone", "$ORIGIN smurf.example.test.", "$ORIGIN other.test.", "static.zone"),
    ])
    func theControlNodeDoesNotStartWith(
        _ file: String, _ right: String, _ wrong: String, _ said: String
    ) async throws {
        let node = try ControlNodeFixture()
        let path = node.directory.file(file)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try node.directory.write(file, text.replacing(right, with: wrong))
        let result = try await run(["timeout", "30"] + node.arguments())
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains(said), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: node.data))
    }

    @Test func portsInUseAreSaidInOneLine() async throws {
        let node = try ControlNodeFixture()
        let running = try await node.start()
        for option in ["--agents", "--dns"] {
            let other = try ControlNodeFixture()
            let index = try #require(node.arguments().firstIndex(of: option))
            let taken = node.arguments()[index + 1]
            let result = try await run(["timeout", "30"] + other.arguments([option: taken]))
            #expect(result.status == 1, "\(result.errors)")
            let lines = result.errors.split(separator: "\n").filter { !$0.contains("notice") }
            #expect(lines.count == 1, "\(result.errors)")
            #expect(result.errors.contains(taken.suffix(5)), "\(result.errors)")
        }
        #expect(await running.stop() == 0)
    }

    /// A data directory that is a file, and one on a disk that is full.
    @Test(.enabled(if: geteuid() == 0, "mounting needs root"))
    func unusableDataDirectoriesAreSaidInOneLine() async throws {
        let node = try ControlNodeFixture()
        let file = try node.directory.write("file", "no directory")
        let result = try await run(["timeout", "30"] + node.arguments(["--data": file]))
        #expect(result.status == 1)
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(result.errors.contains(file), "\(result.errors)")

        try FileManager.default.createDirectory(
            atPath: node.data, withIntermediateDirectories: false)
        let fill =
            "mount --make-rprivate / && mount -t tmpfs -o size=64k none '\(node.data)' && "
            + "(cat /dev/zero > '\(node.data)/ballast' 2>/dev/null || true) && exec \"$@\""
        let full = try await run(
            ["unshare", "-m", "bash", "-c", fill, "bash", "timeout", "30"] + node.arguments())
        #expect(full.status == 1, "\(full.status) \(full.errors)")
        #expect(full.errors.split(separator: "\n").count == 1, "\(full.errors)")
    }

    /// After SIGKILL a restart serves at once what was served last, and the serial never goes back.
    @Test(.timeLimit(.minutes(2)))
    func aKilledNodeGoesOnWhereItWas() async throws {
        let fixture = try ControlNodeFixture()
        var last: UInt32 = 0
        for round in 0..<4 {
            let node = try Daemon("serve", fixture.arguments(), directory: fixture.directory)
            try await node.ready { try await fixture.serial() != nil }
            if round > 0 { #expect(try await !fixture.members("web").isEmpty) }
            try await node.ready {
                try await fixture.members("web").count == 2
                    && FileManager.default.fileExists(atPath: fixture.socket)
            }
            let id = ["s01", "s02", "s03"][round % 3]
            let held = try await fixture.smurf("hold", id, "--for", "1s", "--reason", "test")
            #expect(held.status == 0, "\(held.errors)")
            try await Task.sleep(for: .milliseconds(300))
            let serial = try #require(try await fixture.serial())
            #expect(serial >= last)
            last = serial
            node.signal(SIGKILL)
            _ = await node.finished()
        }
    }

    /// Keys of peers: where a file is wrong, and what the command line asks for in vain.
    @Test(arguments: [
        ("key \"xfr\" { algorithm hmac-md5; secret \"c2VjcmV0c2VjcmV0c2VjcmV0\"; };", "1:23"),
        ("# keys\nkey xfr {\n  secret \"not base64!\";\n};", "3:10"),
        ("key \"xfr\" { secret \"c2hvcnQ=\"; };", "1:5"),
        ("key \"xfr\" { secret \"c2VjcmV0c2VjcmV0c2VjcmV0\" };", "1:"),
        ("key \"xfr", "1:5"),
        ("key \"other\" { secret \"c2VjcmV0c2VjcmV0c2VjcmV0\"; };", "'xfr'"),
        ("", "has no key"),
    ])
    func keysAreRefusedByLineAndColumn(_ text: String, _ said: String) async throws {
        let node = try ControlNodeFixture()
        let keys = try node.directory.write("xfr.key", text)
        chmod(keys, 0o600)
        let result = try await run(
            ["timeout", "30"] + node.arguments()
                + ["--tsig-keys", keys, "--secondary", "127.0.0.1:5399=xfr"])
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains(said), "\(result.errors)")
        chmod(keys, 0o644)
        let open = try await run(["timeout", "30"] + node.arguments() + ["--tsig-keys", keys])
        #expect(open.status == 2 && open.errors.contains("chmod 600"), "\(open.errors)")
        #expect(!FileManager.default.fileExists(atPath: node.data))
    }

    /// SIGHUP reads policy and zone anew, both or neither: a mistake in one is said and changes nothing.
    @Test(.timeLimit(.minutes(2)))
    func aReloadIsAllOrNothing() async throws {
        let fixture = try ControlNodeFixture()
        let node = try await fixture.start()
        let policy = try String(
            contentsOfFile: fixture.directory.file("policy.yml"), encoding: .utf8)
        let zone = try String(
            contentsOfFile: fixture.directory.file("static.zone"), encoding: .utf8)
        let members = try await fixture.members("web")
        #expect(!members.isEmpty)
        let mistakes: [(String, String, String)] = [
            ("static.zone", zone + "web IN CNAME ns1\n", "web"),
            ("static.zone", zone + "s01 IN A 127.0.0.9\n", "s01"),
            ("static.zone", zone + "x IN A 1.2.3\n", "static.zone:"),
            ("policy.yml", policy.replacing("min: 2", with: "min: two"), "policy.yml:"),
            (
                "policy.yml", policy.replacing("smurf.example.test", with: "other.test"),
                "other.test"
            ),
            ("policy.yml", "", "policy.yml"),
        ]
        for (index, (file, text, said)) in mistakes.enumerated() {
            try fixture.directory.write("policy.yml", policy)
            try fixture.directory.write("static.zone", zone)
            try fixture.directory.write(file, text)
            let before = node.log.count
            node.signal(SIGHUP)
            try await eventually("mistake \(index) is said") {
                node.log.dropFirst(before).contains("stay as they were")
            }
            #expect(node.log.dropFirst(before).contains(said), "\(node.log.dropFirst(before))")
            #expect(Set(try await fixture.members("web")) == Set(members))
        }
        try fixture.directory.write("policy.yml", policy)
        try fixture.directory.write("static.zone", zone + "fresh IN A 127.0.0.9\n")
        node.signal(SIGHUP)
        try await eventually("the new record is answered") {
            try await fixture.members("fresh") == ["127.0.0.9"]
        }
        #expect(await node.stop() == 0)
    }

    @Test(arguments: ["ledger.sqlite", "farm.sqlite", "token.key"])
    func aDamagedFileIsNamed(_ name: String) async throws {
        let node = try ControlNodeFixture()
        try FileManager.default.createDirectory(
            atPath: node.data, withIntermediateDirectories: false)
        let junk = String(repeating: "this is something else\n", count: 500)
        let key = try node.directory.write("data/token.key", String(repeating: "5a", count: 32))
        chmod(key, 0o600)
        try node.directory.write("data/" + name, junk)
        let result = try await run(["timeout", "30"] + node.arguments())
        #expect(result.status == 1, "\(result.status)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(result.errors.contains("/data/" + name), "\(result.errors)")
        #expect(try String(contentsOfFile: node.data + "/" + name, encoding: .utf8) == junk)
    }

    /// Another key would make void every link that went out: that is for people to decide.
    @Test func aLostKeyIsNotReplacedInSilence() async throws {
        let node = try ControlNodeFixture()
        #expect(await (try node.start()).stop() == 0)
        try FileManager.default.removeItem(atPath: node.data + "/token.key")
        let result = try await run(["timeout", "30"] + node.arguments())
        #expect(result.status == 1)
        #expect(result.errors.contains("token.key' is missing"), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: node.data + "/token.key"))
    }

    @Test func operatorsMistakesChangeNothing() async throws {
        let fixture = try ControlNodeFixture()
        let node = try await fixture.start()
        let cases: [([String], String)] = [
            (["hold", "s99", "--reason", "x"], "there is no smurf 's99'"),
            (["move", "s01", "wbe", "--reason", "x"], "there is no role 'wbe'"),
            (["release", "s01"], "neither moved nor held"),
        ]
        for (words, said) in cases {
            let result = try await run([Product.smurf] + words + ["--control", fixture.socket])
            #expect(result.status == 2, "\(words): \(result.errors)")
            #expect(result.errors.contains(said), "\(result.errors)")
        }
        let board = try await fixture.smurf("roles", "--json")
        #expect(board.status == 0 && board.output.contains("\"zone\":\"smurf.example.test\""))
        #expect(await node.stop() == 0)
        let gone = try await fixture.smurf("roles")
        #expect(gone.status == 1 && gone.errors.contains("no control node"))
    }
}
