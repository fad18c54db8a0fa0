import ArgumentParser
import AuthDNSCore

/// What `smurf serve` and `smurf zone check` let an operator say about the records by which other sites judge mail of
/// the zone. Files are read again by SIGHUP.
struct MailRecordOptions: ParsableArguments {
    @Option(
        help: """
            Directory of DKIM keys: SELECTOR.pem, a private or public key (RSA or Ed25519), becomes \
            SELECTOR._domainkey; an empty file SELECTOR.revoked says that the key is no longer good.
            """)
    var dkimKeys: String?
    @Option(
        help: "DMARC record without its version, such as 'p=reject; rua=mailto:dmarc@example.org'.")
    var dmarc: String?
    @Option(
        help: """
            The MTA-STS policy file that https://mta-sts.<zone> serves: published is that there is one, and which.
            """)
    var mtaSTS: String?
    @Option(
        help: "Where others report troubles with TLS, such as 'mailto:tls@example.org'; repeat.")
    var tlsReports: [String] = []
    @Option(
        help: """
            PEM file of the certificate or public key that the machines behind MX records show (DANE): \
            a TLSA record is published for each of them. Repeat while a new one is brought out. Needs --dnssec.
            """)
    var tlsa: [String] = []
    @Option(help: "A further name of the zone to publish --tlsa for, such as smtp-in; repeat.")
    var tlsaName: [String] = []

    /// The zone with what the files and settings say.
    /// - Parameter path: of the zone file, for messages.
    func adding(to zone: StaticZone, at path: String) throws -> StaticZone {
        let made = try records(of: zone.apex)
        do throws(ZoneFault) {
            return try zone.adding(made.records, associations: made.associations)
        } catch {
            throw Report.failure("\(path): \(error.description)", status: Report.badInput)
        }
    }

    /// Reads the files.
    /// - Throws: after a note on standard error, for whatever is faulty.
    private func records(of apex: DomainName) throws -> MailRecords {
        do throws(MailRecordError) {
            var records = MailRecords(apex: apex)
            if let dkimKeys { try records.addKeys(in: dkimKeys) }
            if let dmarc { try records.addDMARC(dmarc) }
            if let mtaSTS { try records.addTransportPolicy(at: mtaSTS) }
            if !tlsReports.isEmpty { try records.addReports(to: tlsReports) }
            for path in tlsa { try records.addCertificate(at: path) }
            for name in tlsaName { try records.addAssociations(at: name) }
            return records
        } catch {
            throw Report.failure(error.description, status: Report.badInput)
        }
    }
}

/// What is wrong with a file or text that records are to be made of.
struct MailRecordError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
