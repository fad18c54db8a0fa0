import ArgumentParser
import AuthDNS
import AuthDNSCore

/// What `smurf serve` lets an operator say about DNSSEC.
struct SigningOptions: ParsableArguments {
    /// Which keys a signed zone has.
    enum Keys: String, ExpressibleByArgument, CaseIterable {
        case csk
        case split
    }

    @Option(
        help: """
            Sign the zone (DNSSEC): 'csk' with one key for everything, 'split' with a key that the \
            parent knows (KSK) and one for the records (ZSK), which is replaced by itself. Then give \
            the parent what 'smurf zone ds' prints.
            """)
    var dnssec: Keys?
    @Option(help: "Algorithm of new keys: ecdsap256sha256 or ed25519; a signed zone keeps its own.")
    var dnssecAlgorithm = NamedAlgorithm(.ecdsaP256SHA256)
    @Option(help: "Directory of the keys; by default 'keys' in the data directory.")
    var keys: String?
    @Option(
        help: """
            File whose first line is the passphrase of the keys on disk, for its owner alone to read: new keys are \
            written encrypted. Those in the clear stay so until 'smurf zone keys encrypt'. With --etcd it is needed, the \
            same for all nodes: they share their keys.
            """)
    var keysPassphrase: String?
    @Option(help: "A ZSK is replaced after so long; 0 for never.")
    var zskLifetime = HumanDuration(seconds: 90 * 86_400)
    @Option(
        help: "The key that the parent knows is replaced after so long; 0 for when you say so.")
    var kskLifetime = HumanDuration(seconds: 0)
    @Option(help: "How long the slowest secondary needs to have a change.")
    var propagation = HumanDuration(seconds: 300)
    @Option(help: "TTL of the parent's DS record, with the time that the parent's servers need.")
    var parentTTL = HumanDuration(seconds: 86_400 + 3600)
    @Option(
        help: """
            A name server of the parent zone, ADDRESS[:PORT], to ask whether it has a new key's DS \
            record; repeat for all of them. Without, say 'smurf zone roll --delegated'.
            """)
    var parent: [ParentServer] = []
    @Option(help: "TTL of the DNSKEY set.") var keyTTL = HumanDuration(seconds: 3600)
    @Option(help: "How long a new signature is good; it is made anew when three sevenths are left.")
    var signatureValidity = HumanDuration(seconds: 21 * 86_400)

    func validate() throws {
        guard signatureValidity.seconds >= 10 else {
            throw ValidationError("--signature-validity: give 10s or more")
        }
        guard (1...604_800).contains(keyTTL.seconds) else {
            throw ValidationError("--key-ttl: give 1s to 7d")
        }
        guard keysPassphrase == nil || dnssec != nil else {
            throw ValidationError("--keys-passphrase is of no use without --dnssec")
        }
    }

    /// Reads the passphrase, which may be root's: to be called before rights are given up.
    /// - Parameters:
    ///   - data: the data directory.
    ///   - isShared: whether other nodes sign with the same keys.
    /// - Throws: after a note on standard error, when the passphrase cannot be had.
    func signing(in data: String, isShared: Bool) throws -> NameServerConfiguration.Signing? {
        guard let dnssec else { return nil }
        let policy = KeyPolicy(
            isSplit: dnssec == .split, algorithm: dnssecAlgorithm.algorithm,
            entryLifetime: UInt64(kskLifetime.seconds),
            zoneKeyLifetime: UInt64(zskLifetime.seconds), propagation: UInt64(propagation.seconds),
            keyTTL: UInt32(keyTTL.seconds), delegationTTL: UInt64(parentTTL.seconds))
        let validity = UInt32(signatureValidity.seconds)
        let passphrase: KeyPassphrase?
        do throws(NameServerError) {
            passphrase =
                if let keysPassphrase { try KeyPassphrase(file: keysPassphrase) } else { nil }
        } catch {
            throw Report.failure(error.description, status: Report.badInput)
        }
        return NameServerConfiguration.Signing(
            directory: keys ?? data + "/keys", keys: policy,
            signatures: SignatureLifetime(
                validity: validity, refresh: validity / 7 * 3, skew: min(3600, validity)),
            passphrase: passphrase, isShared: isShared)
    }
}

/// An algorithm by its IANA mnemonic, in any case.
struct NamedAlgorithm: ExpressibleByArgument {
    let algorithm: ZoneKey.Algorithm

    init(_ algorithm: ZoneKey.Algorithm) { self.algorithm = algorithm }

    init?(argument: String) {
        let known = ZoneKey.Algorithm.allCases.first {
            $0.mnemonic.lowercased() == argument.lowercased()
        }
        guard let known else { return nil }
        algorithm = known
    }

    var defaultValueDescription: String { algorithm.mnemonic.lowercased() }
}
