import ArgumentParser
import AuthDNS
import AuthDNSCore
import Farm

/// What `smurf serve` lets an operator say about the name server beside its addresses.
struct NameServerOptions: ParsableArguments {
    @Option(help: "What NSID and id.server say, such as this machine's name; hidden by default.")
    var nsid: String = ""
    @Option(help: "What version.bind says; hidden by default.") var versionBind: String = ""
    @Option(
        help: """
            File of DNS cookie secrets that the zone's servers share (32 hexadecimal digits a line, \
            the active one first, at most two); by default one is drawn at random. SIGHUP reads it \
            anew.
            """)
    var cookieSecrets: String?
    @Option(
        help: "UDP replies a second of one kind to one network (/24, /56); 0 for no limit.")
    var rateLimit: Int = RateLimit().responsesPerSecond
    @Option(help: "A network that is never limited (loopback never is); repeat for more.")
    var rateLimitExempt: [String] = []
    @Flag(help: "Make UDP clients that know cookies show one (BADCOOKIE).")
    var requireCookies = false

    @Option(
        help: """
            A secondary that may have the zone whole and is told of changes: ADDRESS[:PORT][=KEY]; a \
            network (192.0.2.0/24=KEY) is not told. Repeat for more; by default nobody may.
            """)
    var secondary: [Secondary] = []
    @Option(help: "File of TSIG keys, as tsig-keygen prints them, that --secondary names.")
    var tsigKeys: String?

    func validate() throws {
        guard (0...100_000).contains(rateLimit) else {
            throw ValidationError("--rate-limit \(rateLimit): give 0 to 100000")
        }
        for text in rateLimitExempt where Network(text) == nil {
            throw ValidationError(
                "--rate-limit-exempt '\(text)': write a network such as 192.0.2.0/24")
        }
    }

    /// What the file of keys has.
    func keys() throws(NameServerError) -> [TSIGKey] {
        guard let tsigKeys else { return [] }
        return try TSIGKeysFile.read(tsigKeys)
    }

    /// - Throws: after a note on standard error, when the file of keys is faulty or lacks a key.
    func addSecondaries(to configuration: inout NameServerConfiguration) throws {
        do throws(NameServerError) {
            let keys = try keys()
            for name in secondary.compactMap(\.key)
            where !keys.contains(where: { $0.name == name }) {
                throw NameServerError(
                    "--secondary names the key '\(name)', which no file of --tsig-keys has")
            }
            configuration.peers = TransferPeers(
                peers: secondary.map { .init(network: $0.network, key: $0.key) }, keys: keys)
            configuration.notified = secondary.compactMap(\.notified)
        } catch {
            throw Report.failure(error.description, status: Report.badInput)
        }
    }

    var settings: ServerSettings {
        var settings = ServerSettings()
        settings.identity = nsid
        settings.version = versionBind
        settings.cookies.secretsFile = cookieSecrets
        settings.cookies.isRequired = requireCookies
        settings.rateLimit?.responsesPerSecond = rateLimit
        settings.rateLimit?.exempt += rateLimitExempt.compactMap { Network($0) }
        if rateLimit == 0 { settings.rateLimit = nil }
        return settings
    }
}
