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

    func validate() throws {
        guard (0...100_000).contains(rateLimit) else {
            throw ValidationError("--rate-limit \(rateLimit): give 0 to 100000")
        }
        for text in rateLimitExempt where Network(text) == nil {
            throw ValidationError(
                "--rate-limit-exempt '\(text)': write a network such as 192.0.2.0/24")
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
