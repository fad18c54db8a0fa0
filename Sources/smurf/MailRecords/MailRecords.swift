import AuthDNSCore
import Crypto
import Foundation
import X509

/// The records by which other sites judge mail of the zone and hand it mail, made of files and settings: DKIM (RFC
/// 6376), DMARC (RFC 7489), MTA-STS (RFC 8461), TLS-RPT (RFC 8460) and TLSA (RFC 6698, RFC 7672). SPF follows from the
/// membership and is not among them.
struct MailRecords {
    private let apex: DomainName
    private(set) var records: [ResourceRecord] = []
    /// Data of TLSA records for whatever an MX record names.
    private(set) var associations: [[UInt8]] = []
    /// Seconds: keys are published long before they are used.
    private static let ttl: UInt32 = 3600

    init(apex: DomainName) { self.apex = apex }

    private mutating func add(_ labels: String, _ text: String) throws(MailRecordError) {
        guard let owner = apex.prepending(labels) else {
            throw MailRecordError("'\(labels)' is not a name under \(apex)")
        }
        records.append(.text(owner, text, ttl: MailRecords.ttl))
    }

    // MARK: DKIM

    /// - Parameter directory: of `SELECTOR.pem` and `SELECTOR.revoked`; other files are left alone.
    mutating func addKeys(in directory: String) throws(MailRecordError) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
        } catch {
            throw MailRecordError("--dkim-keys \(directory): the directory cannot be read")
        }
        let before = records.count
        for name in names {
            let selector = String(name.prefix { $0 != "." })
            switch name.dropFirst(selector.count) {
            case ".pem": try addKey(selector, at: directory + "/" + name)
            case ".revoked": try add(selector + "._domainkey", "v=DKIM1; p=")
            default: continue
            }
        }
        guard records.count > before else {
            throw MailRecordError("--dkim-keys \(directory): there is no SELECTOR.pem in it")
        }
        let owners = records.map(\.owner)
        if let twice = owners.first(where: { owner in owners.count { $0 == owner } > 1 }) {
            throw MailRecordError("\(twice) is both a key and revoked in \(directory)")
        }
    }

    private mutating func addKey(_ selector: String, at path: String) throws(MailRecordError) {
        let info = try PublicKeyFile.subjectPublicKeyInfo(at: path)
        let text: String
        switch PublicKeyFile.kind(of: info) {
        case .ed25519:
            text = "v=DKIM1; k=ed25519; p=" + Data(info.suffix(32)).base64EncodedString()
        case .rsa:
            text = "v=DKIM1; k=rsa; p=" + Data(info).base64EncodedString()
        case .other:
            throw MailRecordError("\(path): DKIM knows RSA and Ed25519 keys only")
        }
        try add(selector + "._domainkey", text)
    }

    // MARK: DMARC and TLS-RPT

    mutating func addDMARC(_ text: String) throws(MailRecordError) {
        let tags = try MailRecords.tags(text, of: "--dmarc")
        guard let policy = tags.first, policy.name == "p",
            ["none", "quarantine", "reject"].contains(policy.value)
        else {
            throw MailRecordError(
                "--dmarc '\(text)': it begins with p=none, p=quarantine or p=reject (RFC 7489 section 6.3)"
            )
        }
        for tag in tags where ["rua", "ruf"].contains(tag.name) {
            for uri in tag.value.split(separator: ",") {
                try MailRecords.check(uri.trimmingPrefix { $0 == " " }, of: "--dmarc", https: false)
            }
        }
        try add("_dmarc", "v=DMARC1; " + text)
    }

    mutating func addReports(to addresses: [String]) throws(MailRecordError) {
        for uri in addresses { try MailRecords.check(uri[...], of: "--tls-reports", https: true) }
        try add("_smtp._tls", "v=TLSRPTv1; rua=" + addresses.joined(separator: ","))
    }

    private static func tags(
        _ text: String, of option: String
    ) throws(MailRecordError) -> [(name: String, value: String)] {
        var tags: [(name: String, value: String)] = []
        for part in text.split(separator: ";") {
            let sides = part.split(separator: "=", maxSplits: 1).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            if sides.count == 1 && sides[0].isEmpty { continue }
            guard sides.count == 2, !sides[0].isEmpty, !sides[1].isEmpty else {
                throw MailRecordError("\(option) '\(text)': '\(part)' is not NAME=VALUE")
            }
            guard !tags.contains(where: { $0.name == sides[0] }) else {
                throw MailRecordError("\(option) '\(text)': '\(sides[0])' is there twice")
            }
            tags.append((sides[0], sides[1]))
        }
        return tags
    }

    private static func check(
        _ uri: Substring, of option: String, https: Bool
    ) throws(MailRecordError) {
        let address = uri.dropFirst("mailto:".count)
        if uri.hasPrefix("mailto:"), address.contains("@"), !address.contains(where: \.isWhitespace)
        {
            return
        }
        if https, uri.hasPrefix("https://"), uri.count > 8 { return }
        throw MailRecordError(
            "\(option): '\(uri)' is not mailto:NAME@DOMAIN" + (https ? " or https://…" : ""))
    }

    // MARK: MTA-STS

    mutating func addTransportPolicy(at path: String) throws(MailRecordError) {
        let policy = try TransportPolicy(at: path)
        try add("_mta-sts", "v=STSv1; id=" + policy.id)
    }

    // MARK: TLSA

    /// Adds what a TLSA record says of the key: end entity, its key, SHA-256 ("3 1 1", RFC 7672 §3.1.1).
    mutating func addCertificate(at path: String) throws(MailRecordError) {
        let info = try PublicKeyFile.subjectPublicKeyInfo(at: path)
        associations.append([3, 1, 1] + SHA256.hash(data: info))
    }

    /// - Parameter name: relative to the zone, of which port 25 shows a key of the certificates added before.
    mutating func addAssociations(at name: String) throws(MailRecordError) {
        guard !associations.isEmpty else {
            throw MailRecordError("--tlsa-name \(name): give --tlsa too")
        }
        guard let owner = apex.prepending("_25._tcp." + name) else {
            throw MailRecordError("--tlsa-name: '\(name)' is not a name under \(apex)")
        }
        records += associations.map {
            ResourceRecord(owner: owner, type: .tlsa, ttl: MailRecords.ttl, data: $0)
        }
    }
}
