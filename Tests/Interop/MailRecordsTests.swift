import Foundation
import TestSupport
import Testing

/// Records by which other sites judge mail, made of key files and settings; held against what OpenSSL says of the same
/// keys.
@Suite(.serialized) struct MailRecordsTests {
    private static let policy = """
        version: 1
        zone: smurf.example.test
        defaults: {ttl: 1s, warm: 0s, drain: {ttl_factor: 1, grace: 0s, deadline: 1s}}
        movement: {max_inflight: 3, gap: 0s, min_dwell: 0s, up_window: 0s, down_window: 0s}
        roles:
          web: {names: {web: A}, min: 1}
          smtp-out: {names: {smtp-out: A}, min: 1}
          smtp-in: {names: {smtp-in: A, bounce: MX 10}, min: 1, priority: 2}
        members:
          - {id: s01, address: 127.0.1.1, agent: false}
          - {id: s02, address: 127.0.1.2, agent: false}
          - {id: s03, address: 127.0.1.3, agent: false}

        """
    private static let zone = """
        $ORIGIN smurf.example.test.
        $TTL 5
        @ IN SOA ns1 hostmaster 1 60 15 604800 3
        @ IN NS ns1
        ns1 IN A 127.0.0.1

        """

    private func openssl(_ words: String..., in directory: TemporaryDirectory) async throws
        -> String
    {
        let script = "cd \"$0\" && openssl " + words.joined(separator: " ")
        let result = try await run(["/bin/sh", "-c", script, directory.path])
        #expect(result.status == 0, "\(result.errors)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// What a TXT record says, its strings joined.
    private func text(_ name: String, _ farm: ControlNodeFixture) async throws -> [String] {
        try await Dig.short(
            name + ".smurf.example.test", "TXT", at: "127.0.0.1", port: farm.dnsPort
        ).map {
            $0.replacing("\" \"", with: "").replacing("\"", with: "").replacing("\\;", with: ";")
        }
    }

    @Test(.timeLimit(.minutes(3))) func recordsFollowFilesAndSettings() async throws {
        let farm = try ControlNodeFixture(policy: Self.policy, zone: Self.zone)
        let directory = farm.directory
        let keys = directory.file("dkim")
        try FileManager.default.createDirectory(atPath: keys, withIntermediateDirectories: true)
        _ = try await openssl("genrsa -out dkim/a2026.pem 2048", in: directory)
        _ = try await openssl("genpkey -algorithm ed25519 -out dkim/e2026.pem", in: directory)
        try directory.write("dkim/old.revoked", "")
        _ = try await openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key "
                + "-out tls.pem -subj /CN=smtp-in.smurf.example.test -days 30", in: directory)
        try directory.write(
            "mta-sts.txt",
            "version: STSv1\r\nmode: testing\r\nmx: *.smurf.example.test\r\nmax_age: 86400\r\n")
        let node = try await farm.start(
            [
                "--dkim-keys": keys, "--dmarc": "p=reject; rua=mailto:d@smurf.example.test",
                "--mta-sts": directory.file("mta-sts.txt"),
                "--tls-reports": "mailto:t@smurf.example.test",
                "--tlsa": directory.file("tls.pem"), "--tlsa-name": "smtp-in", "--dnssec": "csk",
            ], web: 1)
        defer { node.signal(SIGKILL) }
        let rsa = try await openssl(
            "pkey -in dkim/a2026.pem -pubout -outform DER | base64 -w0", in: directory)
        #expect(try await text("a2026._domainkey", farm) == ["v=DKIM1; k=rsa; p=" + rsa])
        let edwards = try await openssl(
            "pkey -in dkim/e2026.pem -pubout -outform DER | tail -c 32 | base64 -w0", in: directory)
        #expect(try await text("e2026._domainkey", farm) == ["v=DKIM1; k=ed25519; p=" + edwards])
        #expect(try await text("old._domainkey", farm) == ["v=DKIM1; p="])
        #expect(
            try await text("_dmarc", farm)
                == ["v=DMARC1; p=reject; rua=mailto:d@smurf.example.test"])
        #expect(
            try await text("_smtp._tls", farm) == ["v=TLSRPTv1; rua=mailto:t@smurf.example.test"])
        try await checkAssociations(farm)
        try await checkReverse(farm)
        try await checkReload(farm, node)
        #expect(await node.stop() == 0)
    }

    /// Every machine that an MX record names has the record, others have none, and a validator would trust it.
    private func checkAssociations(_ farm: ControlNodeFixture) async throws {
        let digest = try await openssl(
            "x509 -in tls.pem -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum "
                + "| cut -c1-64", in: farm.directory)
        func associations(_ host: String) async throws -> [String] {
            try await Dig.short(
                "_25._tcp." + host, "TLSA", at: "127.0.0.1", port: farm.dnsPort
            ).map { $0.lowercased().replacing(" ", with: "") }
        }
        let hosts = try await Dig.short(
            "bounce.smurf.example.test", "MX", at: "127.0.0.1", port: farm.dnsPort
        ).map { String($0.dropFirst(3).dropLast()) }
        #expect(hosts.count == 1)
        for host in hosts { #expect(try await associations(host) == ["311" + digest]) }
        #expect(try await associations("smtp-in.smurf.example.test") == ["311" + digest])
        let others = ["s01", "s02", "s03"].map { $0 + ".smurf.example.test" }.filter {
            !hosts.contains($0)
        }
        for other in others { #expect(try await associations(other).isEmpty) }
        let signed = try await Dig.short(
            "_25._tcp." + (hosts.first ?? ""), "TLSA", at: "127.0.0.1", port: farm.dnsPort,
            options: ["+dnssec"])
        #expect(signed.count == 2, "record and signature: \(signed)")
    }

    /// What is printed is a zone file, which BIND's checker takes, and names every machine of the network.
    private func checkReverse(_ farm: ControlNodeFixture) async throws {
        let zone = try await farm.smurf("zone", "reverse", "127.0.1.0/29")
        #expect(zone.status == 0, "\(zone.errors)")
        let file = try farm.directory.write("reverse.zone", zone.output)
        let checked = try await run(
            ["named-checkzone", "0/29.1.0.127.in-addr.arpa", file])
        #expect(checked.status == 0, "\(zone.output)\(checked.output)")
        for number in 1...3 {
            #expect(zone.output.contains("\(number) IN PTR s0\(number).smurf.example.test."))
        }
        #expect(zone.output.contains(";   7.1.0.127.in-addr.arpa. IN CNAME 7.0/29."))
        let refused = try await farm.smurf("zone", "reverse", "127.0.0.0/20")
        #expect(refused.status == 64 && refused.errors.contains("no reverse zone of its own"))
    }

    /// SIGHUP reads the files anew; a faulty one changes nothing.
    private func checkReload(_ farm: ControlNodeFixture, _ node: Daemon) async throws {
        let before = try await text("_mta-sts", farm)
        #expect(before.count == 1 && before[0].hasPrefix("v=STSv1; id="))
        try farm.directory.write(
            "mta-sts.txt",
            "version: STSv1\nmode: enforce\nmx: *.smurf.example.test\nmax_age: 86400\n")
        node.signal(SIGHUP)
        try await eventually("the policy's id changes") {
            try await text("_mta-sts", farm) != before
        }
        let after = try await text("_mta-sts", farm)
        try farm.directory.write("mta-sts.txt", "version: STSv1\nmode: maybe\n")
        node.signal(SIGHUP)
        try await eventually("the fault is named") { node.log.contains("'mode' is one of") }
        #expect(try await text("_mta-sts", farm) == after)
    }

    @Test(arguments: [
        (["--dmarc", "reject"], "'reject' is not NAME=VALUE"),
        (["--dmarc", "rua=mailto:a@b.test; p=none"], "it begins with p="),
        (["--dmarc", "p=none; p=reject"], "'p' is there twice"),
        (["--dmarc", "p=none; rua=a@b.test"], "'a@b.test' is not mailto:"),
        (["--tls-reports", "http://x.test"], "'http://x.test' is not mailto:"),
        (["--mta-sts", "sts"], "sts:2:1: 'mode testing' is not NAME: VALUE"),
        (["--mta-sts", "none"], "none: cannot be read"),
        (["--dkim-keys", "empty"], "there is no SELECTOR.pem in it"),
        (["--dkim-keys", "weak"], "RSA keys need 2048 bits"),
        (["--dkim-keys", "wrong"], "DKIM knows RSA and Ed25519 keys only"),
        (["--dkim-keys", "torn"], "no certificate and no key in PEM"),
        (["--tlsa-name", "smtp-in"], "give --tlsa too"),
    ])
    func faultsAreNamed(_ options: [String], _ text: String) async throws {
        let directory = try TemporaryDirectory()
        try directory.write("sts", "version: STSv1\nmode testing\n")
        for name in ["empty", "weak", "wrong", "torn"] {
            try FileManager.default.createDirectory(
                atPath: directory.file(name), withIntermediateDirectories: true)
        }
        _ = try await openssl("genrsa -out weak/k.pem 768 2>/dev/null", in: directory)
        _ = try await openssl("ecparam -name prime256v1 -genkey -out wrong/k.pem", in: directory)
        try directory.write("torn/k.pem", "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n")
        let named = options.map { directory.file($0) }
        let words =
            options[0] == "--dmarc" || options[0].hasPrefix("--tls")
            ? options : [options[0], named[1]]
        let result = try await run(
            [Product.smurf, "zone", "check", directory.write("z", Self.zone)] + words)
        #expect(result.status == 2, "\(result.errors)")
        #expect(result.errors.contains(text), "\(result.errors)")
    }

    @Test func whatTheZoneFileSaysTooIsRefused() async throws {
        let directory = try TemporaryDirectory()
        let zone = try directory.write("z", Self.zone + "_dmarc IN TXT \"v=DMARC1; p=none\"\n")
        let result = try await run([Product.smurf, "zone", "check", zone, "--dmarc", "p=reject"])
        #expect(result.status == 2)
        #expect(
            result.errors.contains("_dmarc.smurf.example.test is in the zone file too"),
            "\(result.errors)")
    }
}
